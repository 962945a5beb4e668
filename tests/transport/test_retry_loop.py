"""How long a call that failed waits for its next attempt, and when it gives up."""

import asyncio
from collections.abc import AsyncIterator

import pytest

import mp4gen
from mp4gen.api.protocol import ApiRequest
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.event_emitter import EventEmitter
from mp4gen.transport.http import Transport
from mp4gen.transport.retry_loop import RetryLoop
from tests.support_async import LongestDelays, now

pytestmark = pytest.mark.looptime
POLL = ApiRequest("GET", "/api/v1/mp4/record-info?taskId=t")
LOST = mp4gen.TransportError("No response.", sent=True)
REFUSED = mp4gen.RateLimitError("The API answered 430.", code=430)
CLOSED = mp4gen.MaintenanceError("The API answered 455.", code=455)
RETRY = mp4gen.Retry(timeout=100, initial_delay=1, max_delay=60)
SINGLE, BULK = CallOptions.for_single_calls(RETRY), CallOptions.for_bulk_run(RETRY)


@pytest.fixture
def events() -> list[mp4gen.Event]:
    return []


@pytest.fixture
async def caller(events: list[mp4gen.Event]) -> AsyncIterator[ApiCaller]:
    caller = ApiCaller(
        Transport("http://127.0.0.1:9", lambda: None),
        mp4gen.SlidingWindowLimiter(),
        RETRY,
        EventEmitter(events.append),
        LongestDelays(),
    )
    yield caller
    await caller.aclose()


async def waits_until_the_end(
    loop: RetryLoop, error: mp4gen.Mp4GenError, seconds: float = 0.0
) -> list[float]:
    """Return the seconds before each retry of a call whose attempts fail after `seconds`."""
    waits: list[float] = []
    while len(waits) < 20:
        start = now()
        try:
            await loop.wait(error)
        except mp4gen.Mp4GenError as last:
            assert last is error  # noqa: PT017 - the loop raises what it was given
            break
        waits.append(round(now() - start, 3))
        await asyncio.sleep(seconds)
    return waits


async def test_single_call_makes_no_attempt_after_its_retry_time(caller: ApiCaller) -> None:
    """The delay of 64 seconds would end after it, and also that of sixty."""
    waits = await waits_until_the_end(RetryLoop(caller, POLL, SINGLE), LOST)

    assert waits == [1, 2, 4, 8, 16, 32]


async def test_call_of_a_run_makes_its_last_attempt_at_the_end_of_its_time(
    caller: ApiCaller,
) -> None:
    """It may be the one that works."""
    waits = await waits_until_the_end(RetryLoop(caller, POLL, BULK), LOST)

    assert waits == [1, 2, 4, 8, 16, 32, 100 - 63]


async def test_call_of_a_run_makes_three_attempts_however_late(caller: ApiCaller) -> None:
    """It may have waited for its slots longer than the retry time."""
    waits = await waits_until_the_end(RetryLoop(caller, POLL, BULK), LOST, seconds=1000)

    assert waits == [1, 2]


async def test_single_call_makes_no_attempt_after_a_long_wait_for_slots(
    caller: ApiCaller,
) -> None:
    """Its user knows when it ends."""
    loop = RetryLoop(caller, POLL, SINGLE)
    await loop.wait(LOST)
    await asyncio.sleep(1000)
    with pytest.raises(mp4gen.TransportError):
        await loop.wait(LOST)


@pytest.mark.parametrize("options", [SINGLE, BULK])
async def test_time_of_zero_allows_no_retry(caller: ApiCaller, options: CallOptions) -> None:
    """`Retry(timeout=0)` turns retries off."""
    none = CallOptions(options.priority, 0.0, retry_forever=options.retry_forever)

    assert await waits_until_the_end(RetryLoop(caller, POLL, none), LOST) == []


async def test_delay_that_the_server_asks_for_is_honoured(caller: ApiCaller) -> None:
    """It is longer than ours."""
    busy = mp4gen.ServerError("The API answered 503.", code=503)
    busy.retry_after = 30
    waits = await waits_until_the_end(RetryLoop(caller, POLL, SINGLE), busy)

    assert waits == [30, 30, 30]


async def test_refusals_wait_at_the_limiter(caller: ApiCaller) -> None:
    """Not here; they count as no failure, and end a single call after its time."""
    single, bulk = RetryLoop(caller, POLL, SINGLE), RetryLoop(caller, POLL, BULK)
    for loop in (single, bulk):
        await loop.wait(REFUSED)
    at_once = now()
    await asyncio.sleep(99)
    await single.wait(REFUSED)
    await asyncio.sleep(1)
    await bulk.wait(REFUSED)
    with pytest.raises(mp4gen.RateLimitError):
        await single.wait(REFUSED)

    assert at_once == pytest.approx(0)
    assert single.failures == bulk.failures == 0


async def test_maintenance_waits_at_the_breaker(caller: ApiCaller) -> None:
    """Not here; a call that does not wait for it gives up."""
    patient = RetryLoop(caller, POLL, BULK)
    await patient.wait(CLOSED)
    with pytest.raises(mp4gen.MaintenanceError):
        await RetryLoop(caller, POLL, SINGLE).wait(CLOSED)

    assert now() == pytest.approx(0)
    assert patient.failures == 0


async def test_call_of_a_run_waits_for_an_outage_at_the_breaker(caller: ApiCaller) -> None:
    """A probe ends that wait sooner than a delay; a single call keeps its own."""
    caller.breakers.trip(LOST)
    start = now()
    await RetryLoop(caller, POLL, BULK).wait(LOST)
    of_run = now() - start
    await RetryLoop(caller, POLL, SINGLE).wait(LOST)

    assert of_run == 0
    assert now() - start == pytest.approx(1)


async def test_permanent_failure_is_raised_at_once(
    caller: ApiCaller, events: list[mp4gen.Event]
) -> None:
    """No event promises another attempt."""
    wrong = mp4gen.InvalidRequestError("The API answered 400.", code=400)

    assert await waits_until_the_end(RetryLoop(caller, POLL, BULK), wrong) == []
    assert events == []


async def test_event_names_the_path_without_its_query(
    caller: ApiCaller, events: list[mp4gen.Event]
) -> None:
    """And the failure, and the delay."""
    loop = RetryLoop(caller, POLL, SINGLE)
    await loop.wait(LOST)
    await loop.wait(REFUSED, immediately=True)

    assert events == [
        mp4gen.RetryEvent("/api/v1/mp4/record-info", LOST, 1.0),
        mp4gen.RetryEvent("/api/v1/mp4/record-info", REFUSED, 0.0),
    ]
    assert loop.last_error is REFUSED
    assert loop.failures == 1
