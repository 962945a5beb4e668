"""Uses of the public API for type checkers; never run."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

import mp4gen
from mp4gen.redis import RedisRateLimiter
from mp4gen.testing import FakeService, ScriptedResponse, lognormal

REQUEST = mp4gen.VideoRequest("music", "track", author="Ada", domain_name=None)


def create_client() -> mp4gen.Client:
    """Pass every argument of the client."""
    mp4gen.Client()
    mp4gen.Client(lambda: os.environ["KEY"])
    mp4gen.Client(dialect="kie", rate_limit=10, retry=60.0)
    return mp4gen.Client(
        "key",
        base_url="https://api.kie.ai",
        dialect=mp4gen.Dialect.KIE,
        rate_limit=mp4gen.RateLimit(10, per=5.0),
        concurrency=10,
        polling=mp4gen.Polling(initial_delay=5.0, multiplier=1.5, max_interval=10.0, jitter=0.0),
        retry=mp4gen.Retry(maintenance_timeout=None),
        callbacks=mp4gen.CallbackReceiver("https://app.example.com/cb", secret=None, confirm=True),
        on_uncertain_submit="raise",
        proxy=None,
        trust_env=False,
        ssl_context=None,
        allow_http=False,
        on_event=print,
    )


def share(limiter: mp4gen.RateLimiter) -> mp4gen.Client:
    """Pass a limiter: any object with the protocol."""
    mp4gen.Client(rate_limit=mp4gen.SlidingWindowLimiter())
    limit = mp4gen.RateLimit(20, per=10.0)
    mp4gen.Client(rate_limit=RedisRateLimiter("redis://localhost", limit, name="account"))
    return mp4gen.Client(rate_limit=limiter)


async def single_calls(client: mp4gen.Client) -> None:
    """Check what each call returns."""
    assert_type(await client.create_music_video(REQUEST), str)
    assert_type(await client.get_music_video_details("t"), mp4gen.VideoDetails)
    assert_type(await client.wait_for_video("t", timeout=60), mp4gen.Video)
    assert_type(await client.get_tracks("m"), list[mp4gen.Track])
    assert_type(await client.get_credits(timeout=5), float)
    lyrics = await client.get_timestamped_lyrics("m", "a", timeout=5)
    assert_type(lyrics, mp4gen.TimestampedLyrics)
    assert_type(lyrics.lines, tuple[mp4gen.LyricLine, ...])
    await client.create_music_video(REQUEST, timeout=5.0)
    await client.get_music_video_details("t", timeout=None)
    await client.get_tracks("m", timeout=5)


async def on_submitted(task_id: str) -> None:
    """Serve as a hook that is a coroutine function."""


async def on_event(event: mp4gen.Event) -> None:
    """Serve as a hook that is a coroutine function."""


async def on_progress(received: int, total: int | None) -> None:
    """Serve as a hook that is a coroutine function."""


async def conversions(client: mp4gen.Client, stored: dict[str, str]) -> None:
    """Pass plain and async hooks, and download to a path or a string."""
    await client.convert(REQUEST, on_submitted=on_submitted)
    video = await client.convert(REQUEST, on_submitted=lambda task_id: stored.update(id=task_id))
    assert_type(video.adopted, bool)
    assert_type(await client.download(video, "videos/"), Path)
    assert_type(await client.download(video.url, Path("v.mp4"), on_progress=print), Path)
    await client.download(video, "v.mp4", on_progress=on_progress)
    mp4gen.Client(on_event=on_event)


async def many(client: mp4gen.Client, source: AsyncIterator[mp4gen.VideoRequest]) -> None:
    """Convert a sync and an async iterable."""
    async with client.convert_many([REQUEST], ledger="run.sqlite", download_to=Path()) as run:
        async for conversion in run:
            assert_type(conversion, mp4gen.Conversion)
            assert_type(conversion.error, Exception | None)
            assert_type(conversion.path, Path | None)
            assert_type(conversion.result(), mp4gen.Video)
        run.stop()
    assert_type(run.summary, mp4gen.RunSummary)
    client.convert_many(source)
    client.convert_many(await client.get_tracks("m"))


def blocking() -> None:
    """Use the blocking client: the same arguments and results without `await`."""
    mp4gen.sync.Client(lambda: os.environ["KEY"], dialect="kie", rate_limit=10, on_event=print)
    mp4gen.sync.Client("key", "https://api.kie.ai")  # type: ignore[call-arg]
    mp4gen.sync.Client(polling=5)  # type: ignore[arg-type]
    with mp4gen.sync.Client() as client:
        assert_type(client, mp4gen.sync.Client)
        assert_type(client.create_music_video(REQUEST), str)
        assert_type(client.get_music_video_details("t"), mp4gen.VideoDetails)
        video = client.convert(REQUEST, timeout=60, on_submitted=print)
        assert_type(video, mp4gen.Video)
        assert_type(client.wait_for_video(task_id="t"), mp4gen.Video)
        assert_type(client.download(video, "videos/", on_progress=print), Path)
        assert_type(client.get_tracks("m"), list[mp4gen.Track])
        assert_type(client.get_credits(), float)
        client.convert("track")  # type: ignore[arg-type]
        client.convert(REQUEST, 60)  # type: ignore[call-arg]
        with client.convert_many(client.get_tracks("m"), ledger="run.sqlite") as run:
            for conversion in run:
                assert_type(conversion, mp4gen.Conversion)
        run.stop()
        assert_type(run.summary, mp4gen.RunSummary)


def values(track: mp4gen.Track, details: mp4gen.VideoDetails) -> None:
    """Read the fields of values, and refuse wrong arguments."""
    assert_type(track.video_request(author="Ada"), mp4gen.VideoRequest)
    assert_type(details.status, mp4gen.VideoStatus | str)
    assert_type(details.video_url, str | None)
    REQUEST.author = "x"  # type: ignore[misc]
    mp4gen.VideoRequest("m", "a", "author")  # type: ignore[call-arg]
    mp4gen.Client("key", "https://api.kie.ai")  # type: ignore[call-arg]
    mp4gen.Client(on_uncertain_submit="hope")  # type: ignore[arg-type]
    mp4gen.Client(polling=5)  # type: ignore[arg-type]


def errors(error: mp4gen.ApiError | mp4gen.WaitTimeoutError) -> str | None:
    """Read the fields of errors."""
    if isinstance(error, mp4gen.AlreadyExistsError):
        return error.existing_task_id
    if isinstance(error, mp4gen.ApiError):
        assert_type(error.code, int)
        return error.task_id
    return error.task_id


def handle_event(event: mp4gen.Event) -> None:
    """Match events by their class."""
    match event:
        case mp4gen.CompletedEvent(video=video):
            assert_type(video, mp4gen.Video)
        case mp4gen.PausedEvent(delay=seconds):
            assert_type(seconds, float)
        case _:
            pass


async def fakes() -> None:
    """Run the fake service in the loop and in a thread."""
    async with FakeService(duration=lognormal(40, 120), duplicate_policy="new_task") as service:
        service.script("create", "reset_after_accept", ScriptedResponse(status=502, body=b""))
        assert_type(service.url, str)
    with FakeService(rate_limit=None) as threaded:
        assert_type(threaded.client(), mp4gen.Client)
        assert_type(threaded.sync_client(), mp4gen.sync.Client)
        threaded.script("nothing", "reset")  # type: ignore[arg-type]
