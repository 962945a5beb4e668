"""Examples of the reference page "Values"; `client` is an open client, `request` a request."""

import mp4gen

# %% mp4gen.VideoRequest
import json

request = mp4gen.VideoRequest(
    "taskId_774b",
    "e231",
    author="Suno Artist",
    domain_name="music.example.com",
    extra={"look": "ring"},  # a field of mp4gen's own server
)
print(json.dumps(request.to_dict()["extra"]))  # {"look": "ring"}

# %% mp4gen.VideoDetails
import json

task_id = await client.create_music_video(request)
details = await client.get_music_video_details(task_id)
print(details.status, details.ready, details.failed)  # SUCCESS True False
print(json.dumps(details.to_dict()))

# %% mp4gen.VideoStatus
details = await client.get_music_video_details(await client.create_music_video(request))
print(details.status is mp4gen.VideoStatus.SUCCESS)  # True
print(details.status == "SUCCESS")  # True

# %% mp4gen.Video
import json

video = await client.convert(request)
print(video.url, video.audio_id, video.adopted)
print(json.dumps(video.to_dict()))

# %% mp4gen.Track
import json

tracks = await client.get_tracks("taskId_774b")
video = await client.convert(tracks[0])
print(tracks[0].title, video.url)
print(json.dumps(tracks[0].to_dict()))

# %% mp4gen.Track.video_request
track = (await client.get_tracks("taskId_774b"))[0]
request = track.video_request(author=track.title, domain_name="music.example.com")
video = await client.convert(request)

# %% mp4gen.TimestampedLyrics
import json

lyrics = await client.get_timestamped_lyrics("taskId_774b", "e231")
print(len(lyrics.lines), lyrics.lines[0].text)  # 1 The harbour
print(json.dumps(lyrics.to_dict()))

# %% mp4gen.TimestampedLyrics.to_lrc
lyrics = await client.get_timestamped_lyrics("taskId_774b", "e231")
print(lyrics.to_lrc())

# %% mp4gen.TimestampedLyrics.write_lrc
lyrics = await client.get_timestamped_lyrics("taskId_774b", "e231")
print(lyrics.write_lrc("song.lrc").name)  # song.lrc

# %% mp4gen.LyricLine
words = mp4gen.LyricWord(4.0, "The "), mp4gen.LyricWord(4.4, "harbour")
line = mp4gen.LyricLine(4.0, 5.0, "The harbour", words)
print(line.shifted(-1.0).start)  # 3.0

# %% mp4gen.LyricWord
lyrics = await client.get_timestamped_lyrics("taskId_774b", "e231")
for line in lyrics.lines:
    for word in line.words:
        print(f"{word.start:5.2f} {word.text}")

# %% mp4gen.Conversion
import json

async with client.convert_many([request]) as run:
    async for conversion in run:
        if conversion.error is None:
            print(conversion.result().url)
        print(json.dumps(conversion.to_dict()))

# %% mp4gen.Conversion.result
async with client.convert_many([request]) as run:
    videos = [conversion.result() async for conversion in run]  # raises the first error
print(len(videos))  # 1

# %% mp4gen.RunSummary
import json

async with client.convert_many([request]) as run:
    async for conversion in run:
        pass
print(run.summary.succeeded, run.summary.failed, run.summary.remaining)  # 1 0 0
print(json.dumps(run.summary.to_dict()))
