"""Measure how late the client notices that a track is finished, and with how many requests.

    python benchmarks/one_track.py [--seeds 200] [--json [FILE]]

The client's default polling, against a fixed interval of 5 s, the 30 s that the vendor advises, and
the rules of two clients: runwayml (5.24) polls every 6 s, more or less, and suno-easy every 3 s.
The service runs in virtual time; the median render takes 40 s, one in twenty over 120 s. Takes
about 10 s.
"""

import asyncio
from random import Random
from statistics import mean
from typing import Any

import looptime
import support_bulk as support
from report import parse_arguments, show

import mp4gen
from mp4gen.testing import FakeService


async def measure(polling: mp4gen.Polling, seeds: int) -> dict[str, Any]:
    """Return the mean duration of a render, the mean delay after it, and the requests a video."""
    loop = asyncio.get_running_loop()
    chance = Random(7)
    service = FakeService(
        duration=lambda _: support.DURATION(chance), latency=0.03, rate_limit=None
    )
    delays, durations = [], []
    limit = mp4gen.RateLimit(100_000, per=0.001)
    async with service, service.client(polling=polling, rate_limit=limit) as client:
        for seed in range(seeds):
            client.random.seed(seed)
            video = await client.convert(mp4gen.VideoRequest("music", str(seed)))
            task = service.tasks[video.task_id]
            delays.append(loop.time() - task.completes_at)
            durations.append(task.completes_at - task.created_at)
    return {
        "mean duration s": mean(durations),
        "mean delay s": mean(delays),
        "delay / duration": mean(delays) / mean(durations),
        "requests": service.count() / seeds,
    }


def fixed(seconds: float, jitter: float = 0.0) -> mp4gen.Polling:
    """Return polling at a fixed interval: twice the age is never sooner."""
    return mp4gen.Polling(
        initial_delay=seconds, multiplier=2.0, max_interval=seconds, jitter=jitter
    )


def main() -> None:
    """Run the benchmark."""
    options = parse_arguments(__doc__, seeds=200)
    rules = {
        "default": mp4gen.Polling(),
        "every 5 s": fixed(5),
        "runwayml's rule": fixed(6, jitter=0.25),
        "suno-easy's rule": fixed(3),
        "every 30 s": fixed(30),
    }
    rows = [
        {"polling": name} | support.run(measure(polling, options.seeds), looptime.new_event_loop)
        for name, polling in rules.items()
    ]
    show(f"One track, {options.seeds} seeds", rows, options.json)


if __name__ == "__main__":
    main()
