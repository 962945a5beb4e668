"""Bound the tracks of a bulk run that are in progress or whose results wait to be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """The places of one run: one for each track in progress, and for each result until it is read.

    A track that waits for its download leaves its place to another one, within a bound of its own.

    Args:
        places: The number of tracks and results.
        downloads: The number of tracks that wait for their download.
    """

    def __init__(self, places: int, downloads: int) -> None:
        self._free = places
        self._freed = asyncio.Event()
        self._downloads = asyncio.Semaphore(downloads)

    async def acquire(self) -> None:
        """Take a place for a new track when one is free."""
        while self._free <= 0:
            self._freed.clear()
            await self._freed.wait()
        self._free -= 1

    def release(self) -> None:
        """Free a place."""
        self._free += 1
        self._freed.set()

    @asynccontextmanager
    async def left_for_download(self) -> AsyncIterator[None]:
        """Leave the place during the block, and take one again, even if none is free."""
        async with self._downloads:
            self.release()
            try:
                yield
            finally:
                self._free -= 1
