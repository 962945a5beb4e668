"""Bound the tracks of a bulk run that are in progress or whose results wait to be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TrackSlots:
    """The slots of one run: one for each track in progress, and for each result until it is read.

    A track that waits for its download releases its slot to another one, within a bound of its own.

    Args:
        slots: The maximum number of tracks and results.
        downloads: The maximum number of tracks that wait for their download.
    """

    def __init__(self, slots: int, downloads: int) -> None:
        self._free = slots
        self._freed = asyncio.Event()
        self._downloads = asyncio.Semaphore(downloads)

    async def acquire(self) -> None:
        """Take a slot for a new track when one is free."""
        while self._free <= 0:
            self._freed.clear()
            await self._freed.wait()
        self._free -= 1

    def release(self) -> None:
        """Release a slot."""
        self._free += 1
        self._freed.set()

    @asynccontextmanager
    async def released_for_download(self) -> AsyncIterator[None]:
        """Release the slot during the block, and take one again, even if none is free."""
        async with self._downloads:
            self.release()
            try:
                yield
            finally:
                self._free -= 1
