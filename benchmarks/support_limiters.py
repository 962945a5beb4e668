"""Published limiters in one process, behind the interface of ours, in virtual time; not run alone.

Those that read the clock of the machine read that of the loop instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import peers
import support_bulk as support

from mp4gen import RateLimit

T = TypeVar("T")

# What their clocks show when a loop begins.
_START = 1e9
_CLOCKS = ("limits.aio.strategies.time", "limits.aio.storage.memory.time")
# One that only says yes or no is asked again after this time, by one call at a time.
_POLL_SECONDS = 0.02


class BeforeSending:
    """Slots of a limiter that knows nothing of responses."""

    def __init__(self, acquire: Callable[[], Awaitable[object]]) -> None:
        self._acquire = acquire

    @asynccontextmanager
    async def slot(self, *_: object) -> AsyncIterator[None]:
        """Wait until the limiter permits a call."""
        await self._acquire()
        yield

    def pause(self, _: float) -> None:
        """Ignore a refusal, as the limiter does."""


def _aiolimiter(limit: RateLimit) -> Callable[[], Awaitable[object]]:
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(limit.requests, limit.per).acquire


def _pyrate_limiter(limit: RateLimit) -> Callable[[], Awaitable[object]]:
    from pyrate_limiter import InMemoryBucket, Limiter, Rate

    limiter = Limiter(InMemoryBucket([Rate(limit.requests, int(limit.per * 1000))]))
    return lambda: limiter.try_acquire_async("account")


def _limits(limit: RateLimit) -> Callable[[], Awaitable[object]]:
    from limits import RateLimitItemPerSecond
    from limits.aio.storage import MemoryStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter = MovingWindowRateLimiter(MemoryStorage())
    item = RateLimitItemPerSecond(limit.requests, int(limit.per))

    asking = asyncio.Lock()

    async def acquire() -> None:
        async with asking:
            while not await limiter.hit(item, "account"):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(_POLL_SECONDS)

    return acquire


LIMITERS = {
    "aiolimiter": _aiolimiter,
    "pyrate-limiter": _pyrate_limiter,
    "limits, moving window": _limits,
}


def published(limit: RateLimit) -> dict[str, Callable[[], Any]]:
    """Return a factory for each published limiter; none if they are not installed."""
    if not peers.use("limiters"):
        return {}
    return {
        name: lambda make=make: BeforeSending(make(limit))  # type: ignore[misc]
        for name, make in LIMITERS.items()
    }


class TickingLoop(support.VirtualLoop):
    """A loop in virtual time whose clock moves by a nanosecond at each look at it.

    A limiter that sleeps for less than the rounding of its own sums would else never wake.
    """

    def time(self) -> float:
        """Return the virtual seconds since the loop was created."""
        self._clock.now += 1e-9
        return self._clock.now


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return the result of `work()`, while the published limiters read the clock of its loop."""

    async def timed() -> T:
        loop = asyncio.get_running_loop()

        def seconds() -> float:
            return _START + loop.time()

        clock = SimpleNamespace(time=seconds, monotonic=seconds)
        with ExitStack() as stack:
            if peers.use("limiters"):
                for name in _CLOCKS:
                    stack.enter_context(patch(name, clock))
                stack.enter_context(patch("pyrate_limiter.limiter.monotonic", seconds))
                nanoseconds = lambda: round(seconds() * 1e9)  # noqa: E731
                stack.enter_context(patch("pyrate_limiter.clocks.monotonic_ns", nanoseconds))
            return await work()

    return support.run(timed(), TickingLoop)
