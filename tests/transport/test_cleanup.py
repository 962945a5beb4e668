"""Clean-up runs to its end through any number of cancels, within a bound."""

import asyncio
import itertools

import pytest

from mp4gen.transport.cleanup import wait_for_clean_up
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
