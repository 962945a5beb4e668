"""One gate for the whole client: while it is closed, one probe at a time asks."""

import asyncio
from contextlib import suppress

import pytest

import mp4gen
from mp4gen.transport.circuit_breaker import CircuitBreaker

pytestmark = pytest.mark.looptime
DOWN = mp4gen.MaintenanceError("System maintenance", code=455)


def now() -> float:
    return asyncio.get_running_loop().time()


async def ask(gate: CircuitBreaker, patience: float, passed: list[float], lasts: float) -> None:
    """Ask until it is `lasts` o'clock, as a call with this patience would."""
    while True:
        async with gate.permit(patience):
            passed.append(now())
            await asyncio.sleep(0.1)
            if now() > lasts:
                gate.reset()
                return
            gate.trip(DOWN, 300)


async def test_row_12_one_probe_at_a_time_whoever_waits() -> None:
    """Six hours, three hundred waiters: a probe each five minutes, and then all pass."""
    gate, passed = CircuitBreaker(), list[float]()
    gate.trip(DOWN, 300)

    await asyncio.gather(*(ask(gate, 1e9, passed, 6 * 3600) for _ in range(300)))

    assert len([time for time in passed if time < 6 * 3600]) <= 72
    assert max(passed) < 6 * 3600 + 301


async def test_whoever_is_not_patient_is_told_at_once() -> None:
    """Without patience, the refusal that closed the gate is the answer."""
    gate = CircuitBreaker()
    gate.trip(DOWN, 300)

    with pytest.raises(mp4gen.MaintenanceError, match="System maintenance"):
        async with gate.permit(0):
            pass

    assert now() == 0


async def test_patience_counts_from_the_beginning_of_the_window() -> None:
    """Everybody's patience with one window ends at the same age of it."""
    gate = CircuitBreaker()
    gate.trip(DOWN, 300)
    await asyncio.sleep(100)

    with pytest.raises(mp4gen.MaintenanceError):
        async with gate.permit(150):
            pass

    assert now() == pytest.approx(150)


async def test_an_opened_gate_lets_all_pass_at_once() -> None:
    """A proper answer to anybody is good news for all."""
    gate = CircuitBreaker()
    gate.trip(DOWN, 300)

    async def wait() -> float:
        async with gate.permit(1000):
            return now()

    waiting = [asyncio.create_task(wait()) for _ in range(5)]
    await asyncio.sleep(40)
    gate.reset()

    assert await asyncio.gather(*waiting) == pytest.approx([40] * 5)
    assert not gate.is_open


async def test_a_probe_that_finds_nothing_out_does_not_let_the_next_one_follow_at_once() -> None:
    """A gateway's page or a broken connection amid maintenance is no reason to hurry."""
    gate, passed = CircuitBreaker(), list[float]()
    gate.trip(DOWN, 300)

    async def probe() -> None:
        with suppress(OSError):
            async with gate.permit(1000):
                passed.append(now())
                raise OSError

    await asyncio.wait([asyncio.create_task(probe()) for _ in range(3)], timeout=950)

    assert passed == pytest.approx([300, 600, 900])


async def test_row_40_a_cancelled_probe_hands_its_turn_on() -> None:
    """It found nothing out and sent perhaps nothing: the next one need not wait."""
    gate, passed = CircuitBreaker(), list[float]()
    gate.trip(DOWN, 300)

    async def probe() -> None:
        async with gate.permit(1000):
            passed.append(now())
            await asyncio.sleep(5)
            gate.reset()

    first, second = (asyncio.create_task(probe()) for _ in range(2))
    await asyncio.sleep(301)
    first.cancel()
    await asyncio.wait([first, second])

    assert passed == pytest.approx([300, 301])


async def test_the_gate_knows_whose_patience_it_outlasts() -> None:
    """So that a caller who was sent away does not come back at once."""
    gate = CircuitBreaker()

    assert not gate.open_longer_than(0)
    gate.trip(DOWN, 300)
    assert gate.open_longer_than(0)
    assert not gate.open_longer_than(10)
    await asyncio.sleep(10)
    assert gate.open_longer_than(10)


async def test_a_call_that_was_never_sent_does_not_look_as_if_it_had_been() -> None:
    """An outage that began with lost answers leaves those at the gate in no doubt."""
    gate = CircuitBreaker()
    gate.trip(mp4gen.TransportError("The response was cut off.", sent=True), 30)

    with pytest.raises(mp4gen.TransportError) as refused:
        async with gate.permit(0.0):
            pass

    assert refused.value.sent is False


@pytest.mark.parametrize("start", [0.1, 0.3, 17.1, 77.77, 1234.567, 24680.13579])
async def test_a_timer_that_fires_a_hair_early_is_not_set_for_ever(start: float) -> None:
    """Whatever the clock shows when maintenance begins, rounding keeps nobody at the gate."""
    await asyncio.sleep(start)
    gate, passed = CircuitBreaker(), list[float]()
    for _ in range(20):
        gate.trip(DOWN, 300 + start / 7)

        await ask(gate, 1e9, passed, now())

    assert len(passed) == 20
