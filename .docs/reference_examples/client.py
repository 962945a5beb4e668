"""Examples of the reference page "Client"; `client` is an open client, `request` a request."""

import mp4gen

# %% mp4gen.Client
async with mp4gen.Client(rate_limit=20, retry=60.0, on_event=print) as client:
    video = await client.convert(mp4gen.VideoRequest("taskId_774b", "e231", author="Suno Artist"))
    print(await client.download(video, "videos/"))

# %% mp4gen.Client.rejects_duplicates
if client.rejects_duplicates:
    print("A submit whose response was lost is sent again.")

# %% mp4gen.Client.has_sent
await client.get_credits()
print(client.has_sent)  # True

# %% mp4gen.Client.aclose
client = mp4gen.Client()  # in the set-up of an app
print(await client.get_credits())
await client.aclose()  # in its shutdown

# %% mp4gen.Client.create_music_video
task_id = await client.create_music_video(request, timeout=10.0)
print("Submitted:", task_id)

# %% mp4gen.Client.get_music_video_details
task_id = await client.create_music_video(request)
details = await client.get_music_video_details(task_id)
if details.ready:
    print("The video:", details.video_url)
elif details.failed:
    print("There will be no video:", details.error_message)

# %% mp4gen.Client.wait_for_video
task_id = await client.create_music_video(request)
video = await client.wait_for_video(task_id, timeout=600.0)
print(video.url, video.expires_at)

# %% mp4gen.Client.convert
task_ids = []  # a database, in an app that is restarted
video = await client.convert(request, on_submitted=task_ids.append)
print(video.url, video.adopted)

# %% mp4gen.Client.convert_many
requests = (mp4gen.VideoRequest("taskId_774b", f"track-{number}") for number in range(3))
async with client.convert_many(requests, ledger="run.sqlite", download_to="videos") as run:
    async for conversion in run:
        print(conversion.request.audio_id, conversion.path or conversion.error)
print(run.summary.succeeded)  # 3

# %% mp4gen.Client.download
video = await client.convert(request)
path = await client.download(video, "videos/song.mp4", on_progress=print)
print(path.stat().st_size, "bytes")

# %% mp4gen.Client.get_tracks
for track in await client.get_tracks("taskId_774b"):
    print(track.audio_id, track.title, track.duration)

# %% mp4gen.Client.get_timestamped_lyrics
lyrics = await client.get_timestamped_lyrics("taskId_774b", "e231")
print(lyrics.write_lrc("song.lrc"))

# %% mp4gen.Client.get_credits
if await client.get_credits() < 10:
    print("Fewer than ten videos are left.")

# %% mp4gen.ConversionRun
requests = [mp4gen.VideoRequest("taskId_774b", f"track-{number}") for number in range(3)]
async with client.convert_many(requests) as run:
    async for conversion in run:
        print(conversion.request.audio_id, run.summary.remaining, "remaining")

# %% mp4gen.ConversionRun.stop
requests = [mp4gen.VideoRequest("taskId_774b", f"track-{number}") for number in range(5)]
async with client.convert_many(requests, ledger="run.sqlite") as run:
    async for conversion in run:
        run.stop()  # what is in progress is finished and yielded
print(run.summary.stop_reason)  # stop

# %% mp4gen.ConversionRun.aclose
run = client.convert_many([request], ledger="run.sqlite")
conversion = await anext(aiter(run))
await run.aclose()  # `async with` does so at its end

# %% mp4gen.sync.Client
with mp4gen.sync.Client() as client:
    video = client.convert(mp4gen.VideoRequest("taskId_774b", "e231", author="Suno Artist"))
    print(client.base_url, client.dialect.name, client.download(video, "videos/"))

# %% mp4gen.sync.Client.close
client = mp4gen.sync.Client()
print(client.get_credits())
client.close()  # `with` does so at its end

# %% mp4gen.sync.Client.convert_many
requests = (mp4gen.VideoRequest("taskId_774b", f"track-{number}") for number in range(3))
with mp4gen.sync.Client() as client, client.convert_many(requests, ledger="run.sqlite") as run:
    for conversion in run:
        print(conversion.request.audio_id, conversion.error or "done")

# %% mp4gen.sync.ConversionRun
requests = [mp4gen.VideoRequest("taskId_774b", f"track-{number}") for number in range(3)]
with mp4gen.sync.Client() as client, client.convert_many(requests) as run:
    for conversion in run:
        print(conversion.request.audio_id, run.summary.remaining, "remaining")

# %% mp4gen.sync.ConversionRun.stop
requests = [mp4gen.VideoRequest("taskId_774b", f"track-{number}") for number in range(5)]
with mp4gen.sync.Client() as client, client.convert_many(requests, ledger="run.sqlite") as run:
    for conversion in run:
        run.stop()  # also from a signal handler, or another thread

