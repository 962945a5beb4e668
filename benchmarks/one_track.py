"""How soon one track is seen to be finished, and what that costs, over many seeds.

The whole client against the fake service in virtual time; renders take as long as the service's do
(lognormal, median 40 s, one in twenty over 120 s).
"""

import asyncio
from random import Random
from statistics import mean
from typing import Any

import looptime
from report import arguments, show

import mp4gen
from mp4gen.testing import FakeService, lognormal


async def measure(polling: mp4gen.Polling, seeds: int, retry_after: float | None) -> dict[str, Any]:
    """Mean delay, mean length and requests a video."""
    loop = asyncio.get_running_loop()
    draw = lognormal(40, 120)
    chance = Random(7)
    service = FakeService(
        duration=lambda _: draw(chance),
        latency=0.03,
        rate_limit=None,
        retry_after=retry_after,
    )
    delays, lengths = [], []
    limit = mp4gen.RateLimit(100_000, per=0.001)
    async with service, service.client(polling=polling, rate_limit=limit) as client:
        for seed in range(seeds):
            client.random.seed(seed)
            video = await client.convert(mp4gen.VideoRequest("music", str(seed)))
            task = service.tasks[video.task_id]
            delays.append(loop.time() - task.completes_at)
            lengths.append(task.completes_at - task.created_at)
    return {
        "mean length s": mean(lengths),
        "mean delay s": mean(delays),
        "delay / length": mean(delays) / mean(lengths),
        "requests": service.count() / seeds,
    }


def main() -> None:
    """Print the table."""
    options = arguments(__doc__, seeds=200)
    rows = []
    for name, polling, retry_after in (
        ("mp4gen's default", mp4gen.Polling(), None),
        ("every 5 s", mp4gen.Polling(initial_delay=5, max_interval=5, jitter=0.0), None),
        (
            "every 30 s, as the vendor says",
            mp4gen.Polling(initial_delay=30, max_interval=30, jitter=0.0),
            None,
        ),
    ):
        loop = looptime.new_event_loop()
        found = loop.run_until_complete(measure(polling, options.seeds, retry_after))
        loop.close()
        rows.append({"rule": name, **found})
    show(f"One track, {options.seeds} seeds", rows, as_json=options.json)


if __name__ == "__main__":
    main()
