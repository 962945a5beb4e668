"""One API call with everything around it: circuit breaker, slot, parsing and retries.

The module knows nothing of videos. Its callers decide whether to resend a lost submit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, TypeVar

import attrs

from mp4gen.api.dialects import Dialect
from mp4gen.api.protocol import ApiRequest, build_credits_request
from mp4gen.api.responses import HttpResponse, parse_response
from mp4gen.errors import ApiError, Mp4GenError
from mp4gen.events import MaintenanceEvent, PausedEvent
from mp4gen.options import Retry

from .attempt import Attempt
from .breakers import Breakers, retry_after
from .event_emitter import EventEmitter
from .http import Delivery, Transport
from .rate_limit import Priority, RateLimiter
from .retried_call import RetriedCall
from .retry import RetryDecision, classify
from .retry_loop import RetryLoop
from .sleeper import Sleeper
from .slots import SlotQueue
from .unexpected import unexpected_error

T = TypeVar("T")

# Six hours, and the time until a probe finds that they are over.
_BULK_MAINTENANCE_TIMEOUT = 6 * 3600.0 + 600.0


@attrs.frozen(eq=False, repr=False)
class CallOptions:
    """How long the calls of one caller wait.

    Attributes:
        priority: Priority at the limiter.
        retry_timeout: Seconds of failures after which a call gives up.
        max_maintenance: Maximum seconds of one maintenance window to wait for.
        retry_forever: Whether to wait for the end of rate refusals and outages without a limit.
    """

    priority: Priority = Priority.INTERACTIVE
    retry_timeout: float = 300.0
    max_maintenance: float = 0.0
    retry_forever: bool = False

    @classmethod
    def for_single_calls(cls, retry: Retry) -> CallOptions:
        """Return the options of single calls; by default they do not wait for maintenance."""
        return cls(retry_timeout=retry.timeout, max_maintenance=retry.maintenance_timeout or 0.0)

    @classmethod
    def for_bulk_run(cls, retry: Retry) -> CallOptions:
        """Return the options of a bulk run; by default it waits for six hours of maintenance."""
        timeout = retry.maintenance_timeout
        max_maintenance = _BULK_MAINTENANCE_TIMEOUT if timeout is None else timeout
        return cls(Priority.BULK, retry.timeout, max_maintenance, retry_forever=True)


class ApiCaller:
    """Sends the calls of one client, all through the same breaker and limiter."""

    def __init__(
        self,
        transport: Transport,
        limiter: RateLimiter,
        retry: Retry,
        events: EventEmitter,
        random: Random,
        *,
        dialect: Dialect | None = None,
    ) -> None:
        self.retry = retry
        self.random = random
        self.events = events
        self.sleeper = Sleeper()
        self.breakers = Breakers(retry, random, self.sleeper)
        self.circuit_breaker = self.breakers.circuit_breaker
        self.submit_breaker = self.breakers.submit_breaker
        # Whether the host says that it rejects duplicates; None before its first response.
        self.rejects_duplicates: bool | None = None
        self._failed_health_checks = 0
        self._transport = transport
        self.slots = SlotQueue(limiter, self.sleeper)
        self._dialect = dialect
        self._health_lock = asyncio.Lock()
        self._health_checks = 0

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._transport.closed

    @property
    def has_sent(self) -> bool:
        """Whether a request may have reached the API."""
        return self._transport.has_sent

    async def aclose(self) -> None:
        """Close the connections; every waiting call fails immediately."""
        self.sleeper.close()
        await self._transport.aclose()

    def send(
        self,
        request: ApiRequest,
        parse: Callable[[HttpResponse], T],
        call_options: CallOptions,
        *,
        retry_loop: RetryLoop | None = None,
        timeout: float | None = None,
        on_start: Callable[[], Awaitable[None] | None] | None = None,
        delivery: Delivery | None = None,
        polite: bool = False,
    ) -> Coroutine[Any, Any, tuple[T, float | None]]:
        """Send `request` once.

        Args:
            request: The request to send.
            parse: Returns the value of a response, or raises the error that it means.
            call_options: How long to wait.
            retry_loop: The retries of the call; None for a call that makes none.
            timeout: Seconds for the HTTP request; default `Retry.request_timeout`.
            on_start: Called when the slot is granted, before the first byte; what it returns is
                awaited.
            delivery: A new one, which records whether the request may have arrived.
            polite: Whether the call lets others of its priority go first.

        Returns:
            The value, and the seconds that the server asks to wait.

        Raises:
            Mp4GenError: What the response, or its absence, means.
        """
        return Attempt(
            self,
            request,
            parse,
            call_options,
            retry_loop,
            timeout,
            on_start,
            delivery or Delivery(),
            polite,
        ).run()

    def send_with_retries(
        self,
        request: ApiRequest,
        parse: Callable[[HttpResponse], T],
        call_options: CallOptions,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Send `request`, which costs nothing, until it succeeds; raise the last failure.

        After `timeout` seconds, whatever it waits for, it raises a `RequestTimeoutError`.
        """
        call = RetriedCall(self, request, parse, call_options)
        return call.run() if timeout is None else call.run_within(timeout)

    async def is_up(self) -> bool:
        """Return whether another call gets through: then only the failed call is affected.

        Another call may be answered meanwhile; else the health check is sent.
        """
        before, checks = self.circuit_breaker.proper_responses, self._health_checks
        async with self._health_lock:
            # Counted, not timed: two checks can begin at the same time of a coarse clock.
            was_asked = self._health_checks != checks
            answered = self.circuit_breaker.proper_responses != before
            if self._dialect is not None and not (answered or was_asked):
                self._health_checks += 1
                with suppress(Mp4GenError):
                    await self._send_health_check(self._dialect)
        return self.circuit_breaker.proper_responses != before

    def would_give_up(self, call_options: CallOptions, *, submit: bool = False) -> bool:
        """Return whether a breaker blocks the caller for longer than it waits."""
        return self.breakers.would_give_up(call_options, submit=submit)

    async def exchange(
        self,
        request: ApiRequest,
        parse: Callable[[HttpResponse], T],
        timeout: float | None,
        delivery: Delivery,
        *,
        is_probe: bool = False,
        may_trip: bool = False,
    ) -> tuple[T, float | None]:
        """Send `request` and return its value, and the seconds that the server asks to wait.

        A failure is recorded: the last two arguments are those of `record_failure`.
        """
        max_timeout = self.retry.request_timeout
        delivery.latest_arrival = asyncio.get_running_loop().time() + max_timeout
        try:
            response = await self._transport.send(request, timeout or max_timeout, delivery)
            return self._read(request, response, parse), response.retry_after
        except Mp4GenError as error:
            self.record_failure(error, is_probe=is_probe, may_trip=may_trip)
            raise

    def _read(
        self, request: ApiRequest, response: HttpResponse, parse: Callable[[HttpResponse], T]
    ) -> T:
        """Return the value of a response, and learn from it how the API is."""
        try:
            value = parse(response)
        except Mp4GenError as error:
            if isinstance(error, ApiError):
                error.retry_after = response.retry_after
                if error.from_api:
                    self._learn(response)
                    if request.is_submit and classify(error, submit=True) is RetryDecision.GIVE_UP:
                        self.submit_breaker.record_response()
            raise
        except Exception as error:
            raise unexpected_error(error) from error
        self._learn(response)
        self.circuit_breaker.reset()
        if request.is_submit:
            self.submit_breaker.accepted += 1
            self.submit_breaker.record_response()
        return value

    def _learn(self, response: HttpResponse) -> None:
        """Remember what the host says of itself; a claim holds for the life of the client."""
        self.rejects_duplicates = self.rejects_duplicates or response.rejects_duplicates

    async def _send_health_check(self, dialect: Dialect) -> None:
        """Ask for the credits: "can be called frequently as needed" (docs.sunoapi.org)."""
        request, delivery = build_credits_request(dialect), Delivery()
        async with self.slots.slot(
            Priority.INTERACTIVE, delivery, limited=request.rate_limited, polite=False
        ):
            parse = partial(parse_response, dialect=dialect)
            await self.exchange(request, parse, None, delivery)

    async def confirm_outage(self) -> None:
        """Open the breaker, unless only the calls that failed in a row are affected."""
        breaker = self.circuit_breaker
        if breaker.is_open or not breaker.has_common_failures or await self.is_up():
            return
        if not breaker.is_open and breaker.last_failure is not None:
            self.breakers.trip(breaker.last_failure)

    async def may_probe(self, request: ApiRequest) -> bool:
        """Return whether a call of a run may be sent as a probe, after the health check.

        A submit can cost twice if its response is lost. It is only sent if the check succeeds, or
        each fourth time, because the check itself may be what fails.
        """
        if self.circuit_breaker.is_maintenance:
            return True
        self._failed_health_checks = 0 if await self.is_up() else self._failed_health_checks + 1
        if not request.is_submit or self._failed_health_checks % 4 == 0:
            return True
        if self.circuit_breaker.is_open and self.circuit_breaker.last_failure is not None:
            self.breakers.trip(self.circuit_breaker.last_failure)
        return False

    def record_failure(
        self, error: Mp4GenError, *, is_probe: bool = False, may_trip: bool = False
    ) -> None:
        """Apply a failure that concerns every call of the client.

        Args:
            error: The failure.
            is_probe: Whether the call was a probe of the open breaker.
            may_trip: Whether the last of many failures in a row opens it. A bulk run first asks
                whether another call gets through: `confirm_outage`.
        """
        breaker = self.circuit_breaker
        match classify(error, submit=False):
            case RetryDecision.PAUSE:
                # A request to wait for hours is ignored: asking again costs one call.
                asked = min(retry_after(error), self.retry.timeout)
                delay = max(self.slots.period, asked)
                self.slots.pause(delay)
                self.events.emit(PausedEvent(delay))
                if not breaker.is_maintenance and getattr(error, "from_api", False):
                    breaker.reset()
            case RetryDecision.MAINTENANCE:
                breaker.trip(error, self.retry.maintenance_poll_interval)
                self.events.emit(MaintenanceEvent(self.retry.maintenance_poll_interval))
            case RetryDecision.RETRY if not self.closed:
                breaker.record_failure(error)
                is_common = (
                    is_probe if breaker.is_open else breaker.has_common_failures and may_trip
                )
                if is_common and not breaker.is_maintenance:
                    self.breakers.trip(error)
            case RetryDecision.GIVE_UP if isinstance(error, ApiError) and error.from_api:
                breaker.reset()
