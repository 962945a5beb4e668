"""The circuit breaker of a client: it holds calls back while the API is down; sends nothing.

While it is closed, all calls flow. While it is open, one call at a time passes as a probe, and all
others wait for its result.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy

from mp4gen.errors import MaintenanceError, Mp4GenError, TransportError

from .rate_limit import CLOCK_RESOLUTION
from .sleeper import Sleeper, WakeableSleep


class CircuitBreaker:
    """Closed until a call finds the API down.

    Args:
        sleeper: Holds the sleeps of waiting calls.
    """

    def __init__(self, sleeper: Sleeper | None = None) -> None:
        self._sleeper = sleeper or Sleeper()
        self._error: Mp4GenError | None = None
        self._probe_interval = 0.0
        self._opened_at = 0.0
        self._next_probe_at = 0.0
        self._probing = False
        # In order: the call that has waited longest is woken first.
        self._waiters: dict[WakeableSleep, None] = {}

    @property
    def is_open(self) -> bool:
        """Whether the API is down."""
        return self._error is not None

    @property
    def is_maintenance(self) -> bool:
        """Whether the API itself reported maintenance."""
        return isinstance(self._error, MaintenanceError)

    @asynccontextmanager
    async def permit(self, max_wait: float) -> AsyncIterator[bool]:
        """Enter when the call may be sent; yield whether it is the probe.

        Args:
            max_wait: Maximum age in seconds of the maintenance window or outage to wait for.

        Raises:
            MaintenanceError: The maintenance lasts longer.
            TransportError: The outage lasts longer; nothing of this call was sent.
            ConfigurationError: The client was closed.
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
                    # The probe did not close the breaker: the next one waits for the interval.
                    self._next_probe_at = asyncio.get_running_loop().time() + self._probe_interval
                self._notify_waiters()

    def open_longer_than(self, max_wait: float) -> bool:
        """Return whether the breaker has been open for `max_wait` seconds or more."""
        now = asyncio.get_running_loop().time()
        return self._error is not None and now + CLOCK_RESOLUTION >= self._opened_at + max_wait

    def trip(self, error: Mp4GenError, probe_interval: float) -> None:
        """Open the breaker; one probe passes every `probe_interval` seconds."""
        now = asyncio.get_running_loop().time()
        if self._error is None:
            self._opened_at = now
        self._error, self._probe_interval = error, probe_interval
        self._next_probe_at = now + probe_interval

    def reset(self) -> None:
        """Close the breaker after a proper response."""
        if self._error is not None:
            self._error = None
            self._notify_waiters()

    async def _wait_for_permit(self, max_wait: float) -> bool:
        """Wait, then return whether the caller is the probe; False if the breaker closed."""
        loop = asyncio.get_running_loop()
        while self._error is not None:
            now = loop.time()
            if now + CLOCK_RESOLUTION >= self._next_probe_at and not self._probing:
                self._probing = True
                return True
            if self.open_longer_than(max_wait):
                raise _not_sent_error(self._error)
            until = self._opened_at + max_wait
            waiter = self._sleeper.sleep(
                (until if self._probing else min(until, self._next_probe_at)) - now
            )
            self._waiters[waiter] = None
            try:
                await waiter
            finally:
                del self._waiters[waiter]
        return False

    def _notify_waiters(self) -> None:
        for waiter in self._waiters:
            waiter.wake()


def _not_sent_error(error: Mp4GenError) -> Mp4GenError:
    """Return the error of a call that stops waiting; its text says that nothing was sent."""
    if isinstance(error, MaintenanceError):
        return copy(error)
    return TransportError(f"The API is down: {error} Nothing was sent.", sent=False)
