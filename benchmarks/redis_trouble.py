"""Disturb processes that share a limit through Redis at random, and count what exceeds the limit.

    python benchmarks/redis_trouble.py [--seeds 8] [--seconds 20] [--json [FILE]]

Up to five limiters, each like one of a process, call a service without pause. Meanwhile processes
start, end and are killed; Redis is restarted, emptied, away or hangs; connections break; calls are
refused, cancelled or fail. `peak` is the most calls that arrived in any period; 6 are allowed. The
goal is a peak of at most 6 for each seed. About `seeds` times `seconds`.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import attrs
import redis.asyncio
from report import at_most, parse_arguments, show_figures

sys.path.insert(0, str(Path(__file__).parents[1]))

from mp4gen import Priority, RateLimit, TransportError
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.redis import RedisRateLimiter, timing
from tests.support_redis import RedisServer, mark_as_used

LIMIT = RateLimit(6, per=0.4)
MAX_PROCESSES = 5
# Leases as short as the period, so that a run has many of them.
timing._MIN_LEASE = 0.8  # noqa: SLF001 - leases of 2 s would make the runs longer
# The outages are on purpose.
logging.getLogger("mp4gen").setLevel(logging.ERROR)


@attrs.define(eq=False)
class Process:
    """A limiter and the calls that use it, as of one process."""

    limiter: RedisRateLimiter
    calls: list[asyncio.Task[None]] = attrs.field(factory=list)

    async def end(self) -> None:
        """Cancel the calls and close the limiter."""
        await self._cancel()
        await self.limiter.aclose()

    async def kill(self) -> None:
        """End without reporting anything to Redis."""
        session = self.limiter.session()
        session._is_closed = True  # noqa: SLF001 - as if the process had ended
        if session._task is not None:  # noqa: SLF001
            session._task.cancel()  # noqa: SLF001
        await self._cancel()
        await self.limiter._connection.aclose()  # noqa: SLF001

    async def _cancel(self) -> None:
        for call in self.calls:
            call.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)


class Trouble:
    """One run with its processes, its Redis and the arrivals at the service."""

    def __init__(self, server: RedisServer, seed: int) -> None:
        self.server, self.chance = server, Random(seed)
        self.arrivals: list[float] = []
        self.processes: list[Process] = []

    async def run(self, seconds: float) -> int:
        """Disturb for some seconds, and return the peak of the arrivals."""
        mark_as_used(self.server.url, "trouble")
        actions: list[Callable[[], Awaitable[None]]] = [
            self._start,
            self._end,
            self._kill,
            self._restart,
            self._away,
            self._freeze,
            self._empty,
            self._disconnect,
        ]
        for _ in range(3):
            await self._start()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.chance.uniform(0.1, 2.5))
            await self.chance.choice(actions)()
        for process in self.processes:
            await process.end()
        return peak_in_window(self.arrivals, LIMIT.per)

    async def _call(self, limiter: RedisRateLimiter, priority: Priority) -> None:
        chance = self.chance
        while True:
            with suppress(TransportError):
                async with limiter.slot(priority):
                    await asyncio.sleep(chance.choice([0.0, 0.02, 0.1]) * chance.random())
                    if chance.random() < 0.1:
                        raise TransportError("Not sent.", sent=False)
                    self.arrivals.append(asyncio.get_running_loop().time())
                    if chance.random() < 0.01:
                        limiter.pause(LIMIT.per / 2)
                    await asyncio.sleep(chance.choice([0.0, 0.02, 0.5]) * chance.random())

    async def _start(self) -> None:
        if len(self.processes) < MAX_PROCESSES:
            process = Process(RedisRateLimiter(self.server.url, LIMIT, name="trouble"))
            for _ in range(8):
                work = self._call(process.limiter, self.chance.choice(list(Priority)))
                process.calls.append(asyncio.create_task(work))
            self.processes.append(process)

    async def _end(self) -> None:
        if len(self.processes) > 1:
            await self._any().end()

    async def _kill(self) -> None:
        if len(self.processes) > 1:
            await self._any().kill()

    def _any(self) -> Process:
        return self.processes.pop(self.chance.randrange(len(self.processes)))

    async def _restart(self) -> None:
        self.server.kill()
        self.server.start()

    async def _away(self) -> None:
        self.server.kill()
        await asyncio.sleep(self.chance.uniform(0.0, 4.0))
        self.server.start()

    async def _freeze(self) -> None:
        self.server.freeze()
        await asyncio.sleep(self.chance.choice([0.4, 4.0]) * self.chance.random())
        self.server.thaw()

    async def _empty(self) -> None:
        async with redis.asyncio.Redis.from_url(self.server.url) as client:
            await client.flushall()

    async def _disconnect(self) -> None:
        async with redis.asyncio.Redis.from_url(self.server.url) as client:
            await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def main() -> None:
    """Run the benchmark."""
    options = parse_arguments(__doc__, seeds=8, seconds=20.0)
    figures = []
    for seed in range(options.seeds):
        with RedisServer() as server:
            trouble = Trouble(server, seed)
            peak = asyncio.run(trouble.run(options.seconds))
        name = f"seed {seed}: peak of {len(trouble.arrivals)} calls"
        figures.append(at_most(name, peak, LIMIT.requests))
    show_figures(f"{LIMIT.requests} calls in {LIMIT.per:g} s", figures, options.json)


if __name__ == "__main__":
    main()
