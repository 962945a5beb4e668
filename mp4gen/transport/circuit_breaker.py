"""One gate for the whole client while the API is down, for maintenance or not; sends nothing.

While it is closed one call at a time may pass, as a probe; all others wait for what it finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy

from mp4gen.errors import MaintenanceError, Mp4GenError, TransportError

from .rate_limit import CLOCK_RESOLUTION
from .sleeper import Sleeper, WakeableSleep


class CircuitBreaker:
    """Open until somebody finds the API down.

    Args:
        sleeper: where those who wait sleep.
    """

    def __init__(self, sleeper: Sleeper | None = None) -> None:
        self._sleeper = sleeper or Sleeper()
        self._error: Mp4GenError | None = None
        self._probe_interval = 0.0
        self._opened_at = 0.0
        self._next_probe_at = 0.0
        self._probing = False
        # In their order: who waited longest goes first.
        self._waiters: dict[WakeableSleep, None] = {}

    @property
    def is_open(self) -> bool:
        """Whether the API is down, as far as we know."""
        return self._error is not None

    @property
    def is_maintenance(self) -> bool:
        """Whether it is down because its host says so."""
        return isinstance(self._error, MaintenanceError)

    @asynccontextmanager
    async def permit(self, max_wait: float) -> AsyncIterator[bool]:
        """Entered when a call may go out; gives whether it is the probe.

        Args:
            max_wait: how many seconds of one maintenance window this call is ready to wait.

        Raises:
            MaintenanceError: the window lasts longer than that.
            TransportError: so does an outage; nothing of this call was sent.
            ConfigurationError: the client was closed.
        """
        probe = self._error is not None and await self._wait_for_permit(max_wait)
        cancelled = False
        try:
            yield probe
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            if probe:
                self._probing = False
                if not cancelled:
                    # Whatever it met that did not open the gate, the next probe waits its time.
                    self._next_probe_at = asyncio.get_running_loop().time() + self._probe_interval
                self._notify_waiters()

    def open_longer_than(self, max_wait: float) -> bool:
        """Whether the window has lasted longer already than somebody is ready to wait."""
        now = asyncio.get_running_loop().time()
        return self._error is not None and now + CLOCK_RESOLUTION >= self._opened_at + max_wait

    def trip(self, error: Mp4GenError, probe_interval: float) -> None:
        """The API is down; one probe may pass each `probe_interval` seconds."""
        now = asyncio.get_running_loop().time()
        if self._error is None:
            self._opened_at = now
        self._error, self._probe_interval = error, probe_interval
        self._next_probe_at = now + probe_interval

    def reset(self) -> None:
        """A call was answered properly."""
        if self._error is not None:
            self._error = None
            self._notify_waiters()

    async def _wait_for_permit(self, max_wait: float) -> bool:
        """Whether the caller is the probe; False where the gate has opened."""
        loop = asyncio.get_running_loop()
        while self._error is not None:
            now = loop.time()
            if now + CLOCK_RESOLUTION >= self._next_probe_at and not self._probing:
                self._probing = True
                return True
            if self.open_longer_than(max_wait):
                raise _not_sent_error(self._error)
            until = self._opened_at + max_wait
            await self._wait_for_change(until if self._probing else min(until, self._next_probe_at))
        return False

    async def _wait_for_change(self, until: float) -> None:
        """Return when something about the gate has changed, or at `until`."""
        waiter = self._sleeper.sleep(until - asyncio.get_running_loop().time())
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)

    def _notify_waiters(self) -> None:
        for waiter in self._waiters:
            waiter.wake()


def _not_sent_error(error: Mp4GenError) -> Mp4GenError:
    """What a call gets that waits no longer; it must not look as if the call had been sent."""
    if isinstance(error, MaintenanceError):
        return copy(error)
    return TransportError(f"the API is down ({error}), nothing was sent", sent=False)
