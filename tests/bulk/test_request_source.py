"""The requests of a run: every way in which an iterable ends, and who closes it."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import mp4gen
from mp4gen.bulk.request_source import RequestSource
from mp4gen.testing import FakeService
from tests.support_async import outcome

FAST = mp4gen.Polling(initial_delay=1, max_interval=2)
virtual = pytest.mark.looptime


def track(n: int) -> mp4gen.VideoRequest:
    return mp4gen.VideoRequest("music", str(n))


async def cancelled_rows() -> AsyncIterator[mp4gen.VideoRequest]:
    """Yield three rows; then a cancelled query of the iterable itself ends it."""
    for n in range(3):
        yield track(n)
    query = asyncio.get_running_loop().create_future()
    query.cancel()
    await query


def cancelled_plain_rows() -> Iterator[mp4gen.VideoRequest]:
    for n in range(3):
        yield track(n)
    raise asyncio.CancelledError


class SizedRows:
    """Rows whose number is known."""

    def __len__(self) -> int:
        return 10

    def __aiter__(self) -> AsyncIterator[mp4gen.VideoRequest]:
        return cancelled_rows()


@virtual
@pytest.mark.parametrize(
    ("rows", "missing"), [(cancelled_rows, 0), (cancelled_plain_rows, 0), (SizedRows, 7)]
)
async def test_cancel_of_the_iterable_itself_is_an_error(
    rows: Callable[[], Any], missing: int
) -> None:
    """It is not the end of the rows: the run says that some are missing, and how many it had."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        run = client.convert_many(rows())
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.ConfigurationError)
    assert str(error).startswith("The requests were cancelled after 3 of them, ")
    assert len(found) + run.summary.remaining == 3 + missing
    assert {conversion.error for conversion in found} <= {None}


async def test_plain_iterable_is_pulled_in_batches_of_ten() -> None:
    """One look into the ledger for each request would take twice the time."""
    source = RequestSource(map(track, range(25)))

    batches = [await source.next_batch(asyncio.Event()) for _ in range(4)]

    sizes = [batch and len(batch) for batch in batches]
    assert sizes == [10, 10, 5, None]
    assert [one for batch in batches for one in batch or ()] == [track(n) for n in range(25)]


class Rows:
    """An async generator that records whether its `finally` block has run to its end."""

    def __init__(self) -> None:
        self.closed = False

    async def generate(self) -> AsyncIterator[mp4gen.VideoRequest]:
        try:
            for n in range(1000):
                yield track(n)
        finally:
            await asyncio.sleep(0.001)
            self.closed = True


class OwnIterator(Rows):
    """An iterable that is not the generator itself."""

    def __aiter__(self) -> AsyncIterator[mp4gen.VideoRequest]:
        return self.generate()


async def leave(run: mp4gen.ConversionRun) -> None:
    async with run:
        async for _ in run:
            break


async def stop(run: mp4gen.ConversionRun) -> None:
    async for _ in run:
        run.stop()


async def stop_first(run: mp4gen.ConversionRun) -> None:
    run.stop()
    await outcome(run)


async def be_cancelled(run: mp4gen.ConversionRun) -> None:
    found = asyncio.Event()

    async def consume() -> None:
        async for _ in run:
            found.set()

    task = asyncio.create_task(consume())
    await found.wait()
    task.cancel()
    await asyncio.wait([task])


@virtual
@pytest.mark.parametrize("end", [leave, stop, stop_first, be_cancelled, outcome])
@pytest.mark.parametrize("kind", [Rows, OwnIterator])
async def test_async_generator_is_closed_with_its_run(kind: type[Rows], end: Any) -> None:
    """Its clean-up has run when the run ends, not when the garbage collector finds it."""
    rows = kind()
    source: Any = rows if isinstance(rows, OwnIterator) else rows.generate()
    credits_left = 5 if end is outcome else 1000
    async with (
        FakeService(duration=2, credits=credits_left) as service,
        service.client(polling=FAST, concurrency=3) as client,
    ):
        await end(client.convert_many(source))

        # A generator that never ran has nothing to clean up.
        assert rows.closed or end is stop_first


@virtual
@pytest.mark.parametrize("idle", [True, False])
async def test_iterable_that_replaces_a_cancel_ends_the_run_nevertheless(idle: bool) -> None:
    """Its own error must not keep a cancelled run alive."""

    async def stubborn() -> AsyncIterator[mp4gen.VideoRequest]:
        try:
            for n in range(1000):
                yield track(n)
                await asyncio.sleep(10**6 if idle else 0)
        finally:
            raise KeyError("connection")

    async with (
        FakeService(duration=1000) as service,
        service.client(concurrency=1) as client,
    ):
        task = asyncio.create_task(outcome(client.convert_many(stubborn())))
        await asyncio.sleep(20)
        begun = asyncio.get_running_loop().time()
        task.cancel()
        await asyncio.wait([task])

        assert asyncio.get_running_loop().time() - begun < 1


def stop_from_a_thread(run: mp4gen.ConversionRun) -> None:
    run.stop()


def stop_from_a_signal_handler(run: mp4gen.ConversionRun) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize("stop_now", [stop_from_a_thread, stop_from_a_signal_handler])
async def test_stop_is_noticed_while_the_loop_sleeps(
    stop_now: Callable[[mp4gen.ConversionRun], None],
) -> None:
    """A loop that waits for nothing but a slow iterable wakes up immediately."""
    idle = threading.Event()

    async def rows() -> AsyncIterator[mp4gen.VideoRequest]:
        asyncio.get_running_loop().call_soon(idle.set)
        await asyncio.get_running_loop().create_future()
        yield track(1)

    def wait_and_stop() -> None:
        idle.wait()
        stop_now(run)

    async with FakeService() as service, service.client() as client:
        run = client.convert_many(rows())
        before = signal.signal(signal.SIGUSR1, lambda *_: run.stop())
        thread = threading.Thread(target=wait_and_stop)
        thread.start()
        try:
            async with asyncio.timeout(20):
                found, error = await outcome(run)
        finally:
            thread.join()
            signal.signal(signal.SIGUSR1, before)

    assert (found, error, run.summary.stop_reason) == ([], None, "stop")


async def test_blocking_iterable_keeps_the_limit_exact() -> None:
    """Failure mode 64: the loop is late for everything, but no call comes too early."""

    def blocking() -> Iterator[mp4gen.VideoRequest]:
        for n in range(30):
            # What the documentation asks not to do.
            time.sleep(0.01)
            yield track(n)

    limit = mp4gen.RateLimit(5, per=0.05)
    async with (
        FakeService(rate_limit=limit) as service,
        service.client(rate_limit=limit, polling=mp4gen.Polling(initial_delay=0.01)) as client,
    ):
        found, error = await outcome(client.convert_many(blocking()))

    assert (error, {conversion.error for conversion in found}) == (None, {None})
    assert not any(call.rate_limited for call in service.requests)
