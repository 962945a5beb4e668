"""A pause ends in time, early, or with its client, and leaves no timer behind."""

import asyncio

import pytest

import mp4gen
from mp4gen.transport.sleeper import Sleeper, WakeableSleep

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_pause_lasts_as_long_as_it_says() -> None:
    """Nobody woke it: False, and that much later."""
    start = now()

    assert await Sleeper().sleep(30) is False
    assert now() - start == pytest.approx(30)


async def test_a_pause_can_be_ended_early() -> None:
    """True, at once; a second waking does nothing."""
    pause = WakeableSleep(30)
    start = now()
    pause.wake()
    pause.wake()

    assert await pause is True
    assert now() - start < 1


async def test_row_40_a_cancelled_pause_leaves_no_timer() -> None:
    """Nothing of it stays in the loop or in the client's set."""
    pauses = Sleeper()
    task = asyncio.ensure_future(_sleep(pauses, 1e6))
    await asyncio.sleep(0)
    (pause,) = pauses._active_sleeps
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert pauses._active_sleeps == set()
    assert pause._timer.cancelled()


async def test_closing_ends_all_that_waits() -> None:
    """Sleepers wake, blocks raise, and whoever comes later is refused."""
    pauses, start = Sleeper(), now()
    sleeper = asyncio.ensure_future(_sleep(pauses, 1e6))
    blocked = asyncio.ensure_future(_block(pauses))
    await asyncio.sleep(1)
    pauses.close()

    assert await sleeper is True
    with pytest.raises(mp4gen.ConfigurationError, match="this client is closed"):
        await blocked
    with pytest.raises(mp4gen.ConfigurationError, match="this client is closed"):
        pauses.sleep(1)
    with pytest.raises(mp4gen.ConfigurationError, match="this client is closed"):
        await _block(pauses)
    assert now() - start < 2


async def test_a_timeout_of_the_block_itself_stays_one() -> None:
    """Only the client's end is told as such."""
    with pytest.raises(TimeoutError), Sleeper().cancel_on_close():
        raise TimeoutError


async def _sleep(pauses: Sleeper, seconds: float) -> bool:
    return await pauses.sleep(seconds)


async def _block(pauses: Sleeper) -> None:
    with pauses.cancel_on_close():
        await asyncio.sleep(1e6)
