"""Receive callbacks in AWS Lambda, behind a function URL or an API Gateway: `handler`."""

import base64
from typing import Any

import mp4gen

# Kept while the instance is frozen between two calls.
client = mp4gen.sync.Client()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one callback; the gateway sends the body as text, or encodes it as base64."""
    body = event.get("body") or ""
    try:
        raw_body = base64.b64decode(body) if event.get("isBase64Encoded") else body
        found = mp4gen.parse_callback(raw_body, headers=event.get("headers"))
    except (mp4gen.ValidationError, ValueError) as error:
        return {"statusCode": 400, "body": str(error)}
    # Ask the API, since no host signs the link of a callback.
    details = client.get_music_video_details(found.task_id, timeout=10)
    print(details.task_id, details.video_url)  # or keep it: a function forgets
    return {"statusCode": 200, "body": "received"}
