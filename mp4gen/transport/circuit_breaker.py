"""The circuit breaker of a client: it holds calls back while the API is down; sends nothing.

While it is closed, all calls flow. While it is open, one call at a time passes as a probe, and all
others wait for its result. It opens for maintenance that the API reports, and for failures that all
calls have in common: so many in a row that no call was answered properly in between.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy

from mp4gen.errors import MaintenanceError, Mp4GenError, TransportError

from .rate_limit import CLOCK_RESOLUTION
from .sleeper import Sleeper, WakeableSleep

# Failures in a row that make an outage: fewer can be chance, or the fault of a single call.
_COMMON_FAILURES = 10


class CircuitBreaker:
    """Closed until a call finds the API down.

    Args:
        sleeper: Holds the sleeps of waiting calls.
        outage: What it means that the breaker is open, for the error of a call that gives up.

    Attributes:
        failures: Failed calls in a row.
        last_failure: The last of them.
        proper_responses: Responses of an API that is up, so far.
    """

    def __init__(self, sleeper: Sleeper | None = None, *, outage: str = "The API is down") -> None:
        self.failures = 0
        self.last_failure: Mp4GenError | None = None
        self.proper_responses = 0
        self._sleeper = sleeper or Sleeper()
        self._outage = outage
        self._error: Mp4GenError | None = None
        self._probe_interval = 0.0
        self._opened_at = 0.0
        self._open_before = 0.0
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

    @property
    def has_common_failures(self) -> bool:
        """Whether so many calls failed in a row that the API seems to be down."""
        return self.failures >= _COMMON_FAILURES

    @property
    def seconds_open(self) -> float:
        """The seconds for which it has been open, in all."""
        if self._error is None:
            return self._open_before
        return self._open_before + asyncio.get_running_loop().time() - self._opened_at

    @asynccontextmanager
    async def permit(
        self, max_wait: float, deadline: float = math.inf, last_error: Mp4GenError | None = None
    ) -> AsyncIterator[bool]:
        """Enter when the call may be sent; yield whether it is the probe.

        Args:
            max_wait: Maximum age in seconds of the maintenance window or outage to wait for.
            deadline: The loop time until which to wait.
            last_error: How the last attempt of the call failed, to be raised after the deadline.

        Raises:
            MaintenanceError: The maintenance lasts longer.
            TransportError: The outage lasts longer; nothing of this call was sent.
            Mp4GenError: `last_error` itself.
            ConfigurationError: The client was closed.
        """
        probe = self._error is not None and await self._wait_for_permit(
            max_wait, deadline, last_error
        )
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

    def record_failure(self, error: Mp4GenError) -> None:
        """Count a call that failed; only `trip` opens the breaker."""
        self.failures += 1
        self.last_failure = error

    def trip(self, error: Mp4GenError, probe_interval: float) -> None:
        """Open the breaker; one probe passes every `probe_interval` seconds."""
        now = asyncio.get_running_loop().time()
        if self._error is None:
            self._opened_at = now
        self._error, self._probe_interval = error, probe_interval
        self._next_probe_at = now + probe_interval

    def reset(self) -> None:
        """Close the breaker after a proper response."""
        self.failures = 0
        self.proper_responses += 1
        if self._error is not None:
            self._open_before = self.seconds_open
            self._error = self.last_failure = None
            self._notify_waiters()

    async def _wait_for_permit(
        self, max_wait: float, deadline: float, last_error: Mp4GenError | None
    ) -> bool:
        """Wait, then return whether the caller is the probe; False if the breaker closed."""
        loop = asyncio.get_running_loop()
        while self._error is not None:
            now = loop.time()
            if now + CLOCK_RESOLUTION >= self._next_probe_at and not self._probing:
                self._probing = True
                return True
            is_over = self.open_longer_than(max_wait)
            # A client can meet an outage of the night before, which only a probe finds to be over.
            if is_over and not (self._probing and max_wait > 0):
                raise self._not_sent_error(self._error)
            if last_error is not None and now + CLOCK_RESOLUTION >= deadline:
                raise last_error
            until = deadline if is_over else min(deadline, self._opened_at + max_wait)
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

    def _not_sent_error(self, error: Mp4GenError) -> Mp4GenError:
        """Return the error of a call that stops waiting; its text says that nothing was sent."""
        if isinstance(error, MaintenanceError):
            return copy(error)
        return TransportError(f"{self._outage}: {error} Nothing was sent.", sent=False)
