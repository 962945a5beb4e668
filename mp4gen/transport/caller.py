"""One API call with all that surrounds it: the gate, the slot, the meaning of its answer, retries.

It knows nothing of videos; what a call is for, and whether to try a lost one again, is decided by
those who use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from random import Random
from typing import TypeVar

import attrs

from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import HttpResponse
from mp4gen.errors import ApiError, MaintenanceError, Mp4GenError, RateLimitError, ServerError
from mp4gen.events import EventEmitter, MaintenanceEvent, PausedEvent, RetryEvent
from mp4gen.options import RateLimit, Retry

from .circuit_breaker import CircuitBreaker
from .http import Transport
from .rate_limit import CLOCK_RESOLUTION, Priority, RateLimiter
from .retry import RetryDecision, RetryQuota, backoff_delays, classify
from .sleeper import Sleeper

T = TypeVar("T")

# Six hours, and the time until a probe finds them over.
_BULK_MAINTENANCE_TIMEOUT = 6 * 3600.0 + 600.0

# The way through a gate that is open: no probe.
_NO_PROBE = nullcontext(enter_result=False)


class Stopwatch:
    """Seconds of loop time since it was made, without those while it was stopped."""

    __slots__ = ("_before", "_started")

    def __init__(self) -> None:
        self._before = 0.0
        self._started: float | None = asyncio.get_running_loop().time()

    @property
    def elapsed(self) -> float:
        """What it shows now."""
        if self._started is None:
            return self._before
        return self._before + asyncio.get_running_loop().time() - self._started

    def stop(self) -> None:
        """Let no time count from now on."""
        self._before, self._started = self.elapsed, None

    def start(self) -> None:
        """Let time count again."""
        if self._started is None:
            self._started = asyncio.get_running_loop().time()


@attrs.frozen
class CallOptions:
    """How one caller wants to wait.

    Attributes:
        priority: its place at the limiter.
        retry_timeout: seconds of failing until it gives up.
        max_maintenance: seconds of one maintenance window it will sit out.
        retry_forever: whether rate refusals and outages are waited out, whatever they take.
    """

    priority: Priority = Priority.INTERACTIVE
    retry_timeout: float = 300.0
    max_maintenance: float = 0.0
    retry_forever: bool = False

    @classmethod
    def for_bulk_run(cls, retry: Retry) -> CallOptions:
        """That of a bulk run; by default it sits out six hours of maintenance."""
        timeout = retry.maintenance_timeout
        max_maintenance = _BULK_MAINTENANCE_TIMEOUT if timeout is None else timeout
        return cls(Priority.BULK, retry.timeout, max_maintenance, retry_forever=True)


class ApiCaller:
    """Sends calls for one client, each through the same gate, limiter and quota."""

    def __init__(
        self,
        transport: Transport,
        limiter: RateLimiter,
        retry: Retry,
        events: EventEmitter,
        random: Random,
    ) -> None:
        self.retry = retry
        self.random = random
        self.events = events
        self.quota = RetryQuota()
        self.sleeper = Sleeper()
        self.circuit_breaker = CircuitBreaker(self.sleeper)
        self._transport = transport
        self._limiter = limiter
        limit = getattr(limiter, "limit", None)
        self._paused_until = float("-inf")
        self._bulk_poll_lock = asyncio.Lock()
        self._limit_period = limit.per if isinstance(limit, RateLimit) else RateLimit().per

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport.closed

    async def aclose(self) -> None:
        """Close the connections; whoever waits for anything gets an error at once."""
        self.sleeper.close()
        await self._transport.aclose()

    async def send(
        self,
        request: ApiRequest,
        parse: Callable[[HttpResponse], T],
        call_options: CallOptions,
        *,
        stopwatch: Stopwatch | None = None,
        timeout: float | None = None,
        on_start: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[T, float | None]:
        """Send `request` once.

        Args:
            request: what to send.
            parse: makes a value, or the error that it means, of an answer.
            call_options: whose call it is.
            stopwatch: stopped while the call waits for its turn.
            timeout: seconds for the call itself; default `Retry.request_timeout`.
            on_start: awaited when the call's turn has come, before its first byte.

        Returns:
            the value, and the seconds that the server asks to wait.

        Raises:
            Mp4GenError: whatever the answer, or its absence, means.
        """
        if stopwatch is not None:
            stopwatch.stop()
        try:
            while True:
                async with (
                    self._permit(call_options) as probe,
                    self._slot(request, call_options.priority),
                ):
                    # The gate may have closed while the call waited for its slot.
                    if not probe and self._is_blocked(call_options):
                        continue
                    if stopwatch is not None:
                        stopwatch.start()
                    if on_start is not None:
                        await on_start()
                    response = await self._transport.send(
                        request, timeout or self.retry.request_timeout
                    )
                    return self._parse(response, parse), response.retry_after
        finally:
            if stopwatch is not None:
                stopwatch.start()

    async def send_with_retries(
        self, request: ApiRequest, parse: Callable[[HttpResponse], T], call_options: CallOptions
    ) -> T:
        """Send `request`, which costs nothing, until it is answered or patience is at its end.

        Raises:
            Mp4GenError: the last failure.
        """
        retry_loop = RetryLoop(self, request, call_options)
        while True:
            try:
                value, _ = await self.send(request, parse, call_options)
            except Mp4GenError as error:
                await retry_loop.wait(error)
            else:
                return value

    def _permit(self, call_options: CallOptions) -> AbstractAsyncContextManager[bool]:
        """The way through the gate; gives whether the call is its probe."""
        return (
            self.circuit_breaker.permit(call_options.max_maintenance)
            if self._is_blocked(call_options)
            else _NO_PROBE
        )

    @asynccontextmanager
    async def _slot(self, request: ApiRequest, priority: Priority) -> AsyncIterator[None]:
        """Hold a slot for `request`; stop waiting for one when the client closes."""
        async with AsyncExitStack() as stack:
            async with self.sleeper.cancel_on_close():
                if not request.rate_limited:
                    await self._wait_for_pause_end()
                elif priority is Priority.BULK and request.method == "GET":
                    # One poll of a bulk run queues at a time, so that submits go first. Tracks
                    # submitted earlier end earlier, and polls sent later are less often too early:
                    # over 1,000 tracks this saves a tenth of the time and nine in ten early polls.
                    async with self._bulk_poll_lock:
                        await stack.enter_async_context(self._limiter.slot(priority))
                else:
                    await stack.enter_async_context(self._limiter.slot(priority))
            yield

    async def _wait_for_pause_end(self) -> None:
        """Wait until no pause holds calls back, on behalf of a call that no limit counts."""
        loop = asyncio.get_running_loop()
        while (remaining := self._paused_until - loop.time()) > CLOCK_RESOLUTION:
            await self.sleeper.sleep(remaining)

    def would_give_up(self, call_options: CallOptions) -> bool:
        """Whether the gate is closed to a caller, and for longer than it would wait."""
        return self._is_blocked(call_options) and self.circuit_breaker.open_longer_than(
            call_options.max_maintenance
        )

    def _is_blocked(self, call_options: CallOptions) -> bool:
        """Whether the gate is closed to a call: who does not wait outages out has a try in each."""
        return self.circuit_breaker.is_open and (
            call_options.retry_forever or self.circuit_breaker.is_maintenance
        )

    def _parse(self, response: HttpResponse, parse: Callable[[HttpResponse], T]) -> T:
        try:
            value = parse(response)
        except Mp4GenError as error:
            if isinstance(error, ApiError):
                error.retry_after = response.retry_after
            self._record_failure(error)
            raise
        self.quota.release()
        self.circuit_breaker.reset()
        return value

    def _record_failure(self, error: Mp4GenError) -> None:
        """Let the whole client know of a refusal that is not this call's alone."""
        if isinstance(error, RateLimitError):
            # A server that asks for hours is not believed: asking again costs one call.
            delay = max(self._limit_period, min(error.retry_after or 0.0, self.retry.timeout))
            until = asyncio.get_running_loop().time() + delay
            self._paused_until = max(self._paused_until, until)
            self._limiter.pause(delay)
            self.events.emit(PausedEvent(delay))
        elif isinstance(error, MaintenanceError):
            self.circuit_breaker.trip(error, self.retry.maintenance_poll_interval)
            self.events.emit(MaintenanceEvent(self.retry.maintenance_poll_interval))
        elif isinstance(error, ApiError) and error.from_api and not isinstance(error, ServerError):
            self.circuit_breaker.reset()


