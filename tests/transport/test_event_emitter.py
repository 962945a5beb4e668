"""Async hooks of a client: their order, their failures, and what is left when it closes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

import mp4gen
from mp4gen.testing import FakeService
from mp4gen.transport import event_emitter
from mp4gen.transport.event_emitter import EventEmitter
from tests.support_async import now

pytestmark = pytest.mark.looptime
REQUEST = mp4gen.VideoRequest("music", "track")


def poll(number: int) -> mp4gen.PollEvent:
    return mp4gen.PollEvent("video", "PENDING", float(number))


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService(duration=30) as service:
        yield service


async def test_async_hook_gets_the_events_of_a_plain_one(service: FakeService) -> None:
    """Every event, in the same order, before the client has closed."""
    plain: list[mp4gen.Event] = []
    awaited: list[mp4gen.Event] = []

    def on_event(event: mp4gen.Event) -> Any:
        plain.append(event)
        return later(event)

    async def later(event: mp4gen.Event) -> None:
        await asyncio.sleep(0.1)
        awaited.append(event)

    async with service.client(on_event=on_event) as client:
        await client.convert(REQUEST)

    assert len(plain) > 2
    assert awaited == plain


async def test_slow_async_hook_delays_no_call(service: FakeService) -> None:
    """Events wait in a queue while the calls go on."""

    async def slow(_: mp4gen.Event) -> None:
        await asyncio.sleep(1)

    times = []
    for hook in (None, slow):
        async with service.client(on_event=hook) as client:
            client.random.seed(1)
            start = now()
            await client.convert(mp4gen.VideoRequest("music", f"track {hook}"))
            times.append(now() - start)

    assert times[0] == pytest.approx(times[1], abs=0.2)


@pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
async def test_failing_async_hook_is_logged(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    """The next events still arrive."""
    arrived = []

    async def broken(event: mp4gen.Event) -> None:
        arrived.append(event)
        raise error("the hook's own fault")

    emitter = EventEmitter(broken)
    for number in range(3):
        emitter.emit(poll(number))
    await emitter.aclose()

    assert arrived == [poll(number) for number in range(3)]
    assert caplog.messages.count("on_event raised an exception; the conversion continues.") == 3


async def test_close_does_not_wait_for_a_hook_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """A close takes some seconds at most, logs how many events are lost, and leaves no task."""

    async def hang(_: mp4gen.Event) -> None:
        await asyncio.sleep(1e6)

    emitter = EventEmitter(hang)
    for number in range(3):
        emitter.emit(poll(number))
    start = now()
    await emitter.aclose()

    assert now() - start == pytest.approx(5, abs=0.1)
    assert "on_event takes too long: 2 events are lost. Make it faster." in caplog.messages
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_close_does_not_wait_for_a_hook_that_ignores_its_cancel() -> None:
    """One second more, and the client is closed."""
    stop = asyncio.Event()

    async def ignore_cancels(_: mp4gen.Event) -> None:
        while not stop.is_set():
            with suppress(asyncio.CancelledError):
                await stop.wait()

    emitter = EventEmitter(ignore_cancels)
    emitter.emit(poll(1))
    start = now()
    asyncio.get_running_loop().call_later(100, stop.set)
    await emitter.aclose()
    spent = now() - start
    stop.set()

    assert spent == pytest.approx(6, abs=0.1)


async def test_queue_is_bounded_and_keeps_important_events(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Polls and progress are skipped, with one warning; no other event is."""
    monkeypatch.setattr(event_emitter, "MAX_PENDING", 2)
    arrived: list[mp4gen.Event] = []

    async def slow(event: mp4gen.Event) -> None:
        await asyncio.sleep(0.1)
        arrived.append(event)

    emitter = EventEmitter(slow)
    important = mp4gen.SubmittedEvent("video", "track", adopted=False)
    for event in (poll(1), poll(2), poll(3), poll(4), important):
        emitter.emit(event)
    await emitter.aclose()

    assert arrived == [poll(1), poll(2), important]
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warnings == [
        "on_event is too slow: 2 events wait for it. Polls and progress are skipped."
    ]


async def test_event_after_the_close_arrives() -> None:
    """A call that the close has ended reports its failure afterwards."""
    arrived: list[mp4gen.Event] = []

    async def hook(event: mp4gen.Event) -> None:
        arrived.append(event)

    emitter = EventEmitter(hook)
    await emitter.aclose()
    emitter.emit(poll(1))
    await asyncio.sleep(0)

    assert arrived == [poll(1)]


async def test_hook_that_closes_its_client_ends(service: FakeService) -> None:
    """The close does not wait for the hook for ever, although the hook waits for the close."""

    async def close(event: mp4gen.Event) -> None:
        if isinstance(event, mp4gen.SubmittedEvent):
            await client.aclose()

    client = service.client(on_event=close)
    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        await client.convert(REQUEST)
    await client.aclose()
    await asyncio.sleep(10)

    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("mp4gen")] == []
