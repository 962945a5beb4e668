"""A bulk run in bad weather and beside others; in virtual time.

    python benchmarks/bulk_trouble.py [--tracks 1000] [--json FILE]

A direct call during a full run; 455 for six hours; 405 for ten minutes; each of these begun at four
moments of the run, of which the worst is told; how many requests are alive at once for 10,000 lazy
ones. About 30 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import attrs
import bulk_world as world

from mp4gen import ConversionRun, VideoRequest

SIX_HOURS = 6 * 3600.0
MOMENTS = (100.0, 200.0, 333.0, 700.0)
# Nine tenths of a window.
RECOVERED = 0.9 * world.WINDOW


async def _errors(run: ConversionRun) -> int:
    return sum([conversion.error is not None async for conversion in run])


async def direct(number: int) -> float:
    """The longest that one of ten direct calls waits for its submit, in a full run."""
    service, waits = world.service(1), []
    async with world.client(service, 1) as client:
        running = asyncio.create_task(_errors(client.convert_many(world.tracks(number))))
        await asyncio.sleep(200)
        for n in range(10):
            submitted_at = asyncio.get_running_loop().time()
            await client.create_music_video(VideoRequest("music", f"direct-{n}"))
            [at] = [
                call.received_at for call in service.requests if f"direct-{n}".encode() in call.body
            ]
            waits.append(at - submitted_at)
        running.cancel()
        await asyncio.wait([running])
    return max(waits)


@attrs.frozen
class Outage:
    """What a run made of an outage.

    Attributes:
        requests: that were sent meanwhile.
        failed: tracks without a video at the end of the run.
        recovery_time: seconds from its end until a window held nine tenths of what it may hold.
        rate: share of the rate from a minute after its end to three minutes after it.
    """

    requests: int
    failed: int
    recovery_time: float
    rate: float


async def outage(number: int, fault: str, begin: float, seconds: float) -> Outage:
    """A run that meets `fault` on all its calls from `begin` on, for so many `seconds`."""
    service, loop = world.service(2), asyncio.get_running_loop()
    async with world.client(service, 2) as client:
        running = asyncio.create_task(_errors(client.convert_many(world.tracks(number))))
        await asyncio.sleep(begin)
        before = service.count()
        service.always("*", fault)
        await asyncio.sleep(seconds)
        during, ended = service.count() - before, loop.time()
        service.clear()
        failed = await running
    after = [call.received_at - ended for call in service.requests if call.received_at >= ended]
    full = (at for at in after if sum(at - world.PER < other <= at for other in after) >= RECOVERED)
    rate = sum(60 <= at < 180 for at in after) / (120 * world.WINDOW / world.PER)
    return Outage(during, failed, next(full, float("inf")), rate)


def worst(number: int, fault: str, seconds: float) -> Outage:
    """The worst of each figure over the moments at which the outage begins."""
    found = [world.run(outage(number, fault, begin, seconds)) for begin in MOMENTS]
    for begin, one in zip(MOMENTS, found, strict=True):
        print(f"# {fault} at {begin:g} s for {seconds:g} s: {one}")
    return Outage(
        max(one.requests for one in found),
        max(one.failed for one in found),
        max(one.recovery_time for one in found),
        min(one.rate for one in found),
    )


async def peak_alive(number: int) -> int:
    """The most requests that exist at once while a lazy iterable is converted."""
    service, peak, now = world.service(3, rate_limit=None), 0, 0

    async def lazily() -> AsyncIterator[VideoRequest]:
        nonlocal peak, now
        for request in world.tracks(number):
            now += 1
            peak = max(peak, now)
            yield request

    async with world.client(service, 3) as client:
        async for _ in client.convert_many(lazily()):
            now -= 1
    return peak


def main() -> None:
    """Run, print, write."""

    def add(parser: Any) -> None:
        parser.add_argument("--tracks", type=int, default=1000)

    args = world.arguments(__doc__, add)
    waited = world.run(direct(args.tracks))
    down = worst(args.tracks, "maintenance", SIX_HOURS)
    rate_limited = worst(args.tracks, "code_405", 600.0)
    peak = world.run(peak_alive(10_000))
    world.report(
        [
            ("direct call in a full run: until sent", f"{waited:.1f} s", "<= 10 s", waited <= 10),
            ("455 for six hours: requests", f"{down.requests}", "<= 80", down.requests <= 80),
            ("455 for six hours: failed tracks", f"{down.failed}", "0", down.failed == 0),
            (
                "405 for ten minutes: requests",
                f"{rate_limited.requests}",
                "<= 80",
                rate_limited.requests <= 80,
            ),
            (
                "405 for ten minutes: failed tracks",
                f"{rate_limited.failed}",
                "0",
                rate_limited.failed == 0,
            ),
            (
                "405: back at 90 % of the rate",
                f"{rate_limited.recovery_time:.0f} s",
                "<= 60 s",
                rate_limited.recovery_time <= 60,
            ),
            (
                "405: second and third minute after",
                f"{rate_limited.rate:.0%}",
                ">= 90 %",
                rate_limited.rate >= 0.9,
            ),
            ("10,000 lazy requests: alive at once", f"{peak}", "<= 320", peak <= 320),
        ],
        args.json,
    )


if __name__ == "__main__":
    main()
