"""The circuit breaker of a client: while it is open, one call at a time probes the API."""

import asyncio
from contextlib import suppress

import pytest

import mp4gen
from mp4gen.transport.circuit_breaker import CircuitBreaker
from tests.support_async import now

pytestmark = pytest.mark.looptime
DOWN = mp4gen.MaintenanceError("System maintenance", code=455)


async def ask(breaker: CircuitBreaker, max_wait: float, passed: list[float], until: float) -> None:
    """Request permits as a call with this `max_wait`, until the loop time is `until`."""
    while True:
        async with breaker.permit(max_wait):
            passed.append(now())
            await asyncio.sleep(0.1)
            if now() > until:
                breaker.reset()
                return
            breaker.trip(DOWN, 300)


async def test_open_breaker_passes_one_probe_at_a_time() -> None:
    """Failure mode 12: six hours, 300 waiters, one probe every five minutes, then all pass."""
    breaker, passed = CircuitBreaker(), list[float]()
    breaker.trip(DOWN, 300)

    await asyncio.gather(*(ask(breaker, 1e9, passed, 6 * 3600) for _ in range(300)))

    assert len([time for time in passed if time < 6 * 3600]) <= 72
    assert max(passed) < 6 * 3600 + 301


async def test_permit_without_max_wait_raises_immediately() -> None:
    """The error that opened the breaker is raised."""
    breaker = CircuitBreaker()
    breaker.trip(DOWN, 300)

    with pytest.raises(mp4gen.MaintenanceError, match="System maintenance"):
        async with breaker.permit(0):
            pass

    assert now() == 0


async def test_max_wait_counts_from_the_opening() -> None:
    """All waits for one maintenance window end at the same age of it."""
    breaker = CircuitBreaker()
    breaker.trip(DOWN, 300)
    await asyncio.sleep(100)

    with pytest.raises(mp4gen.MaintenanceError):
        async with breaker.permit(150):
            pass

    assert now() == pytest.approx(150)


async def test_old_outage_is_over_if_its_next_probe_says_so() -> None:
    """A call waits for the probe in progress, however old the outage; then it raises or passes."""
    breaker, passed = CircuitBreaker(), list[float]()
    breaker.trip(DOWN, 300)
    await asyncio.sleep(24 * 3600)

    async def probe(*, succeeds: bool) -> None:
        async with breaker.permit(600):
            await asyncio.sleep(2)
            if succeeds:
                breaker.reset()

    async def wait() -> None:
        await asyncio.sleep(1)
        async with breaker.permit(600):
            passed.append(now())

    results = await asyncio.gather(probe(succeeds=False), wait(), return_exceptions=True)
    await asyncio.sleep(300)
    await asyncio.gather(probe(succeeds=True), wait())

    assert isinstance(results[1], mp4gen.MaintenanceError)
    assert passed == [24 * 3600 + 2 + 300 + 2]


async def test_reset_lets_all_waiters_pass() -> None:
    """One proper response is enough."""
    breaker = CircuitBreaker()
    breaker.trip(DOWN, 300)

    async def wait() -> float:
        async with breaker.permit(1000):
            return now()

    waiting = [asyncio.create_task(wait()) for _ in range(5)]
    await asyncio.sleep(40)
    breaker.reset()

    assert await asyncio.gather(*waiting) == pytest.approx([40] * 5)
    assert not breaker.is_open


async def test_failed_probe_delays_the_next_one() -> None:
    """After a gateway's page or a broken connection the next probe waits its interval."""
    breaker, passed = CircuitBreaker(), list[float]()
    breaker.trip(DOWN, 300)

    async def probe() -> None:
        with suppress(OSError):
            async with breaker.permit(1000):
                passed.append(now())
                raise OSError

    await asyncio.wait([asyncio.create_task(probe()) for _ in range(3)], timeout=950)

    assert passed == pytest.approx([300, 600, 900])


async def test_cancelled_probe_lets_the_next_one_pass() -> None:
    """Failure mode 40: it found nothing out, so the next probe need not wait."""
    breaker, passed = CircuitBreaker(), list[float]()
    breaker.trip(DOWN, 300)

    async def probe() -> None:
        async with breaker.permit(1000):
            passed.append(now())
            await asyncio.sleep(5)
            breaker.reset()

    first, second = (asyncio.create_task(probe()) for _ in range(2))
    await asyncio.sleep(301)
    first.cancel()
    await asyncio.wait([first, second])

    assert passed == pytest.approx([300, 301])


async def test_open_longer_than_compares_the_age() -> None:
    """A caller that waited in vain does not come back immediately."""
    breaker = CircuitBreaker()

    assert not breaker.open_longer_than(0)
    breaker.trip(DOWN, 300)
    assert breaker.open_longer_than(0)
    assert not breaker.open_longer_than(10)
    await asyncio.sleep(10)
    assert breaker.open_longer_than(10)


async def test_permit_error_says_that_nothing_was_sent() -> None:
    """The outage may have begun with a request that was sent."""
    breaker = CircuitBreaker()
    breaker.trip(mp4gen.TransportError("The response was cut off.", sent=True), 30)

    with pytest.raises(mp4gen.TransportError) as refused:
        async with breaker.permit(0.0):
            pass

    assert refused.value.sent is False


@pytest.mark.parametrize("start", [0.1, 0.3, 17.1, 77.77, 1234.567, 24680.13579])
async def test_permit_survives_timers_that_fire_early(start: float) -> None:
    """Rounding keeps no call waiting, at any time of the clock."""
    await asyncio.sleep(start)
    breaker, passed = CircuitBreaker(), list[float]()
    for _ in range(20):
        breaker.trip(DOWN, 300 + start / 7)

        await ask(breaker, 1e9, passed, now())

    assert len(passed) == 20


async def test_failures_are_common_if_no_call_was_answered_in_between() -> None:
    """One proper response starts the count anew."""
    breaker = CircuitBreaker()
    for _ in range(9):
        breaker.record_failure(DOWN)
    assert not breaker.has_common_failures
    breaker.reset()
    for _ in range(9):
        breaker.record_failure(DOWN)
    assert not breaker.has_common_failures
    breaker.record_failure(DOWN)

    assert breaker.has_common_failures
    assert not breaker.is_open


async def test_seconds_open_add_up() -> None:
    """They are what a call's retry time does not count."""
    breaker = CircuitBreaker()
    await asyncio.sleep(10)
    breaker.trip(DOWN, 300)
    await asyncio.sleep(20)
    breaker.trip(DOWN, 300)
    await asyncio.sleep(5)
    assert breaker.seconds_open == pytest.approx(25)
    breaker.reset()
    await asyncio.sleep(10)
    assert breaker.seconds_open == pytest.approx(25)
    breaker.trip(DOWN, 300)
    await asyncio.sleep(1)

    assert breaker.seconds_open == pytest.approx(26)


async def test_permit_raises_the_last_error_at_the_deadline() -> None:
    """A call whose own time is over does not hear of the failures of others."""
    breaker, own = CircuitBreaker(), mp4gen.ServerError("mine", code=500)
    breaker.trip(DOWN, 300)

    with pytest.raises(mp4gen.ServerError, match="mine"):
        async with breaker.permit(1e9, 40.0, own):
            pass

    assert now() == pytest.approx(40)
