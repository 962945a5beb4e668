"""Refusals provoked at a server that counts arrivals exactly, and how much of the limit is used.

Every row but the last is the limiter alone against a model of the server, in virtual time; the
last one is the whole client against the fake service. "textbook" keeps the very same limit by the
times of sending, as most limiters do.
"""

import asyncio
import math
import selectors
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import looptime
from report import arguments, show

import mp4gen
from mp4gen.testing import FakeService

LIMIT = mp4gen.RateLimit(20, per=10.0)
Latency = Callable[[], float]


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that never sleeps: where it would, its clock jumps."""

    def __init__(self) -> None:
        self._now = 0.0
        loop = self

        class Jump(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
            def select(self, timeout: float | None = None) -> Any:
                loop._now += timeout or 0.0
                return super().select(0)

        super().__init__(Jump())

    def time(self) -> float:
        """The virtual time."""
        return self._now


class Textbook:
    """A sliding log of the times of sending."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Entered when fewer than 20 were sent in the last ten seconds."""
        loop = asyncio.get_running_loop()
        full = LIMIT.requests
        while len(self._sent) >= full and self._sent[0] > loop.time() - LIMIT.per:  # noqa: ASYNC110
            await asyncio.sleep(self._sent[0] + LIMIT.per - loop.time())
        if len(self._sent) >= full:
            self._sent.popleft()
        self._sent.append(loop.time())
        yield


def latency(random: Random, median: float) -> Latency:
    """One way, in seconds: lognormal, one in a hundred a spike, the first twenty cold."""
    number = 0

    def draw() -> float:
        nonlocal number
        number += 1
        seconds = random.lognormvariate(math.log(median), 0.5)
        spike = random.uniform(0.5, 3.0) if random.random() < 0.01 else 0.0
        return seconds + spike + (0.3 if number <= 40 or random.random() < 0.02 else 0.0)

    return draw


async def saturate(limiter: Any, calls: int, draw: Latency) -> tuple[int, float]:
    """Refusals, and the share of the limit that was used."""
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
    permitted = (calls - LIMIT.requests) / LIMIT.requests * LIMIT.per
    return rate_limited, permitted / loop.time()


async def whole_client(calls: int) -> tuple[int, float]:
    """The same with the client, its sockets and the fake service's own exact window."""
    random = Random(5)
    draw = latency(random, 0.06)
    service = FakeService(latency=lambda _: draw())
    async with service, service.client() as client:
        await asyncio.gather(*(client.get_credits() for _ in range(calls)))
    permitted = (calls - LIMIT.requests) / LIMIT.requests * LIMIT.per
    rate_limited = sum(call.rate_limited for call in service.requests)
    return rate_limited, permitted / asyncio.get_running_loop().time()


def main() -> None:
    """Print the table."""
    options = arguments(__doc__, calls=10_000, client_calls=1_000)
    rows = []
    for name, make in (
        ("mp4gen", lambda: mp4gen.SlidingWindowLimiter(LIMIT)),
        ("textbook", Textbook),
    ):
        for median in (0.06, 0.1, 0.2):
            loop = VirtualLoop()
            draw = latency(Random(1), median)
            rate_limited, used = loop.run_until_complete(saturate(make(), options.calls, draw))
            loop.close()
            rows.append(row(name, median, options.calls, rate_limited, used))
    loop = looptime.new_event_loop()
    rate_limited, used = loop.run_until_complete(whole_client(options.client_calls))
    loop.close()
    rows.append(row("whole client", 0.06, options.client_calls, rate_limited, used))
    show("20 calls in 10 s, counted by arrival", rows, as_json=options.json)


def row(name: str, median: float, calls: int, rate_limited: int, used: float) -> dict[str, Any]:
    """One line of the table."""
    each_way = f"{median * 1000:.0f} ms"
    return {
        "limiter": name,
        "each way": each_way,
        "calls": calls,
        "405": rate_limited,
        "used": used,
    }


if __name__ == "__main__":
    main()
