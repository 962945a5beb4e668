"""One of several processes that share a limiter: see `WorkerSettings`; prints its figures."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress

import mp4gen
from mp4gen.redis import RedisRateLimiter
from tests.support_redis import WorkerSettings


async def work(settings: WorkerSettings) -> dict[str, float]:
    """Call the API at the limit until standard input ends."""
    limit = mp4gen.RateLimit(settings.requests, per=settings.per)
    limiter = RedisRateLimiter(settings.redis_url, limit, name=settings.name)
    async with mp4gen.Client("key", base_url=settings.service_url, rate_limit=limiter) as client:
        await client.get_credits()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        calls = 1

        async def call() -> None:
            nonlocal calls
            while True:
                await client.get_credits()
                calls += 1

        started = time.process_time()
        tasks = [asyncio.create_task(call()) for _ in range(settings.concurrency)]
        await asyncio.to_thread(sys.stdin.read)
        cpu = time.process_time() - started
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
    return {"calls": calls, "cpu": cpu}


def main() -> None:
    """Run the program."""
    settings = WorkerSettings(**json.loads(sys.argv[1]))
    real_time = time.time
    time.time = lambda: real_time() + settings.clock_offset
    json.dump(asyncio.run(work(settings)), sys.stdout)


if __name__ == "__main__":
    main()
