"""How often an open breaker lets a probe pass, and which failures open which breaker."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

import mp4gen
from mp4gen.api.protocol import ApiRequest
from mp4gen.transport.breakers import Breakers
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.event_emitter import EventEmitter
from mp4gen.transport.http import Transport
from mp4gen.transport.retry_loop import RetryLoop
from mp4gen.transport.sleeper import Sleeper
from tests.support_async import LongestDelays, now

pytestmark = pytest.mark.looptime
FAILURE = mp4gen.TransportError("No response.", sent=True)
RETRY = mp4gen.Retry(timeout=300, initial_delay=1, max_delay=60)
SUBMIT = ApiRequest("POST", "/api/v1/mp4/generate", b"{}", is_submit=True)
POLL = ApiRequest("GET", "/api/v1/mp4/record-info?taskId=t")


@pytest.fixture
async def caller() -> AsyncIterator[ApiCaller]:
    caller = ApiCaller(
        Transport("http://127.0.0.1:9", lambda: None),
        mp4gen.SlidingWindowLimiter(),
        RETRY,
        EventEmitter(),
        LongestDelays(),
    )
    yield caller
    await caller.aclose()


async def waits_for_probes(breakers: Breakers, number: int) -> list[float]:
    """Return the seconds before each of some probes that fail in a new outage."""
    waits = []
    breakers.trip(FAILURE)
    for _ in range(number):
        start = now()
        async with breakers.circuit_breaker.permit(1e6):
            waits.append(round(now() - start, 3))
            breakers.trip(FAILURE)
    return waits


async def test_intervals_between_probes_grow_until_the_outage_ends() -> None:
    """The next outage starts with short ones again."""
    breakers = Breakers(RETRY, LongestDelays(), Sleeper())
    first = await waits_for_probes(breakers, 8)
    breakers.circuit_breaker.reset()
    second = await waits_for_probes(breakers, 3)

    assert first == [1, 2, 4, 8, 16, 32, 60, 60]
    assert second == [1, 2, 4]


@pytest.mark.parametrize(("asked", "expected"), [(0.5, 1), (50, 50), (1e6, 300)])
async def test_probe_waits_as_long_as_the_server_asks(asked: float, expected: float) -> None:
    """Hours count as the retry time: asking again costs one call."""
    breakers = Breakers(RETRY, LongestDelays(), Sleeper())
    error = mp4gen.ServerError("The API answered 503.", code=503)
    error.retry_after = asked
    breakers.trip(error)
    async with breakers.circuit_breaker.permit(1e6):
        waited = now()

    assert waited == pytest.approx(expected)


async def test_first_failures_of_many_submits_open_the_breaker_of_submits(
    caller: ApiCaller,
) -> None:
    """Twenty different submits of a run have failed, each once."""
    options = CallOptions.for_bulk_run(RETRY)
    for number in range(20):
        assert not caller.submit_breaker.breaker.is_open, number
        await RetryLoop(caller, SUBMIT, options).wait(FAILURE)

    assert caller.submit_breaker.breaker.is_open


async def test_failures_of_one_submit_leave_the_breaker_of_submits_closed(
    caller: ApiCaller,
) -> None:
    """It may be its own cause."""
    loop = RetryLoop(caller, SUBMIT, CallOptions.for_bulk_run(mp4gen.Retry(timeout=1e5)))
    for _ in range(30):
        await loop.wait(FAILURE)

    assert not caller.submit_breaker.breaker.is_open


async def test_single_submits_leave_the_breaker_of_submits_closed(caller: ApiCaller) -> None:
    """Only a run, which can wait an hour, is held back by it."""
    for _ in range(30):
        await RetryLoop(caller, SUBMIT, CallOptions.for_single_calls(RETRY)).wait(FAILURE)

    assert not caller.submit_breaker.breaker.is_open


async def test_retry_time_of_a_submit_of_a_run_stands_still_while_a_breaker_is_open(
    caller: ApiCaller,
) -> None:
    """Both breakers count."""
    loop = RetryLoop(caller, SUBMIT, CallOptions.for_bulk_run(RETRY))
    await loop.wait(FAILURE, immediately=True)
    for breaker, seconds in (caller.circuit_breaker, 70), (caller.submit_breaker.breaker, 500):
        breaker.trip(FAILURE, 30)
        await asyncio.sleep(seconds)
        breaker.reset()
    await asyncio.sleep(20)

    assert loop.remaining == pytest.approx(300 - 20)


async def test_submit_of_a_run_gives_up_after_an_hour_without_any(caller: ApiCaller) -> None:
    """Its own number of failures does not matter then; a poll goes on."""
    options = CallOptions.for_bulk_run(RETRY)
    caller.submit_breaker.breaker.trip(FAILURE, 30)
    await asyncio.sleep(3600)

    await RetryLoop(caller, POLL, options).wait(FAILURE)
    with pytest.raises(mp4gen.TransportError):
        await RetryLoop(caller, SUBMIT, options).wait(FAILURE)


@pytest.mark.parametrize(
    ("options", "submit", "gives_up"),
    [
        (CallOptions.for_bulk_run(RETRY), True, True),
        (CallOptions.for_bulk_run(RETRY), False, False),
        (CallOptions.for_single_calls(RETRY), True, False),
    ],
)
async def test_only_submits_of_a_run_give_up_after_an_hour_without_any(
    options: CallOptions, *, submit: bool, gives_up: bool
) -> None:
    """Polls and single calls take no notice of the breaker of submits."""
    breakers = Breakers(RETRY, Random(1), Sleeper())
    breakers.submit_breaker.breaker.trip(FAILURE, 30)
    await asyncio.sleep(3599)
    before = breakers.would_give_up(options, submit=submit)
    await asyncio.sleep(1)

    assert not before
    assert breakers.would_give_up(options, submit=submit) == gives_up


@pytest.mark.parametrize(
    ("request_", "options", "blocked"),
    [
        (SUBMIT, CallOptions.for_bulk_run(RETRY), True),
        (POLL, CallOptions.for_bulk_run(RETRY), False),
        (SUBMIT, CallOptions.for_single_calls(RETRY), False),
    ],
)
async def test_breaker_of_submits_holds_back_only_submits_of_runs(
    request_: ApiRequest, options: CallOptions, *, blocked: bool
) -> None:
    """Other calls get through, and a single submit has a user who waits for it."""
    breakers = Breakers(RETRY, Random(1), Sleeper())
    breakers.submit_breaker.breaker.trip(FAILURE, 30)
    expected = breakers.submit_breaker.breaker if blocked else None

    assert breakers.blocking(request_, options, None) is expected
