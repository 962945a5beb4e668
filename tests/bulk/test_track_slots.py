"""The slots of a bulk run: how many tracks may be in progress at once."""

import asyncio
from collections import deque

import pytest

from mp4gen.bulk.track_slots import TrackSlots

pytestmark = pytest.mark.looptime


async def is_free(slots: TrackSlots) -> bool:
    """Return whether a slot can be taken now; take it."""
    try:
        async with asyncio.timeout(1):
            await slots.acquire()
    except TimeoutError:
        return False
    return True


async def test_released_slot_goes_to_one_other_track() -> None:
    """Tracks beyond the slots wait, and no release is counted twice."""
    slots = TrackSlots(2, 1)

    assert [await is_free(slots) for _ in range(3)] == [True, True, False]
    slots.release()
    assert [await is_free(slots) for _ in range(2)] == [True, False]
    waiting = asyncio.create_task(slots.acquire())
    await asyncio.sleep(1)
    slots.release()
    await waiting
    assert not await is_free(slots)


async def test_track_that_waits_for_its_download_lends_its_slot() -> None:
    """Afterwards it has the slot again, although another track took it; both must be released."""
    slots = TrackSlots(1, 1)
    await slots.acquire()

    async with slots.released_for_download():
        assert [await is_free(slots) for _ in range(2)] == [True, False]
    slots.release()
    assert not await is_free(slots)
    slots.release()
    assert await is_free(slots)


async def test_downloads_that_wait_are_bounded() -> None:
    """The third download keeps its slot until one of the two others has ended."""
    slots = TrackSlots(3, 2)
    ends = deque(asyncio.Event() for _ in range(3))

    async def download(end: asyncio.Event) -> None:
        await slots.acquire()
        async with slots.released_for_download():
            await end.wait()

    tasks = [asyncio.create_task(download(end)) for end in ends]
    await asyncio.sleep(1)

    assert [await is_free(slots) for _ in range(3)] == [True, True, False]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
