"""Failure modes 40 and 54: a cancel after any step of the event loop leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from aiohttp import web

import mp4gen
from mp4gen.testing import CallbackBehavior, FakeService
from mp4gen.transport import retried_call
from tests.support_async import outcome
from tests.support_cancel import (
    Leftovers,
    Work,
    call_after_steps,
    cancelled_again_and_again,
    cancelled_once,
)
from tests.support_proxy import free_port

pytestmark = [pytest.mark.slow, pytest.mark.looptime]
UNKNOWN = mp4gen.Dialect.for_url("http://unknown")
FAST = mp4gen.Polling(initial_delay=1, max_interval=2)
CANCELS = {"once": cancelled_once, "again and again": cancelled_again_and_again}
# Far more than any of the operations takes.
MAX_STEPS = 2000

# Called with the name of a track that no other call has.
Call = Callable[[mp4gen.Client, Path, str], Awaitable[object]]


def track(name: str) -> mp4gen.VideoRequest:
    return mp4gen.VideoRequest("music", name, author="Ada")


async def _wait(client: mp4gen.Client, _: Path, name: str) -> object:
    return await client.wait_for_video(await client.create_music_video(track(name)))


async def _download(client: mp4gen.Client, folder: Path, _: str) -> object:
    return await client.download(f"{client.base_url}/files/{KNOWN}.mp4", folder / "video.mp4")


async def slow_hook(_: mp4gen.Event) -> None:
    """Take some steps; time does not pass while anyio cancels again and again."""
    for _ in range(20):
        await asyncio.sleep(0)


KNOWN = "video_000001"
CALLS: dict[str, Call] = {
    "create_music_video": lambda client, _, name: client.create_music_video(track(name)),
    "get_music_video_details": lambda client, *_: client.get_music_video_details(KNOWN),
    "wait_for_video": _wait,
    "convert": lambda client, _, name: client.convert(track(name)),
    "get_tracks": lambda client, *_: client.get_tracks("music"),
    "get_timestamped_lyrics": lambda client, *_: client.get_timestamped_lyrics("music", "track"),
    "get_credits": lambda client, *_: client.get_credits(),
    "download": _download,
}


@asynccontextmanager
async def callbacks() -> AsyncIterator[mp4gen.CallbackReceiver]:
    """Yield a receiver in an application on a real port."""
    port = free_port()
    receiver = mp4gen.CallbackReceiver(f"http://127.0.0.1:{port}/hooks")
    app = web.Application()
    app.add_routes(receiver.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield receiver
    finally:
        await runner.cleanup()


def held_slots(client: mp4gen.Client, limiter: mp4gen.SlidingWindowLimiter) -> dict[str, int]:
    """Return the slots that the work still holds or waits for."""
    service = client._conversions
    held = {
        "conversions": service.concurrency - service.slots._value,
        "bulk conversions": service.concurrency - service.bulk_slots._value,
        "calls": limiter._in_use + sum(map(len, limiter._queues)),
    }
    return {name: number for name, number in held.items() if number}


def still_closing(client: mp4gen.Client) -> list[str]:
    """Return what the client has not closed yet although its block was left."""
    sessions = list(client._caller._transport._sessions.values())
    if client._downloader is not None:
        sessions += client._downloader._sessions._sessions.values()
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("mp4gen")] + [
        str(session) for session in sessions if not session.closed
    ]


async def sweep(
    service: FakeService,
    folder: Path,
    cancel: Any,
    call: Call,
    check: Callable[[str], Awaitable[None]] | None = None,
    **settings: Any,
) -> tuple[int, list[object]]:
    """Cancel `call` after 1, 2, 3 ... steps until it ends before; return the number and leftovers.

    The client is made, used and closed inside of the cancelled work.
    """
    left: list[object] = []
    for steps in range(1, MAX_STEPS):
        limiter = mp4gen.SlidingWindowLimiter(mp4gen.RateLimit(1000, per=1))
        client = service.client(rate_limit=limiter, polling=FAST, **settings)
        before = Leftovers(folder)

        async def work(client: mp4gen.Client = client, name: str = f"track-{steps}") -> None:
            async with client:
                await call(client, folder, name)

        hit = await cancel(work, steps)
        closing = {"closing": names} if (names := still_closing(client)) else {}
        found = closing | await before.found() | held_slots(client, limiter)
        left += [(steps, found)] if found else []
        if check is not None:
            await check(f"track-{steps}")
        if not hit:
            return steps, left
    raise AssertionError("The operation never ends before its cancel.")


@pytest.mark.parametrize("cancel", CANCELS.values(), ids=CANCELS)
@pytest.mark.parametrize("name", CALLS)
async def test_cancelled_call_leaves_nothing_behind(tmp_path: Path, name: str, cancel: Any) -> None:
    """No task, slot, socket, descriptor or temporary file, whatever the cancel interrupts."""
    async with (
        callbacks() as receiver,
        FakeService(
            duration=2, file_size=300_000, rate_limit=None, callbacks=CallbackBehavior()
        ) as service,
    ):
        service.music["music"] = [mp4gen.Track("music", "track")]
        service.lyrics.append(mp4gen.TimestampedLyrics("music", "track", ()))
        # Also opens the connection that the service keeps for its callbacks.
        async with service.client(polling=FAST, callbacks=receiver) as client:
            assert (await client.convert(track("known"))).task_id == KNOWN
        receiving = {"callbacks": receiver} if name in {"wait_for_video", "convert"} else {}
        steps, left = await sweep(service, tmp_path, cancel, CALLS[name], **receiving)

    assert left == []
    assert steps > 5


@pytest.mark.parametrize("cancel", CANCELS.values(), ids=CANCELS)
async def test_cancelled_call_leaves_no_async_hook_behind(tmp_path: Path, cancel: Any) -> None:
    """The client waits for the events of the call, and leaves no task."""
    async with FakeService(duration=2, rate_limit=None) as service:
        steps, left = await sweep(
            service, tmp_path, cancel, CALLS["create_music_video"], on_event=slow_hook
        )

    assert left == []
    assert steps > 5


DEADLINES: dict[str, Call] = {
    "create_music_video": lambda client, _, name: client.create_music_video(
        track(name), timeout=1e6
    ),
    "get_music_video_details": lambda client, *_: client.get_music_video_details(
        KNOWN, timeout=1e6
    ),
    "get_tracks": lambda client, *_: client.get_tracks("music", timeout=1e6),
    "get_credits": lambda client, *_: client.get_credits(timeout=1e6),
}


async def deadline_passed(work: Work, steps: int) -> bool:
    """Let the deadline of a call pass after `steps`; return whether it ended the call."""
    deadlines: list[asyncio.Timeout] = []

    def timeout(seconds: float) -> asyncio.Timeout:
        deadlines.append(asyncio.timeout(seconds))
        return deadlines[-1]

    def pass_deadlines() -> None:
        for deadline in deadlines:
            with suppress(RuntimeError):  # The call has ended.
                deadline.reschedule(asyncio.get_running_loop().time())

    only_timeout = SimpleNamespace(timeout=timeout)
    with (
        mock.patch.object(retried_call, "asyncio", only_timeout),
        call_after_steps(steps, pass_deadlines),
    ):
        try:
            await work()
        except (mp4gen.RequestTimeoutError, mp4gen.SubmitUncertainError):
            return True
    return not deadlines


@pytest.mark.parametrize(
    "cancel", [deadline_passed, cancelled_once], ids=["deadline", "cancel before the deadline"]
)
@pytest.mark.parametrize("name", DEADLINES)
async def test_passed_deadline_leaves_nothing_behind(
    tmp_path: Path, name: str, cancel: Any
) -> None:
    """No task, slot, socket or descriptor, whenever the deadline passes."""
    async with FakeService(duration=2, rate_limit=None) as service:
        service.music["music"] = [mp4gen.Track("music", "track")]
        async with service.client(polling=FAST) as client:
            assert (await client.convert(track("known"))).task_id == KNOWN
        steps, left = await sweep(service, tmp_path, cancel, DEADLINES[name])

    assert left == []
    assert steps > 5


def tracks(name: str) -> list[mp4gen.VideoRequest]:
    return [track(f"{name}-{n}") for n in range(2)]


@pytest.fixture
def folder_in_memory(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory if there is one: hundreds of ledgers sync their commits."""
    memory = Path("/dev/shm")  # noqa: S108 - for the folder of a test
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("cancel", "rejects_duplicates"),
    [(cancelled_once, True), (cancelled_again_and_again, False)],
    ids=["once, 409", "again and again, no 409"],
)
async def test_cancelled_run_loses_and_doubles_nothing(
    folder_in_memory: Path, cancel: Any, rejects_duplicates: bool
) -> None:
    """The next run with its ledger finishes every track, and pays for none again."""
    dialect = mp4gen.Dialect.SUNO if rejects_duplicates else UNKNOWN
    policy = "existing_id" if rejects_duplicates else "new_task"
    wrong: list[object] = []

    async def convert_many(client: mp4gen.Client, folder: Path, name: str) -> None:
        ledger = folder / f"{name}.sqlite"
        async with client.convert_many(tracks(name), ledger=ledger, download_to=folder) as run:
            async for _ in run:
                pass

    async def resume(name: str) -> None:
        ledger = folder_in_memory / f"{name}.sqlite"
        async with service.client(polling=FAST) as client:
            run = client.convert_many(tracks(name), ledger=ledger, download_to=folder_in_memory)
            found, error = await outcome(run)
        made = [t for t in service.tasks.values() if t.request.audio_id.startswith(f"{name}-")]
        contents = {task.request.audio_id: task.content for task in made}
        uncertain = [c for c in found if isinstance(c.error, mp4gen.SubmitUncertainError)]
        files = [c for c in found if c.path is not None]
        if (
            error
            or len(files) + (0 if rejects_duplicates else len(uncertain)) != 2
            or len(contents) != len(made)
            or any(c.path.read_bytes() != contents[c.request.audio_id] for c in files if c.path)
        ):
            wrong.append((name, error, found, made))

    async with FakeService(
        duration=2, rate_limit=None, dialect=dialect, duplicate_policy=policy
    ) as service:
        steps, left = await sweep(service, folder_in_memory, cancel, convert_many, resume)

    assert (left, wrong) == ([], [])
    assert steps > 50
