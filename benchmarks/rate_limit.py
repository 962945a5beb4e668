"""Measure the refusals by a server that counts arrivals exactly, and how much of its limit is used.

    python benchmarks/rate_limit.py [--calls 10000] [--client-calls 1000] [--json [FILE]]

mp4gen's limiter against "textbook", which counts the times of sending, as most limiters do, and
against published ones, if they are installed (`benchmarks/peers.py`): all against a model of the
server, in virtual time. The last row is the whole client against the fake service over loopback.
About a minute.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import looptime
import support_bulk as support
import support_limiters
from report import parse_arguments, show

import mp4gen
from mp4gen.testing import FakeService

LIMIT = mp4gen.RateLimit(20, per=10.0)
Latency = Callable[[], float]


class Textbook:
    """Limits by a sliding window of the times of sending."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until fewer than 20 requests were sent in the last ten seconds."""
        loop = asyncio.get_running_loop()
        full = LIMIT.requests
        while len(self._sent) >= full and self._sent[0] > loop.time() - LIMIT.per:  # noqa: ASYNC110
            await asyncio.sleep(self._sent[0] + LIMIT.per - loop.time())
        if len(self._sent) >= full:
            self._sent.popleft()
        self._sent.append(loop.time())
        yield


def latency(random: Random, median: float) -> Latency:
    """Return a source of one-way seconds: lognormal with spikes; the first 20 calls connect."""
    number = 0

    def draw() -> float:
        nonlocal number
        number += 1
        seconds = random.lognormvariate(math.log(median), 0.5)
        spike = random.uniform(0.5, 3.0) if random.random() < 0.01 else 0.0
        return seconds + spike + (0.3 if number <= 40 or random.random() < 0.02 else 0.0)

    return draw


async def saturate(make: Callable[[], Any], calls: int, draw: Latency) -> tuple[int, float]:
    """Return the refusals, and the share of the limit that was used."""
    limiter = make()
    loop = asyncio.get_running_loop()
    counted: deque[float] = deque()
    rate_limited = 0

    async def one() -> None:
        nonlocal rate_limited
        async with limiter.slot():
            await asyncio.sleep(draw())
            while counted and counted[0] <= loop.time() - LIMIT.per + 1e-9:
                counted.popleft()
            if len(counted) >= LIMIT.requests:
                rate_limited += 1
            else:
                counted.append(loop.time())
            await asyncio.sleep(draw())

    source = iter(range(calls))

    async def worker() -> None:
        for _ in source:
            await one()

    await asyncio.gather(*(worker() for _ in range(100)))
    return rate_limited, share_used(calls)


async def whole_client(calls: int) -> tuple[int, float]:
    """Return the same for the client, with its sockets, and the fake service."""
    random = Random(5)
    draw = latency(random, 0.06)
    service = FakeService(latency=lambda _: draw())
    async with service, service.client() as client:
        await asyncio.gather(*(client.get_credits() for _ in range(calls)))
    return support.rate_limited(service), share_used(calls)


def share_used(calls: int) -> float:
    """Return the shortest possible time of `calls`, relative to the time that they took."""
    shortest = (calls - LIMIT.requests) / LIMIT.requests * LIMIT.per
    return shortest / asyncio.get_running_loop().time()


def main() -> None:
    """Run the benchmark."""
    options = parse_arguments(__doc__, calls=10_000, client_calls=1_000)
    rows = []
    own: dict[str, Callable[[], Any]] = {
        "mp4gen": lambda: mp4gen.SlidingWindowLimiter(LIMIT),
        "textbook": Textbook,
    }
    for name, make in (own | support_limiters.published(LIMIT)).items():
        for median in (0.06, 0.1, 0.2) if name in own else (0.1,):
            work = partial(saturate, make, options.calls, latency(Random(1), median))
            rows.append(row(name, median, options.calls, *support_limiters.run(work)))
    found = support.run(whole_client(options.client_calls), looptime.new_event_loop)
    rows.append(row("whole client", 0.06, options.client_calls, *found))
    show("20 calls in 10 s, counted by arrival", rows, options.json)


def row(name: str, median: float, calls: int, rate_limited: int, used: float) -> dict[str, Any]:
    """Return one row of the table."""
    return {
        "limiter": name,
        "latency ms": round(median * 1000),
        "calls": calls,
        "405": rate_limited,
        "used": used,
    }


if __name__ == "__main__":
    main()
