"""One gate for the whole client while the API is down for maintenance; sends nothing itself.

While it is closed one call at a time may pass, as a probe; all others wait for what it finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import MaintenanceError


class MaintenanceGate:
    """Open until somebody meets a 455.

    Args:
        probe: seconds between one probe and the next.
    """

    def __init__(self, probe: float) -> None:
        self._probe = probe
        self._error: MaintenanceError | None = None
        self._since = 0.0
        self._probe_at = 0.0
        self._probing = False
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def is_closed(self) -> bool:
        """Whether maintenance lasts, as far as we know."""
        return self._error is not None

    @asynccontextmanager
    async def passage(self, patience: float) -> AsyncIterator[None]:
        """Entered when a call may go out.

        Args:
            patience: how many seconds of one maintenance window this call is ready to wait.

        Raises:
            MaintenanceError: the window lasts longer than that.
        """
        probe = self._error is not None and await self._wait(patience)
        try:
            yield
        finally:
            if probe:
                self._probing = False
                self._wake()

    def close(self, error: MaintenanceError) -> None:
        """A call met maintenance."""
        now = asyncio.get_running_loop().time()
        if self._error is None:
            self._since = now
        self._error = error
        self._probe_at = now + self._probe

    def open(self) -> None:
        """A call was answered properly."""
        if self._error is not None:
            self._error = None
            self._wake()

    async def _wait(self, patience: float) -> bool:
        """Whether the caller is the probe; False where the gate has opened."""
        loop = asyncio.get_running_loop()
        while self._error is not None:
            now = loop.time()
            if now >= self._probe_at and not self._probing:
                self._probing = True
                return True
            if now >= self._since + patience:
                raise MaintenanceError(self._error.message, code=self._error.code)
            until = self._since + patience
            await self._change(until if self._probing else min(until, self._probe_at))
        return False

    async def _change(self, until: float) -> None:
        """Return when something about the gate has changed, or at `until`."""
        loop = asyncio.get_running_loop()
        changed = loop.create_future()
        timer = loop.call_at(until, _finish, changed)
        self._waiters.add(changed)
        try:
            await changed
        finally:
            timer.cancel()
            self._waiters.discard(changed)

    def _wake(self) -> None:
        for waiter in self._waiters:
            _finish(waiter)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
