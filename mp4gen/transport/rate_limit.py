"""The rate limit as the server counts it: a sliding window of slots, two priorities, one pause.

A slot is free again one full period after the *response* of the call that used it, not after its
request. The server counts arrivals, and a call has arrived before its response. So the next call of
the slot arrives more than a period after the first one, whatever the latency.
"""

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol, runtime_checkable

from mp4gen.options import RateLimit

# A timer may fire a rounding error early. Setting it again for the same time would loop endlessly
# on a clock that does not move by itself.
CLOCK_RESOLUTION = 1e-6


class Priority(enum.IntEnum):
    """The priority of a call: single calls before bulk runs, in order of arrival within each."""

    INTERACTIVE = 0
    BULK = 1


@runtime_checkable
class RateLimiter(Protocol):
    """The interface of a limiter. Implement it to share a limit between processes."""

    def slot(self, priority: Priority = Priority.INTERACTIVE) -> AbstractAsyncContextManager[None]:
        """Return a context: entered when a call may be sent, left when its response is in."""
        ...

    def pause(self, seconds: float) -> None:
        """Hold back all calls for `seconds` from now; a longer pause in progress stays."""
        ...


class _Slot:
    """One use of a window; a generator for each call would cost more than the limit itself."""

    __slots__ = ("_acquire", "_release")

    def __init__(
        self, acquire: Callable[[], Coroutine[Any, Any, None]], release: Callable[[], None]
    ) -> None:
        self._acquire, self._release = acquire, release

    async def __aenter__(self) -> None:
        await self._acquire()

    async def __aexit__(self, *_: object) -> None:
        self._release()


class SlidingWindowLimiter:
    """The `RateLimiter` of one process and one event loop, in loop time.

    Share one among the clients of a key. After a pause one call goes alone; the others follow when
    it has its response and caused no new pause.
    """

    def __init__(self, limit: RateLimit | None = None) -> None:
        self.limit = limit or RateLimit()
        self._in_use = 0
        self._release_times: deque[float] = deque()
        self._paused_until = float("-inf")
        self._single_flight = False
        self._queues: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        used = f"in use {self._in_use}, resting {len(self._release_times)}"
        return f"SlidingWindowLimiter({self.limit}, {used})"

    def slot(self, priority: Priority = Priority.INTERACTIVE) -> AbstractAsyncContextManager[None]:
        """Hold one slot of the window."""
        return _Slot(partial(self._acquire, priority), self._release)

    def pause(self, seconds: float) -> None:
        """Hold back all calls for `seconds`, then let a single one go first.

        The end of a pause only moves forward.
        """
        until = asyncio.get_running_loop().time() + seconds
        self._paused_until = max(self._paused_until, until)
        # A window full of calls to a server that still refuses would only prolong the pause.
        self._single_flight = True
        self._dispatch()

    async def _acquire(self, priority: Priority) -> None:
        loop = asyncio.get_running_loop()
        if not any(self._queues) and self._has_slot(loop.time()):
            self._in_use += 1
            return
        waiter = loop.create_future()
        self._queues[priority].append(waiter)
        self._dispatch()
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                # The slot was granted in the moment of the cancel; no call was sent.
                self._in_use -= 1
                self._dispatch()
            raise

    def _release(self) -> None:
        self._in_use -= 1
        now = asyncio.get_running_loop().time()
        # `_has_slot` counts it as free a moment early; this keeps the limit exact.
        self._release_times.append(now + self.limit.per + CLOCK_RESOLUTION)
        if now + CLOCK_RESOLUTION >= self._paused_until:
            self._single_flight = False
        self._dispatch()

    def _has_slot(self, now: float) -> bool:
        while self._release_times and self._release_times[0] <= now + CLOCK_RESOLUTION:
            self._release_times.popleft()
        taken = self._in_use + len(self._release_times)
        if now + CLOCK_RESOLUTION < self._paused_until or (self._single_flight and self._in_use):
            return False
        return taken < self.limit.requests

    def _dispatch(self) -> None:
        """Grant free slots to waiters, then set the timer for the next one."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while (queue := self._queues[0] or self._queues[1]) and self._has_slot(now):
            waiter = queue.popleft()
            if not waiter.cancelled():
                waiter.set_result(None)
                self._in_use += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if any(self._queues) and (wake_at := self._next_wakeup(now)) is not None:
            self._timer = loop.call_at(wake_at, self._dispatch)

    def _next_wakeup(self, now: float) -> float | None:
        """Return when a slot can be free; None if only a response can free one."""
        if now + CLOCK_RESOLUTION < self._paused_until:
            return self._paused_until
        return self._release_times[0] if self._release_times else None
