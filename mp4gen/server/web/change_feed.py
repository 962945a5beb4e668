"""Notifies the open pages of changes; carries no content itself."""

import asyncio
import contextlib

# Seconds between two events of one page, at least and at most.
MIN_INTERVAL = 0.25
HEARTBEAT = 10.0


class ChangeFeed:
    """A version number of what the page shows; waiters are woken when it changes."""

    def __init__(self) -> None:
        self._version = 0
        self._library_version = 0
        self._closed = False
        self._wake = asyncio.Event()

    @property
    def library_version(self) -> int:
        """A number that changes whenever the library does."""
        return self._library_version

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    def notify(self) -> None:
        """Wake all waiters: something has changed."""
        self._version += 1
        wake, self._wake = self._wake, asyncio.Event()
        wake.set()

    def notify_library(self) -> None:
        """Wake all waiters: the library has changed."""
        self._library_version += 1
        self.notify()

    def close(self) -> None:
        """Wake all waiters for the last time."""
        self._closed = True
        self.notify()

    async def wait_for_change(self, since: int) -> int:
        """Return the version after a change since `since`, or after `HEARTBEAT` seconds."""
        if since == self._version and not self._closed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await self._wake.wait()
        return self._version
