"""What one failed call means for all calls of its client."""

from collections.abc import AsyncIterator

import pytest

import mp4gen
from mp4gen.transport.caller import ApiCaller
from mp4gen.transport.event_emitter import EventEmitter
from mp4gen.transport.http import Transport
from tests.support_async import LongestDelays, now

pytestmark = pytest.mark.looptime
LOST = mp4gen.TransportError("No response.", sent=True)
RETRY = mp4gen.Retry(timeout=300, initial_delay=1, maintenance_poll_interval=200)


def refusal(
    code: int = 430, *, from_api: bool = True, retry_after: float | None = None
) -> mp4gen.ApiError:
    """Return the error of a call beyond the rate limit, or with invalid fields."""
    kind = mp4gen.RateLimitError if code == 430 else mp4gen.InvalidRequestError
    error = kind(f"The API answered {code}.", code=code)
    error.from_api, error.retry_after = from_api, retry_after
    return error


@pytest.fixture
def events() -> list[mp4gen.Event]:
    return []


@pytest.fixture
def limiter() -> mp4gen.SlidingWindowLimiter:
    return mp4gen.SlidingWindowLimiter(mp4gen.RateLimit(20, per=45.0))


@pytest.fixture
async def caller(
    limiter: mp4gen.SlidingWindowLimiter, events: list[mp4gen.Event]
) -> AsyncIterator[ApiCaller]:
    caller = ApiCaller(
        Transport("http://127.0.0.1:9", lambda: None),
        limiter,
        RETRY,
        EventEmitter(events.append),
        LongestDelays(),
    )
    yield caller
    await caller.aclose()


@pytest.mark.parametrize(("asked", "pause"), [(None, 45), (3, 45), (100, 100), (1e6, 300)])
async def test_refusal_pauses_all_calls(
    caller: ApiCaller,
    limiter: mp4gen.SlidingWindowLimiter,
    events: list[mp4gen.Event],
    asked: float | None,
    pause: float,
) -> None:
    """For the period of the limit at least, for the retry time at most."""
    caller.record_failure(refusal(retry_after=asked))
    async with limiter.slot():
        waited = now()

    assert events == [mp4gen.PausedEvent(pause)]
    assert waited == pytest.approx(pause)


@pytest.mark.parametrize("from_api", [True, False])
@pytest.mark.parametrize("code", [430, 400])
async def test_answer_of_the_api_itself_ends_an_outage(
    caller: ApiCaller, code: int, *, from_api: bool
) -> None:
    """A refusal is a proper response too, but that of a gateway says nothing about the API."""
    caller.record_failure(LOST)
    caller.breakers.trip(LOST)
    caller.record_failure(refusal(code, from_api=from_api))

    assert caller.circuit_breaker.is_open is not from_api
    assert caller.circuit_breaker.failures == (0 if from_api else 1)


async def test_refusal_does_not_end_maintenance(caller: ApiCaller) -> None:
    """It may come from before the API."""
    caller.record_failure(mp4gen.MaintenanceError("Closed.", code=455))
    caller.record_failure(refusal())

    assert caller.circuit_breaker.is_maintenance


async def test_maintenance_opens_the_breaker(caller: ApiCaller, events: list[mp4gen.Event]) -> None:
    """The first probe passes after the interval of the settings."""
    caller.record_failure(mp4gen.MaintenanceError("Closed.", code=455))
    async with caller.circuit_breaker.permit(1e6) as probe:
        waited = now()

    assert events == [mp4gen.MaintenanceEvent(200)]
    assert (probe, waited) == (True, pytest.approx(200))


@pytest.mark.parametrize("may_trip", [True, False])
async def test_tenth_failure_in_a_row_opens_the_breaker(
    caller: ApiCaller, *, may_trip: bool
) -> None:
    """Unless the call is one of a run, which asks first whether others get through."""
    for _ in range(9):
        caller.record_failure(LOST, may_trip=may_trip)
    before = caller.circuit_breaker.is_open
    caller.record_failure(LOST, may_trip=may_trip)

    assert not before
    assert caller.circuit_breaker.is_open is may_trip
    assert caller.circuit_breaker.last_failure is LOST


async def test_only_a_failed_probe_puts_off_the_next_one(caller: ApiCaller) -> None:
    """Calls that were on their way when the breaker opened do not."""
    caller.breakers.trip(LOST)
    caller.record_failure(LOST, may_trip=True)
    async with caller.circuit_breaker.permit(1e6):
        first = now()
        caller.record_failure(LOST, is_probe=True)
    async with caller.circuit_breaker.permit(1e6):
        second = now()

    assert (first, second - first) == (pytest.approx(1), pytest.approx(2))


async def test_failed_probe_of_maintenance_leaves_it_maintenance(caller: ApiCaller) -> None:
    """Calls that do not wait for maintenance go on failing at once, with that error."""
    caller.record_failure(mp4gen.MaintenanceError("Closed.", code=455))
    for _ in range(20):
        caller.record_failure(LOST, is_probe=True, may_trip=True)

    assert caller.circuit_breaker.is_maintenance


async def test_failures_of_a_closed_client_do_not_count(caller: ApiCaller) -> None:
    """The close itself has ended the calls."""
    await caller.aclose()
    for _ in range(20):
        caller.record_failure(LOST, may_trip=True)

    assert caller.circuit_breaker.failures == 0
