"""Measure a bulk run against the shortest time that the rate limit permits.

    python benchmarks/bulk.py [--seeds 20] [--large 1] [--full] [--loopback] [--json [FILE]]

Requests a video, makespan and refusals of 1,000 tracks (`--seeds` times) and of 10,000 tracks
(`--large` times), in virtual time; `--full` runs 20 and 3. `--loopback` also converts 1,000 tracks
over real sockets, and compares both. About a minute.
"""

from __future__ import annotations

import asyncio
import time

import looptime
import support_bulk as support
from report import Figure, note, parse_arguments, show_figures


async def over_sockets(seed: int, number: int) -> support.BulkResult:
    """Convert the tracks over loopback."""
    loop = asyncio.get_running_loop()
    api = support.service(seed, latency=support.latency)
    async with api, api.client() as client:
        client.random.seed(seed)
        start = loop.time()
        async for _ in client.convert_many(support.tracks(number)):
            pass
        return support.BulkResult.of(api, loop.time() - start)


def measure(number: int, seeds: int, *goals: float) -> list[Figure]:
    """Return the figures of `seeds` runs."""
    if not seeds:
        return []
    start = time.perf_counter()
    runs = [support.run(support.convert_tracks(seed, number)) for seed in range(seeds)]
    name = f"{number:,} tracks, {seeds} seeds"
    note(f"{name}: {time.perf_counter() - start:.1f} s of real time")
    return support.figures(name, runs, *goals)


def compare_with_sockets() -> list[Figure]:
    """Return how far a run over sockets differs from the same run without."""
    virtual = support.run(support.convert_tracks(0, 1000))
    real = support.run(over_sockets(0, 1000), looptime.new_event_loop)
    found = []
    for name, ours, theirs in zip(("requests", "makespan"), virtual, real, strict=False):
        off = abs(theirs / ours - 1)
        found.append((f"loopback / virtual: {name}", f"{off:+.1%}", "<= 5 %", off <= 0.05))
    return found


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, seeds=20, large=1, full=False, loopback=False)
    seeds, large = (20, 3) if args.full else (args.seeds, args.large)
    found = measure(1000, seeds, 2.15, 1.2, 1.35) + measure(10_000, large, 2.05, 1.05, 1.35)
    if args.loopback:
        found += compare_with_sockets()
    show_figures("Bulk run", found, args.json)


if __name__ == "__main__":
    main()
