"""A sleep ends in time, early, or with its client, and leaves no timer behind."""

import asyncio
import gc
import weakref

import pytest

import mp4gen
from mp4gen.transport.sleeper import Deadlines, Sleeper, WakeableSleep
from tests.support_async import now

pytestmark = pytest.mark.looptime
CLOSED = r"^This client is closed\. Create a new one\.$"


async def test_sleep_lasts_its_seconds() -> None:
    """If nothing wakes it, the result is False and the full time has passed."""
    start = now()

    assert await Sleeper().sleep(30) is False
    assert now() - start == pytest.approx(30)


async def test_sleep_ends_early_when_woken() -> None:
    """The result is True, immediately; a second wake does nothing."""
    sleep = WakeableSleep(30)
    start = now()
    sleep.wake()
    sleep.wake()

    assert await sleep is True
    assert now() - start < 1


async def test_sleep_can_be_cancelled_in_the_moment_of_its_end() -> None:
    """The task ends cancelled; the sleep itself has ended before."""
    sleeper = Sleeper()
    task = asyncio.create_task(_sleep(sleeper))
    await asyncio.sleep(1)
    sleeper.close()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


@pytest.mark.slow
async def test_cancelled_sleep_leaves_no_timer() -> None:
    """Failure mode 40: nothing of it stays in the loop."""
    sleeper = Sleeper()
    task = asyncio.create_task(_sleep(sleeper))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    gc.collect()

    timers = [timer for timer in gc.get_objects() if isinstance(timer, asyncio.TimerHandle)]
    assert [
        timer for timer in timers if not timer.cancelled() and "WakeableSleep" in repr(timer)
    ] == []


@pytest.mark.parametrize("early", [False, True])
async def test_sleep_that_ended_is_freed(early: bool) -> None:
    """The sleeps of a long run do not add up."""
    sleeper = Sleeper()
    sleeping = sleeper.sleep(1)
    freed = weakref.ref(sleeping)
    if early:
        sleeping.wake()
    await sleeping
    del sleeping
    # The loop itself holds its last timer for a moment.
    await asyncio.sleep(1)
    gc.collect()

    assert freed() is None


async def test_close_ends_everything_that_waits() -> None:
    """Sleeps wake, blocks raise, and later calls are refused."""
    sleeper, start = Sleeper(), now()
    sleeping = asyncio.create_task(_sleep(sleeper))
    blocked = asyncio.create_task(_block(sleeper))
    await asyncio.sleep(1)
    sleeper.close()
    sleeper.close()

    assert await sleeping is True
    with pytest.raises(mp4gen.ConfigurationError, match=CLOSED):
        await blocked
    with pytest.raises(mp4gen.ConfigurationError, match=CLOSED):
        sleeper.sleep(1)
    with pytest.raises(mp4gen.ConfigurationError, match=CLOSED):
        await _block(sleeper)
    assert now() - start < 2


async def test_block_keeps_its_own_timeout_error() -> None:
    """Only the end of the client becomes a `ConfigurationError`."""
    with pytest.raises(TimeoutError):
        async with Sleeper().cancel_on_close():
            raise TimeoutError


@pytest.mark.parametrize("close_first", [True, False])
async def test_outer_cancel_wins_over_close(close_first: bool) -> None:
    """A task that is cancelled in the same moment ends cancelled, not with an error."""
    sleeper = Sleeper()
    blocked = asyncio.create_task(_block(sleeper))
    await asyncio.sleep(1)
    steps = [sleeper.close, blocked.cancel]
    for step in steps if close_first else reversed(steps):
        step()
    await asyncio.wait([blocked])

    assert blocked.cancelled()


async def _sleep(sleeper: Sleeper) -> bool:
    return await sleeper.sleep(1e6)


async def _block(sleeper: Sleeper) -> None:
    async with sleeper.cancel_on_close():
        await asyncio.sleep(1e6)


async def test_deadlines_expire_in_time_with_one_timer() -> None:
    """Each call ends at its own deadline; a call that ended in time needs no timer."""
    deadlines, start, ended = Deadlines(), now(), dict[float, float]()

    async def wait(seconds: float) -> None:
        with pytest.raises(TimeoutError):
            async with deadlines.start(seconds) as until:
                await asyncio.sleep(100)
        deadlines.forget(until)
        ended[seconds] = now() - start

    until = deadlines.start(10)
    async with until:
        await asyncio.sleep(0)
    deadlines.forget(until)
    await asyncio.gather(wait(30), wait(20), wait(40))

    assert ended == {20: pytest.approx(20), 30: pytest.approx(30), 40: pytest.approx(40)}


async def test_closing_ends_all_deadlines() -> None:
    """The calls in progress end now, and no timer is left."""
    deadlines = Deadlines()
    asyncio.get_running_loop().call_later(1, deadlines.close)

    start = now()
    with pytest.raises(TimeoutError):
        async with deadlines.start(30):
            await asyncio.sleep(100)

    assert now() - start == pytest.approx(1)
    assert deadlines._timer is None
