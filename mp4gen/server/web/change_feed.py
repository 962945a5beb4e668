"""Wakes whoever watches when something has moved; carries no content itself."""

from __future__ import annotations

import asyncio

# A watcher is woken at most so often, however much moves.
MIN_INTERVAL = 0.25
HEARTBEAT = 10.0


class ChangeFeed:
    """A counter of moves that can be waited on."""

    def __init__(self) -> None:
        self._version = 0
        self._library_version = 0
        self._closed = False
        self._wake = asyncio.Event()

    @property
    def library_version(self) -> int:
        """Changes whenever the library does."""
        return self._library_version

    @property
    def closed(self) -> bool:
        """Whether nothing will move any more."""
        return self._closed

    def notify(self) -> None:
        """Something is different now."""
        self._version += 1
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    def notify_library(self) -> None:
        """The library is different now."""
        self._library_version += 1
        self.notify()

    def close(self) -> None:
        """Let every watcher go."""
        self._closed = True
        self.notify()

    async def wait_for_change(self, since: int) -> int:
        """Wait until something has moved since `since`, but not for ever; the new count."""
        if since == self._version and not self._closed:
            wake = self._wake
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await wake.wait()
            except TimeoutError:
                return since
        return self._version
