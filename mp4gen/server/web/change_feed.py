"""Wakes whoever watches when something has moved; carries no content itself."""

from __future__ import annotations

import asyncio

# A watcher is woken at most so often, however much moves.
PAUSE = 0.25
BEAT = 10.0


class Feed:
    """A counter of moves that can be waited on."""

    def __init__(self) -> None:
        self._moves = 0
        self._library = 0
        self._closed = False
        self._wake = asyncio.Event()

    @property
    def library(self) -> int:
        """Changes whenever the library does."""
        return self._library

    @property
    def closed(self) -> bool:
        """Whether nothing will move any more."""
        return self._closed

    def moved(self) -> None:
        """Something is different now."""
        self._moves += 1
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    def library_moved(self) -> None:
        """The library is different now."""
        self._library += 1
        self.moved()

    def close(self) -> None:
        """Let every watcher go."""
        self._closed = True
        self.moved()

    async def next(self, seen: int) -> int:
        """Wait until something has moved since `seen`, but not for ever; the new count."""
        if seen == self._moves and not self._closed:
            wake = self._wake
            try:
                async with asyncio.timeout(BEAT):
                    await wake.wait()
            except TimeoutError:
                return seen
        return self._moves
