"""Make videos in a serverless function, such as AWS Lambda: the handler is `serverless.handler`.

The first call submits a track; later ones, from a queue or a schedule, ask for its video.
"""

from typing import Any

import mp4gen

# One for each instance, kept while the instance is frozen between two calls. Instances do not know
# of each other: divide the account's 20 requests in 10 s by the number that may run at once.
client = mp4gen.sync.Client(rate_limit=mp4gen.RateLimit(4, per=10.0))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Submit the track of an event, or look at the video task that an event names."""
    # Answer before the function is killed.
    timeout = context.get_remaining_time_in_millis() / 1000 - 1
    if "video_task" not in event:
        request = mp4gen.VideoRequest(event["music_task"], event["audio"], author=event["author"])
        return {"video_task": client.create_music_video(request, timeout=timeout)}
    details = client.get_music_video_details(event["video_task"], timeout=timeout)
    return {"video_task": details.task_id, "status": details.status, "url": details.video_url}
