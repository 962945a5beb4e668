"""A bulk run in bad weather and beside others; in virtual time.

    python benchmarks/bulk_trouble.py [--tracks 1000] [--json FILE]

A direct call during a full run; 455 for six hours; 405 for ten minutes; how many requests are alive
at once for 10,000 lazy ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import bulk_world as world

from mp4gen import ConversionRun, VideoRequest

SIX_HOURS = 6 * 3600.0


async def _errors(run: ConversionRun) -> int:
    return sum([conversion.error is not None async for conversion in run])


async def direct(number: int) -> float:
    """The longest that one of ten direct calls waits for its submit, in a full run."""
    service, waits = world.service(1), []
    async with world.client(service, 1) as client:
        running = asyncio.create_task(_errors(client.convert_many(world.tracks(number))))
        await asyncio.sleep(200)
        for n in range(10):
            asked = asyncio.get_running_loop().time()
            await client.create_music_video(VideoRequest("music", f"direct-{n}"))
            [at] = [call.at for call in service.calls if f"direct-{n}".encode() in call.body]
            waits.append(at - asked)
        running.cancel()
        await asyncio.wait([running])
    return max(waits)


async def outage(number: int, answer: str, seconds: float) -> tuple[int, int, float]:
    """Requests during an outage, failed tracks, and the share of the rate in the minute after."""
    service, loop = world.service(2), asyncio.get_running_loop()
    async with world.client(service, 2) as client:
        running = asyncio.create_task(_errors(client.convert_many(world.tracks(number))))
        await asyncio.sleep(200)
        before = service.count()
        service.always("*", answer)
        await asyncio.sleep(seconds)
        during, ended = service.count() - before, loop.time()
        service.clear()
        failed = await running
    # The minute that follows the first one.
    after = sum(ended + 60 <= call.at < ended + 120 for call in service.calls)
    return during, failed, after / (60 * world.WINDOW / world.PER)


async def alive(number: int) -> int:
    """The most requests that exist at once while a lazy iterable is converted."""
    service, most, now = world.service(3, rate_limit=None), 0, 0

    async def lazily() -> AsyncIterator[VideoRequest]:
        nonlocal most, now
        for request in world.tracks(number):
            now += 1
            most = max(most, now)
            yield request

    async with world.client(service, 3) as client:
        async for _ in client.convert_many(lazily()):
            now -= 1
    return most


def main() -> None:
    """Run, print, write."""

    def add(parser: Any) -> None:
        parser.add_argument("--tracks", type=int, default=1000)

    args = world.arguments(__doc__, add)
    waited = world.run(direct(args.tracks))
    asked, failed, _ = world.run(outage(args.tracks, "maintenance", SIX_HOURS))
    storm, refused, rate = world.run(outage(args.tracks, "code_405", 600.0))
    most = world.run(alive(10_000))
    world.report(
        [
            ("direct call in a full run: until sent", f"{waited:.1f} s", "<= 10 s", waited <= 10),
            ("455 for six hours: requests meanwhile", f"{asked}", "<= 80", asked <= 80),
            ("455 for six hours: failed tracks", f"{failed}", "0", failed == 0),
            ("405 for ten minutes: requests meanwhile", f"{storm}", "<= 80", storm <= 80),
            ("405 for ten minutes: failed tracks", f"{refused}", "0", refused == 0),
            ("405: rate in the second minute after", f"{rate:.0%}", ">= 90 %", rate >= 0.9),
            ("10,000 lazy requests: alive at once", f"{most}", "<= 320", most <= 320),
        ],
        args.json,
    )


if __name__ == "__main__":
    main()
