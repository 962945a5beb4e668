"""The rate limit as the server counts it: a window of slots, two lanes, one cool-down.

A slot is free again one full period after the *answer* of the call that used it, not after its
sending. Only then is the limit exact whatever the network does: the next call of that slot arrives
later than the answer plus the period, so later than the first call's own arrival plus the period.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol, runtime_checkable

from mp4gen.options import RateLimit

# A timer may fire a rounding error before its time; whoever then set it again for that very time
# would, on a clock that does not move by itself, do so for ever.
CLOCK_RESOLUTION = 1e-6


class Priority(enum.IntEnum):
    """Who goes first: somebody waiting for one answer, or a bulk run. Each lane keeps its order."""

    INTERACTIVE = 0
    BULK = 1


@runtime_checkable
class RateLimiter(Protocol):
    """What a client needs of a limiter: implement it to share one between processes."""

    def slot(self, priority: Priority = Priority.INTERACTIVE) -> AbstractAsyncContextManager[None]:
        """Entered when a call may go out, left when its answer (or failure) is in."""
        ...

    def pause(self, seconds: float) -> None:
        """Let no call out for `seconds` from now; a longer one that runs already stays."""
        ...


class _Slot:
    """One use of a window; a generator for each call would cost more than the limit itself."""

    __slots__ = ("_acquire", "_release")

    def __init__(
        self, acquire: Callable[[], Coroutine[Any, Any, None]], release: Callable[[], None]
    ) -> None:
        self._acquire = acquire
        self._release = release

    async def __aenter__(self) -> None:
        await self._acquire()

    async def __aexit__(self, *_: object) -> None:
        self._release()


class SlidingWindowLimiter:
    """The `RateLimiter` of one process and one event loop, in loop time.

    Share one among the clients of a key. One timer serves all waiters. After a cool-down one call
    goes alone: only when it was answered, and brought no other cool-down, do the others follow.
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
        return f"SlidingWindowLimiter({self.limit}, in use {self._in_use}, resting {len(self._release_times)})"

    def slot(self, priority: Priority = Priority.INTERACTIVE) -> AbstractAsyncContextManager[None]:
        """Hold one slot of the window."""
        return _Slot(partial(self._acquire, priority), self._release)

    def pause(self, seconds: float) -> None:
        """Let no call out for `seconds`, then a single one first.

        The end of the pause only ever moves forward.
        """
        until = asyncio.get_running_loop().time() + seconds
        self._paused_until = max(self._paused_until, until)
        # A window full of calls against a server that still refuses would only prolong it.
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
                # The slot was handed over in the moment of the cancel, and no call went out.
                self._in_use -= 1
                self._dispatch()
            raise

    def _release(self) -> None:
        self._in_use -= 1
        now = asyncio.get_running_loop().time()
        # Rested a moment longer, so that counting it as over a moment early keeps the limit exact.
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
        """Hand free slots to those who wait, then see to it that this happens again in time."""
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
        """When a slot can be free; None while that hangs on an answer which serves by itself."""
        if now + CLOCK_RESOLUTION < self._paused_until:
            return self._paused_until
        return self._release_times[0] if self._release_times else None
