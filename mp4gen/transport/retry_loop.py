"""The retries of one call: whether to make another attempt, and the wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mp4gen.api.protocol import ApiRequest
from mp4gen.errors import Mp4GenError
from mp4gen.events import RetryEvent

from .rate_limit import CLOCK_RESOLUTION
from .retry import RetryDecision, backoff_delays, classify

if TYPE_CHECKING:
    from .caller import ApiCaller, CallOptions

# Failures before a call of a bulk run gives up, however long it had to wait for its slots.
_MIN_FAILURES: Final = 3


class RetryLoop:
    """Decides whether a call that failed is sent again, and waits until it is due.

    The retry time runs from the first failure. For a caller that waits out outages it stands still
    while the circuit breaker is open.

    Attributes:
        failures: Failed attempts that were neither rate refusals nor maintenance.
        last_error: How the last attempt failed, or None before the first failure.
    """

    def __init__(self, caller: ApiCaller, request: ApiRequest, call_options: CallOptions) -> None:
        self.failures = 0
        self.last_error: Mp4GenError | None = None
        self._caller = caller
        self._request = request
        self._call_options = call_options
        self._failing_since = 0.0
        self._delays: Iterator[float] = backoff_delays(caller.retry, caller.random)

    @property
    def deadline(self) -> float:
        """The loop time at which the retry time ends, unless an outage stops it."""
        return asyncio.get_running_loop().time() + self.remaining

    @property
    def remaining(self) -> float:
        """The seconds of the retry time that are left."""
        return self._call_options.retry_timeout - (self._now() - self._failing_since)

    async def wait(self, error: Mp4GenError, *, immediately: bool = False) -> None:
        """Wait until the next attempt.

        Args:
            error: How the last attempt failed.
            immediately: Whether to skip the delay.

        Raises:
            Mp4GenError: `error` itself, if a retry is pointless or not allowed.
        """
        if self.last_error is None:
            self._failing_since = self._now()
        self.last_error = error
        delay = 0.0 if immediately else self._next_delay(error)
        self._caller.events.emit(RetryEvent(self._request.path.partition("?")[0], error, delay))
        if delay:
            await self._caller.sleeper.sleep(delay)

    def _now(self) -> float:
        """Return the loop time; without that of outages for a caller that waits them out."""
        now = asyncio.get_running_loop().time()
        if not self._call_options.retry_forever:
            return now
        outages = self._caller.circuit_breaker.seconds_open
        if self._request.is_submit:
            outages += self._caller.submit_breaker.breaker.seconds_open
        return now - outages

    def _next_delay(self, error: Mp4GenError) -> float:
        """Return the seconds to wait; 0 if the limiter or the breaker holds the call back."""
        call_options = self._call_options
        elapsed = self._now() - self._failing_since
        if self._caller.would_give_up(call_options, submit=self._request.is_submit):
            raise error
        match classify(error, submit=False):
            case RetryDecision.PAUSE if (
                call_options.retry_forever or elapsed < call_options.retry_timeout
            ):
                return 0.0
            case RetryDecision.MAINTENANCE if call_options.max_maintenance > 0:
                return 0.0
            case RetryDecision.RETRY:
                self.failures += 1
                if self._request.is_submit and call_options.retry_forever and self.failures == 1:
                    self._caller.submit_breaker.record_first_failure(
                        error, self._caller.retry.max_delay
                    )
                delay = self._delay_after_failure(error, call_options.retry_timeout - elapsed)
                if delay is not None:
                    return delay
        raise error

    def _delay_after_failure(self, error: Mp4GenError, remaining: float) -> float | None:
        """Return the seconds to wait after a failure, or None when the retry time is over."""
        call_options = self._call_options
        delay = next(self._delays)
        if remaining <= CLOCK_RESOLUTION:
            # A run may have waited for its slots so long that one short failure used up the time.
            may_retry = call_options.retry_forever and call_options.retry_timeout > 0
            return delay if may_retry and self.failures < _MIN_FAILURES else None
        if self._caller.circuit_breaker.is_open and call_options.retry_forever:
            return 0.0
        delay = max(delay, getattr(error, "retry_after", None) or 0.0)
        if delay <= remaining:
            return delay
        # A bulk run has time for a last attempt.
        return remaining if call_options.retry_forever else None