class RetryLoop:
    """The tries of one call: how long to pause before the next, or that there is none.

    Attributes:
        stopwatch: the seconds of failing so far.
    """

    def __init__(self, caller: ApiCaller, request: ApiRequest, call_options: CallOptions) -> None:
        self._caller = caller
        self._request = request
        self._call_options = call_options
        self.stopwatch = Stopwatch()
        self._delays: Iterator[float] = backoff_delays(caller.retry, caller.random)

    async def wait(self, error: Mp4GenError, *, immediately: bool = False) -> None:
        """Return when it is time for the next try.

        Args:
            error: how the last one failed.
            immediately: whether to skip the pause.

        Raises:
            Mp4GenError: `error` itself, where another try is of no use or not allowed.
        """
        delay = 0.0 if immediately else self._next_delay(error)
        self._caller.events.emit(RetryEvent(self._request.path.partition("?")[0], error, delay))
        if delay:
            await self._caller.sleeper.sleep(delay)

    def _next_delay(self, error: Mp4GenError) -> float:
        """How long; 0 where the limiter or the gate will hold the call by themselves."""
        call_options, elapsed = self._call_options, self.stopwatch.elapsed
        if self._caller.would_give_up(call_options):
            raise error
        match classify(error, submit=False):
            case RetryDecision.PAUSE if (
                call_options.retry_forever or elapsed < call_options.retry_timeout
            ):
                return 0.0
            case RetryDecision.MAINTENANCE if call_options.max_maintenance > 0:
                return 0.0
            case RetryDecision.RETRY:
                delay = max(next(self._delays), getattr(error, "retry_after", None) or 0.0)
                if elapsed + delay <= call_options.retry_timeout and self._caller.quota.acquire():
                    return delay
                if elapsed + delay <= call_options.retry_timeout and call_options.retry_forever:
                    # An outage: from here on one call at a time asks whether it is over.
                    self._caller.circuit_breaker.trip(error, self._caller.retry.max_delay)
                    return 0.0
        raise error
