"""A bulk run against the floor: requests a video, makespan, answers 405; in virtual time.

    python benchmarks/bulk.py [--seeds 20] [--large 1] [--full] [--loopback] [--json FILE]

1,000 tracks for each of `--seeds`, 10,000 for each of `--large`; `--full` takes 20 and 3.
`--loopback` also runs 1,000 tracks over real sockets, under looptime, and shows how far the two
agree.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import bulk_world as world
import looptime

from mp4gen.testing import FakeService


async def one(seed: int, number: int, **settings: Any) -> tuple[float, float, int]:
    """Requests a video, makespan / floor, and 405s of one run."""
    service = world.service(seed)
    async with world.client(service, seed, **settings) as client:
        run = client.convert_many(world.tracks(number))
        results = [conversion async for conversion in run]
    assert run.summary.succeeded == len(results) == len(service.tasks) == number
    return figures(service, asyncio.get_running_loop().time())


def figures(service: FakeService, makespan: float) -> tuple[float, float, int]:
    """The same three, of a run that is over."""
    durations = world.durations(service)
    rate_limited = sum(call.rate_limited for call in service.requests)
    return service.count() / len(durations), makespan / world.floor(durations, 2), rate_limited


async def over_sockets(seed: int, number: int) -> tuple[float, float, int]:
    """One run over loopback."""
    loop = asyncio.get_running_loop()
    async with world.service(seed, latency=world.latency) as service, service.client() as client:
        client.random.seed(seed)
        start = loop.time()
        async for _ in client.convert_many(world.tracks(number)):
            pass
        return figures(service, loop.time() - start)


def rows(number: int, seeds: int, goals: tuple[float, float, float]) -> list[Any]:
    """The figures of `seeds` runs."""
    start = time.perf_counter()
    found = [world.run(one(seed, number)) for seed in range(seeds)]
    spent = time.perf_counter() - start
    requests, spans = [f[0] for f in found], [f[1] for f in found]
    rate_limited = sum(f[2] for f in found)
    name = f"{number:,} tracks, {seeds} seeds"
    print(f"# {name}: {spent:.1f} s of real time")
    return [
        (
            f"{name}: requests a video",
            f"{world.mean(requests):.3f}",
            f"<= {goals[0]}",
            world.mean(requests) <= goals[0],
        ),
        (
            f"{name}: makespan / floor",
            f"{world.mean(spans):.3f}",
            f"<= {goals[1]}",
            world.mean(spans) <= goals[1],
        ),
        (f"{name}: worst seed", f"{max(spans):.3f}", f"<= {goals[2]}", max(spans) <= goals[2]),
        (f"{name}: answers 405", f"{rate_limited}", "0", rate_limited == 0),
    ]


def main() -> None:
    """Run, print, write."""

    def add(parser: Any) -> None:
        parser.add_argument("--seeds", type=int, default=20)
        parser.add_argument("--large", type=int, default=1)
        parser.add_argument("--full", action="store_true")
        parser.add_argument("--loopback", action="store_true")

    args = world.arguments(__doc__, add)
    seeds, large = (20, 3) if args.full else (args.seeds, args.large)
    table = rows(1000, seeds, (2.15, 1.2, 1.35)) if seeds else []
    table += rows(10_000, large, (2.05, 1.05, 1.35)) if large else []
    if args.loopback:
        requests, span, _ = world.run(one(0, 1000))
        with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
            real = runner.run(over_sockets(0, 1000))
        for name, ours, theirs in (("requests", requests, real[0]), ("makespan", span, real[1])):
            off = abs(theirs / ours - 1)
            table.append((f"loopback / virtual: {name}", f"{off:+.1%}", "<= 5 %", off <= 0.05))
    world.report(table, args.json)


if __name__ == "__main__":
    main()
