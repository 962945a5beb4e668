"""The rate limit as the server counts it: a sliding window of slots, two priorities, one pause.

A slot is free again one full period after the *response* of the call that used it, not after its
request. The server counts arrivals, and a call has arrived before its response. So the next call of
the slot arrives more than a period after the first one, whatever the latency. A call that ended
without a response counts as answered as late as it can arrive, unless nothing of it was sent.
"""

import asyncio
import enum
from bisect import insort
from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from mp4gen.errors import ConfigurationError, TransportError
from mp4gen.options import RateLimit, invalid_setting

# A timer may fire a rounding error early. Setting it again for the same time would loop endlessly
# on a clock that does not move by itself.
CLOCK_RESOLUTION = 1e-6


class Priority(enum.IntEnum):
    """The priority of a call: single calls before bulk runs, in order of arrival within each.

    A client lets polls of single waits queue one at a time, and other calls between them.
    """

    INTERACTIVE = 0
    BULK = 1


@runtime_checkable
class RateLimiter(Protocol):
    """The interface of a limiter. Implement it to share a limit in a way of your own.

    If it has an async method `aclose`, the last client that uses it awaits that when it closes.
    """

    def slot(self, priority: Priority = Priority.INTERACTIVE) -> AbstractAsyncContextManager[None]:
        """Return a context: entered when a call may be sent, left when its response is in.

        A call without a response leaves it with a `TransportError`. If its `sent` is False, nothing
        can arrive, and the slot is free at once. Else the call can still arrive for `pending`
        seconds: count it as answered then, or let the slot expire as that of a killed process.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Hold back all calls for `seconds` from now; a longer pause in progress stays."""
        ...


class WindowSlot:
    """The slots of one priority; a generator for each call would cost more than the limit."""

    __slots__ = ("_limiter", "_priority")

    def __init__(self, limiter: "SlidingWindowLimiter", priority: Priority) -> None:
        self._limiter, self._priority = limiter, priority

    def enter_now(self) -> bool:
        """Enter if no wait is needed: for each call, that saves more than the limit costs."""
        return self._limiter._try_acquire()  # noqa: SLF001 - its own slot

    def enter_later(self) -> "asyncio.Future[None]":
        """Queue for the slot; the result of the future grants it."""
        return self._limiter._queue(self._priority)  # noqa: SLF001 - its own slot

    def give_back(self, waiter: "asyncio.Future[None]") -> None:
        """Give back a slot that may have been granted in the moment of a cancel."""
        self._limiter._give_back(waiter)  # noqa: SLF001 - its own slot

    def leave(self, error: TransportError | None) -> None:
        """Leave the slot; `error` is that of a call without a response."""
        self._limiter._release(error)  # noqa: SLF001 - its own slot

    async def __aenter__(self) -> None:
        if self.enter_now():
            return
        waiter = self.enter_later()
        try:
            await waiter
        except asyncio.CancelledError:
            self.give_back(waiter)
            raise

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.leave(error if isinstance(error, TransportError) else None)


class SlidingWindowLimiter:
    """The `RateLimiter` of one process and one event loop, in loop time.

    Share one among the clients of a key. After a pause one call goes alone; the others follow when
    it has its response and caused no new pause.

    Raises:
        ConfigurationError: `limit` is not a `RateLimit`, or a second event loop uses the limiter
            while the first one is open.
    """

    def __init__(self, limit: RateLimit | None = None) -> None:
        if limit is not None and not isinstance(limit, RateLimit):
            raise invalid_setting("limit", limit, "a RateLimit such as RateLimit(20, per=10.0)")
        self.limit = limit or RateLimit()
        self._in_use = 0
        self._release_times: deque[float] = deque()
        self._paused_until = float("-inf")
        self._single_flight = False
        self._queues: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # They have no state of their own, so that all calls share them.
        self._slots = tuple(WindowSlot(self, priority) for priority in Priority)

    def __repr__(self) -> str:
        if not hasattr(self, "_release_times"):
            return "SlidingWindowLimiter(not made)"
        used = f"in use {self._in_use}, resting {len(self._release_times)}"
        return f"SlidingWindowLimiter({self.limit}, {used})"

    def slot(self, priority: Priority = Priority.INTERACTIVE) -> AbstractAsyncContextManager[None]:
        """Hold one slot of the window."""
        return self._slots[priority]

    def pause(self, seconds: float) -> None:
        """Hold back all calls for `seconds`, then let a single one go first.

        The end of a pause only moves forward.
        """
        until = self._running_loop().time() + seconds
        self._paused_until = max(self._paused_until, until)
        # A window full of calls to a server that still refuses would only prolong the pause.
        self._single_flight = True
        self._dispatch()

    def _try_acquire(self) -> bool:
        is_free = not self._is_anyone_waiting() and self._has_slot(self._running_loop().time())
        self._in_use += is_free
        return is_free

    def _queue(self, priority: Priority) -> "asyncio.Future[None]":
        waiter = self._running_loop().create_future()
        self._queues[priority].append(waiter)
        self._dispatch()
        return waiter

    def _give_back(self, waiter: "asyncio.Future[None]") -> None:
        if not waiter.cancel() and not waiter.cancelled() and waiter.exception() is None:
            # No call was sent.
            self._in_use -= 1
            self._dispatch()

    def _release(self, error: TransportError | None) -> None:
        self._in_use -= 1
        if error is not None and not error.sent:
            self._dispatch()
            return
        now = self._running_loop().time()
        pending = error.pending if error is not None else 0.0
        # `_has_slot` counts it as free a moment early; this keeps the limit exact.
        self._rest_until(now + pending + self.limit.per + CLOCK_RESOLUTION)
        if now + CLOCK_RESOLUTION >= self._paused_until:
            self._single_flight = False
        if self._is_anyone_waiting():
            self._dispatch()

    def _is_anyone_waiting(self) -> bool:
        interactive, bulk = self._queues
        return bool(interactive or bulk)

    def _rest_until(self, time: float) -> None:
        """Keep one slot taken until `time`."""
        if self._release_times and time < self._release_times[-1]:
            insort(self._release_times, time)
        else:
            self._release_times.append(time)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, to which the limiter belongs until it is closed.

        Raises:
            ConfigurationError: It belongs to another one.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if self._loop is not None and not self._loop.is_closed():
                raise ConfigurationError(
                    "This rate limiter belongs to another event loop. Create one for each loop and "
                    "divide the limit between them."
                )
            self._loop = loop
        return loop

    def _has_slot(self, now: float) -> bool:
        while self._release_times and self._release_times[0] <= now + CLOCK_RESOLUTION:
            self._release_times.popleft()
        taken = self._in_use + len(self._release_times)
        if now + CLOCK_RESOLUTION < self._paused_until or (self._single_flight and self._in_use):
            return False
        return taken < self.limit.requests

    def _dispatch(self) -> None:
        """Grant free slots to waiters, then set the timer for the next one."""
        loop = self._running_loop()
        now = loop.time()
        while (queue := self._queues[0] or self._queues[1]) and self._has_slot(now):
            waiter = queue.popleft()
            # A client that closed has ended its waits.
            if not waiter.done():
                waiter.set_result(None)
                self._in_use += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_anyone_waiting() and (wake_at := self._next_wakeup(now)) is not None:
            self._timer = loop.call_at(wake_at, self._dispatch)

    def _next_wakeup(self, now: float) -> float | None:
        """Return when a slot can be free; None if only a response can free one."""
        if now + CLOCK_RESOLUTION < self._paused_until:
            return self._paused_until
        return self._release_times[0] if self._release_times else None
