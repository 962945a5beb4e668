"""Measure what a call of the blocking client takes beyond one of the async client.

    python benchmarks/sync_call.py [--calls 2000] [--rounds 5] [--json [FILE]]

The server is another process. Both clients take turns, one call each; the median of the calls of a
round counts, and of the rounds the one with the smallest difference. About 20 s.
"""

import asyncio
import subprocess
import sys
import time
from statistics import median

from report import at_most, parse_arguments, show_figures

import mp4gen

LIMIT = mp4gen.RateLimit(1_000_000, per=0.001)
TASK = "video_000001"


def measure_round(
    calls: int,
    loop: asyncio.AbstractEventLoop,
    client: mp4gen.Client,
    blocking: mp4gen.sync.Client,
) -> tuple[float, float]:
    """Return the median seconds of a call of each client."""

    async def timed() -> float:
        before = time.perf_counter()
        await client.get_music_video_details(TASK)
        return time.perf_counter() - before

    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(calls):
        seconds[0].append(loop.run_until_complete(timed()))
        before = time.perf_counter()
        blocking.get_music_video_details(TASK)
        seconds[1].append(time.perf_counter() - before)
    return median(seconds[0]), median(seconds[1])


def measure(url: str, calls: int, rounds: int) -> tuple[float, float]:
    """Return the median seconds of a call of each client, in the round least disturbed."""
    loop = asyncio.new_event_loop()
    client = mp4gen.Client("key", base_url=url, rate_limit=LIMIT)
    with mp4gen.sync.Client("another key", base_url=url, rate_limit=LIMIT) as blocking:
        found = [measure_round(calls, loop, client, blocking) for _ in range(rounds)]
    loop.run_until_complete(client.aclose())
    loop.close()
    return min(found, key=lambda medians: medians[1] - medians[0])


def main() -> None:
    """Run the benchmark."""
    options = parse_arguments(__doc__, calls=2000, rounds=5)
    command = [sys.executable, __file__.replace("sync_call", "call_cpu"), "serve"]
    with subprocess.Popen(  # noqa: S603 - a script beside this one
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        plain, blocking = measure(server.stdout.readline().strip(), options.calls, options.rounds)
        server.stdin.close()
    figures = [
        at_most("blocking call over the async one, us", (blocking - plain) * 1e6, 150, "{:.0f}"),
        at_most("blocking call / async call", blocking / plain, 1.3, "{:.2f}"),
    ]
    show_figures("Blocking client", figures, options.json)


if __name__ == "__main__":
    main()