# %% mp4gen.sync.ConversionRun.close
with mp4gen.sync.Client() as client:
    run = client.convert_many([request], ledger="run.sqlite")
    conversion = next(iter(run))
    run.close()  # `with` does so at its end

# %% mp4gen.RateLimit
client = mp4gen.Client(rate_limit=mp4gen.RateLimit(5, per=10.0))  # a quarter of the account's
print(client)

# %% mp4gen.Polling
# Tasks of this host take half a minute: no poll before 25 seconds.
client = mp4gen.Client(polling=mp4gen.Polling(initial_delay=25.0, max_interval=5.0))
print(client)

# %% mp4gen.Retry
# A job at night may wait; a page of a website passes `timeout` to each call instead.
client = mp4gen.Client(retry=mp4gen.Retry(timeout=3600.0, maintenance_timeout=6 * 3600.0))
print(client)

# %% mp4gen.Dialect
import attrs

# A host that speaks the API of kie.ai and keeps files for 30 days.
dialect = attrs.evolve(mp4gen.Dialect.KIE, name="my host", retention_days=30)
client = mp4gen.Client(base_url="https://api.example.com", dialect=dialect)
print(client.dialect.retention_days)  # 30

# %% mp4gen.Dialect.for_url
print(mp4gen.Dialect.for_url("https://api.kie.ai").name)  # kie
print(mp4gen.Dialect.for_url("https://api.example.com").rejects_duplicates)  # False

# %% mp4gen.Dialect.expires_at
from datetime import UTC, datetime

print(mp4gen.Dialect.SUNO.expires_at(datetime(2026, 1, 1, tzinfo=UTC)).date())  # 2026-01-16

# %% mp4gen.RateLimiter
import asyncio
from contextlib import asynccontextmanager


class OneAtATime:
    """At most one call at any time, for a host that asks for it."""

    def __init__(self):
        self._lock = asyncio.Lock()
        self._free_at = 0.0

    @asynccontextmanager
    async def slot(self, priority=mp4gen.Priority.INTERACTIVE):
        async with self._lock:
            await asyncio.sleep(self._free_at - asyncio.get_running_loop().time())
            yield

    def pause(self, seconds):
        self._free_at = asyncio.get_running_loop().time() + seconds


async with mp4gen.Client(rate_limit=OneAtATime()) as client:
    print(await client.get_credits())

# %% mp4gen.SlidingWindowLimiter
limiter = mp4gen.SlidingWindowLimiter(mp4gen.RateLimit(20, per=10.0))
first = mp4gen.Client(rate_limit=limiter)
second = mp4gen.Client(rate_limit=limiter)  # both together send at most 20 calls in 10 seconds
print(await first.get_credits(), await second.get_credits())
await first.aclose()
await second.aclose()

# %% mp4gen.SlidingWindowLimiter.slot
limiter = mp4gen.SlidingWindowLimiter()
async with limiter.slot():  # for a call of your own to the same account
    print("Send the request, and read its response, here.")

# %% mp4gen.SlidingWindowLimiter.pause
limiter = mp4gen.SlidingWindowLimiter()
async with limiter.slot():
    limiter.pause(10.0)  # a call of your own was refused: all calls wait for 10 seconds

# %% mp4gen.Priority
limiter = mp4gen.SlidingWindowLimiter()
async with limiter.slot(mp4gen.Priority.BULK):  # waits until no single call waits
    print("Send a call that is not urgent here.")

# %% mp4gen.redis.RedisRateLimiter
from mp4gen.redis import RedisRateLimiter

limiter = RedisRateLimiter("redis://localhost:6379/0", name="music-account")
async with mp4gen.Client(rate_limit=limiter) as client:  # in each process
    print(await client.get_credits())

# %% mp4gen.redis.RedisRateLimiter.slot
from mp4gen.redis import RedisRateLimiter

async with RedisRateLimiter("redis://localhost:6379/0", name="music-account") as limiter:
    async with limiter.slot():  # for a call of your own to the same account
        print("Send the request, and read its response, here.")

# %% mp4gen.redis.RedisRateLimiter.pause
from mp4gen.redis import RedisRateLimiter

async with RedisRateLimiter("redis://localhost:6379/0", name="music-account") as limiter:
    limiter.pause(0.1)  # a call of your own was refused: all processes wait

# %% mp4gen.redis.RedisRateLimiter.aclose
from mp4gen.redis import RedisRateLimiter

limiter = RedisRateLimiter("redis://localhost:6379/0", name="music-account")
async with limiter.slot():
    print("Send the request, and read its response, here.")
await limiter.aclose()  # only for a limiter that no client uses
