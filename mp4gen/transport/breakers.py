"""Hold calls back before their slot: one circuit breaker for all calls, and one for submits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from random import Random
from typing import TYPE_CHECKING, Final

from mp4gen.api.protocol import ApiRequest
from mp4gen.errors import ApiError, Mp4GenError
from mp4gen.options import Retry

from .circuit_breaker import CircuitBreaker
from .retry import backoff_delays
from .sleeper import Sleeper

if TYPE_CHECKING:
    from .caller import CallOptions
    from .retry_loop import RetryLoop

# Different submits that fail, with none accepted in between, before the cause is not one of them.
_MANY_SUBMITS: Final = 20
# After an hour without an accepted submit, the submits fail, and with them the run.
_SUBMIT_OUTAGE_TIMEOUT: Final = 3600.0
# The permit of a call that nothing blocks: it is not a probe.
_NO_PROBE = nullcontext(enter_result=False)


class Breakers:
    """The breakers of one client.

    Attributes:
        circuit_breaker: Open during maintenance and outages.
        submit_breaker: Open while no submit of a bulk run gets through.
    """

    def __init__(self, retry: Retry, random: Random, sleeper: Sleeper) -> None:
        self.circuit_breaker = CircuitBreaker(sleeper)
        self.submit_breaker = SubmitBreaker(sleeper)
        self._retry, self._random = retry, random
        self._probe_delays: Iterator[float] = backoff_delays(retry, random)

    def blocking(
        self, request: ApiRequest, call_options: CallOptions, retry_loop: RetryLoop | None
    ) -> CircuitBreaker | None:
        """Return the breaker that blocks a call: in an outage, not the first try of a single."""
        breaker = self.circuit_breaker
        if breaker.is_open:
            retries = retry_loop is not None and retry_loop.last_error is not None
            if call_options.retry_forever or retries or breaker.is_maintenance:
                return breaker
        elif request.is_submit and call_options.retry_forever:
            for_submits = self.submit_breaker.breaker
            return for_submits if for_submits.is_open else None
        return None

    def permit(
        self,
        breaker: CircuitBreaker | None,
        call_options: CallOptions,
        retry_loop: RetryLoop | None,
    ) -> AbstractAsyncContextManager[bool]:
        """Return the context of a call that `breaker` blocks; it yields whether it is a probe."""
        if breaker is None:
            return _NO_PROBE
        if breaker is self.submit_breaker.breaker:
            return breaker.permit(_SUBMIT_OUTAGE_TIMEOUT)
        max_wait = self._max_wait(call_options)
        if retry_loop is None or max_wait < math.inf:
            return breaker.permit(max_wait)
        return breaker.permit(max_wait, retry_loop.deadline, retry_loop.last_error)

    def would_give_up(self, call_options: CallOptions, *, submit: bool) -> bool:
        """Return whether a breaker blocks a caller for longer than it waits."""
        breaker = self.submit_breaker.breaker
        is_bulk_submit = submit and call_options.retry_forever
        return (is_bulk_submit and breaker.open_longer_than(_SUBMIT_OUTAGE_TIMEOUT)) or (
            self.circuit_breaker.open_longer_than(self._max_wait(call_options))
        )

    def trip(self, error: Mp4GenError) -> None:
        """Open the circuit breaker for an outage, with probes at growing intervals."""
        if not self.circuit_breaker.is_open:
            self._probe_delays = backoff_delays(self._retry, self._random)
        max_interval = max(self._retry.timeout, self._retry.max_delay)
        interval = max(next(self._probe_delays), min(retry_after(error), max_interval))
        self.circuit_breaker.trip(error, interval)

    def _max_wait(self, call_options: CallOptions) -> float:
        """Return the maximum age of a maintenance window or an outage that a caller waits for."""
        if self.circuit_breaker.is_maintenance:
            return call_options.max_maintenance
        if call_options.retry_forever:
            return max(call_options.max_maintenance, call_options.retry_timeout)
        # Its own retry time ends the wait.
        return math.inf


class SubmitBreaker:
    """The circuit breaker of submits: it opens after many different ones have failed in a row.

    Attributes:
        breaker: Open while one submit at a time is sent, as a probe.
        accepted: Submits that were accepted so far.
    """

    def __init__(self, sleeper: Sleeper) -> None:
        self.breaker = CircuitBreaker(sleeper, outage="The API accepts no submits")
        self.accepted = 0
        self._failing = 0

    def record_response(self) -> None:
        """Let all submits pass after one that was accepted, or refused for good."""
        self._failing = 0
        self.breaker.reset()

    def record_first_failure(self, error: Mp4GenError, probe_interval: float) -> None:
        """Count the first failure of a submit; the later ones of the same submit do not count."""
        self._failing += 1
        if self._failing >= _MANY_SUBMITS and not self.breaker.is_open:
            self.breaker.trip(error, probe_interval)


def retry_after(error: Mp4GenError) -> float:
    """Return the seconds that the server asks to wait, or 0."""
    return (error.retry_after if isinstance(error, ApiError) else None) or 0.0
