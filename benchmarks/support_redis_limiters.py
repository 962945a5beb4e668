"""Published limiters with Redis, and ours, behind one interface; and a process that uses one.

`python benchmarks/support_redis_limiters.py JSON` calls the API as often as a limiter permits until
its standard input ends. `benchmarks/redis_rate_limit.py` starts several.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import peers

# For the tests' helpers and for the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

from mp4gen import RateLimit, RateLimiter
from mp4gen.redis import RedisRateLimiter

Slot = Callable[[], AbstractAsyncContextManager[None]]
# Those that only say yes or no are asked again after this time, as their documentation shows.
_POLL_SECONDS = 0.02


def _before_sending(acquire: Callable[[], Awaitable[object]]) -> Slot:
    """Return slots of a limiter that knows nothing of responses."""

    @asynccontextmanager
    async def slot() -> Any:
        await acquire()
        yield

    return slot


async def _mp4gen(url: str, limit: RateLimit, _: str) -> Slot:
    limiter: RateLimiter = RedisRateLimiter(url, limit, name="mp4gen")
    return limiter.slot


async def _pyrate_limiter(url: str, limit: RateLimit, _: str) -> Slot:
    from pyrate_limiter import Limiter, Rate, RedisBucket
    from redis.asyncio import Redis

    rate = Rate(limit.requests, int(limit.per * 1000))
    bucket = await RedisBucket.init([rate], Redis.from_url(url), "pyrate")
    limiter = Limiter(bucket)
    return _before_sending(lambda: limiter.try_acquire_async("account"))


async def _limits(url: str, limit: RateLimit, strategy: str) -> Slot:
    from limits import RateLimitItemPerSecond
    from limits.aio import strategies
    from limits.aio.storage import RedisStorage

    storage = RedisStorage(f"async+{url}", implementation="redispy")
    limiter = getattr(strategies, strategy)(storage)
    item = RateLimitItemPerSecond(limit.requests, int(limit.per))

    async def acquire() -> None:
        while not await limiter.hit(item, "account"):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(_POLL_SECONDS)

    return _before_sending(acquire)


async def _throttled(url: str, limit: RateLimit, algorithm: str) -> Slot:
    from throttled.asyncio import RedisStore, Throttled, rate_limiter

    quota = rate_limiter.per_duration(timedelta(seconds=limit.per), limit.requests)
    limiter = Throttled("account", 3600, algorithm, quota, RedisStore(url))
    return _before_sending(limiter.limit)


# Name in the table, function, and its algorithm.
LIMITERS: dict[str, tuple[Callable[[str, RateLimit, str], Awaitable[Slot]], str]] = {
    "mp4gen": (_mp4gen, ""),
    "pyrate-limiter": (_pyrate_limiter, ""),
    "limits moving window": (_limits, "MovingWindowRateLimiter"),
    "limits fixed window": (_limits, "FixedWindowRateLimiter"),
    "limits sliding window counter": (_limits, "SlidingWindowCounterRateLimiter"),
    "throttled-py sliding window": (_throttled, "sliding_window"),
    "throttled-py token bucket": (_throttled, "token_bucket"),
    "throttled-py leaking bucket": (_throttled, "leaking_bucket"),
    "throttled-py GCRA": (_throttled, "gcra"),
}


async def work(settings: dict[str, Any]) -> None:
    """Call the API until standard input ends."""
    peers.use("limiters")
    make, algorithm = LIMITERS[settings["limiter"]]
    limit = RateLimit(settings["requests"], per=settings["per"])
    slot = await make(settings["redis_url"], limit, algorithm)
    async with aiohttp.ClientSession(settings["service_url"]) as session:

        async def call() -> None:
            while True:
                async with slot(), session.get("/api/v1/generate/credit") as response:
                    await response.read()

        tasks = [asyncio.create_task(call()) for _ in range(settings["concurrency"])]
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        # One of the limiters can swallow a cancel.
        await asyncio.wait(tasks, timeout=2.0)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work(json.loads(sys.argv[1])))
    os._exit(0)
