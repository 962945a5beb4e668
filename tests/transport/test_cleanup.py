"""Clean-up runs to its end through any number of cancels, within a bound."""

import asyncio
import itertools

import pytest

from mp4gen.transport import cleanup
from mp4gen.transport.cleanup import run_clean_up, wait_for_clean_up
from tests.support_async import now

pytestmark = pytest.mark.looptime


async def cancelled_repeatedly(seconds: float) -> tuple[asyncio.Task[None], float]:
    """Cancel the wait for a clean-up of `seconds` each second; return the clean-up and the time."""
    clean_up = asyncio.create_task(asyncio.sleep(seconds))
    waiting = asyncio.create_task(wait_for_clean_up(clean_up))
    begun = now()
    for _ in itertools.takewhile(lambda _: not waiting.done(), itertools.count()):
        await asyncio.sleep(1)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    return clean_up, now() - begun


async def test_cancels_are_raised_after_the_clean_up() -> None:
    """Failure mode 54: each cancel interrupts only the wait, never the clean-up."""
    clean_up, seconds = await cancelled_repeatedly(5.5)

    assert clean_up.done()
    assert not clean_up.cancelled()
    assert seconds <= 7


async def test_clean_up_that_hangs_does_not_hold_its_caller_forever() -> None:
    """Failure mode 54: after ten seconds of cancels it goes on by itself."""
    clean_up, seconds = await cancelled_repeatedly(100)

    assert not clean_up.done()
    assert 10 <= seconds <= 13
    await clean_up


async def test_clean_up_without_a_cancel_takes_its_time() -> None:
    """Only a cancelled caller is in a hurry; the outcome of the clean-up is its own."""
    clean_up = asyncio.create_task(asyncio.sleep(1000))
    await wait_for_clean_up(clean_up)

    assert clean_up.done()


async def test_one_cancel_is_enough_to_bound_the_wait() -> None:
    """Ten seconds after it the caller goes on, and the loop does not drop the clean-up."""
    ended = asyncio.Event()

    async def clean_up() -> None:
        await asyncio.sleep(30)
        ended.set()

    waiting = asyncio.create_task(run_clean_up(clean_up()))
    await asyncio.sleep(5)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert now() == pytest.approx(15)
    assert not ended.is_set()
    assert len(cleanup._without_caller) == 1
    await asyncio.sleep(20)
    assert ended.is_set()
    assert not cleanup._without_caller


async def test_run_clean_up_raises_what_its_work_raises() -> None:
    """An error of the clean-up reaches its caller, which was not cancelled."""

    async def fail() -> None:
        await asyncio.sleep(1)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await run_clean_up(fail())
