"""Measure a bulk run beside single calls and during outages of the API; in virtual time.

    python benchmarks/bulk_trouble.py [--tracks 1000] [--json [FILE]]

The wait of a single call during a run; maintenance for six hours and refusals for ten minutes, each
begun at four moments of the run, of which the worst counts; the requests that exist at once while
10,000 are pulled from an iterator; and a file host that is down: the time of the last submit
compared with a run that downloads nothing, the requests to that host, and the memory of a track
that waits for its download. About 30 s.
"""

# ruff: noqa: SLF001 - the connections to the file host are replaced

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import attrs
import support_bulk as support
from report import at_least, at_most, note, parse_arguments, show_figures

from mp4gen import ConversionRun, RateLimit, VideoRequest
from mp4gen.downloads.fetch import FileSessions
from mp4gen.transport.network import Network

SIX_HOURS = 6 * 3600.0
MOMENTS = (100.0, 200.0, 333.0, 700.0)
# A window that counts as full again.
RECOVERED = 0.9 * support.WINDOW


async def _errors(run: ConversionRun) -> int:
    return sum([conversion.error is not None async for conversion in run])


async def single_calls(number: int) -> float:
    """Return the longest wait in seconds of ten single submits during a bulk run."""
    service, waits = support.service(1), []
    async with support.client(service, 1) as client:
        running = asyncio.create_task(_errors(client.convert_many(support.tracks(number))))
        await asyncio.sleep(200)
        for n in range(10):
            submitted_at = asyncio.get_running_loop().time()
            await client.create_music_video(VideoRequest("music", f"single-{n}"))
            [at] = [
                call.received_at for call in service.requests if f"single-{n}".encode() in call.body
            ]
            waits.append(at - submitted_at)
        running.cancel()
        await asyncio.wait([running])
    return max(waits)


@attrs.frozen
class Outage:
    """How a run got through an outage.

    Attributes:
        requests: requests sent during the outage.
        failed: tracks without a video at the end of the run.
        recovery_time: seconds from the end of the outage to the first window that is 90 % full.
        rate: share of the limit used in the second and third minute after the outage.
    """

    requests: int
    failed: int
    recovery_time: float
    rate: float


async def outage(number: int, fault: str, begin: float, seconds: float) -> Outage:
    """Convert tracks while all calls meet `fault`, from second `begin` on for `seconds`."""
    service, loop = support.service(2), asyncio.get_running_loop()
    async with support.client(service, 2) as client:
        running = asyncio.create_task(_errors(client.convert_many(support.tracks(number))))
        await asyncio.sleep(begin)
        before = service.count()
        service.always("*", fault)
        await asyncio.sleep(seconds)
        during, ended = service.count() - before, loop.time()
        service.clear()
        failed = await running
    after = [call.received_at - ended for call in service.requests if call.received_at >= ended]
    full = (
        at for at in after if sum(at - support.PER < other <= at for other in after) >= RECOVERED
    )
    rate = sum(60 <= at < 180 for at in after) / (120 * support.WINDOW / support.PER)
    return Outage(during, failed, next(full, float("inf")), rate)


def worst(number: int, fault: str, seconds: float) -> Outage:
    """Return the worst of each figure over the moments at which the outage begins."""
    found = [support.run(outage(number, fault, begin, seconds)) for begin in MOMENTS]
    for begin, one in zip(MOMENTS, found, strict=True):
        note(f"{fault} at {begin:g} s for {seconds:g} s: {one}")
    return Outage(
        max(one.requests for one in found),
        max(one.failed for one in found),
        max(one.recovery_time for one in found),
        min(one.rate for one in found),
    )


async def peak_alive(number: int) -> int:
    """Return the maximum of requests that exist at once while an iterator is converted."""
    service, peak, now = support.service(3, rate_limit=None), 0, 0

    async def lazily() -> AsyncIterator[VideoRequest]:
        nonlocal peak, now
        for request in support.tracks(number):
            now += 1
            peak = max(peak, now)
            yield request

    async with support.client(service, 3) as client:
        async for _ in client.convert_many(lazily()):
            now -= 1
    return peak


class DeadHost(FileSessions):
    """Connections to a file host that refuses each one.

    Attributes:
        requests: the attempts to connect.
    """

    requests = 0

    def session_for(self, url: str, *, allow_private: bool) -> Any:
        """Return the object itself as the session, without a proxy."""
        return self, None

    async def get(self, *_: object, **__: object) -> Any:
        """Refuse the connection."""
        self.requests += 1
        await asyncio.sleep(0.06)
        raise aiohttp.ClientConnectionError


@attrs.frozen
class DeadHostRun:
    """A run whose file host is down.

    Attributes:
        submitted_at: seconds from its begin to the last submit.
        ended_at: seconds to its end.
        requests: requests to the file host.
        bytes_waiting: memory of a track that waits for its download, in bytes.
    """

    submitted_at: float
    ended_at: float
    requests: int
    bytes_waiting: float = 0.0


async def dead_host(number: int, folder: str | None) -> DeadHostRun:
    """Convert tracks; with a folder, download them from a host that is down."""
    service, host = support.service(4), DeadHost(Network())
    async with support.client(service, 4) as client:
        client._get_downloader()._sessions = host
        failed = await _errors(client.convert_many(support.tracks(number), download_to=folder))
    assert failed == (number if folder else 0)
    submits = [call.received_at for call in service.requests if call.endpoint == "create"]
    return DeadHostRun(submits[-1], asyncio.get_running_loop().time(), host.requests)


async def memory_of_waiting(number: int, folder: str) -> float:
    """Return the bytes of a track that waits for its download, of `number` that do."""
    service, host = support.service(5, rate_limit=None), DeadHost(Network())
    service.duration = 1.0
    limit = RateLimit(10 * number, per=1)
    async with support.client(service, 5, rate_limit=limit) as client:
        client._get_downloader()._sessions = host
        run = client.convert_many(support.tracks(number), download_to=folder)
        tracemalloc.start()
        running = asyncio.create_task(_errors(run))
        await asyncio.sleep(250)
        assert host.hosts.users >= 0.9 * number
        gc.collect()
        waiting, _ = tracemalloc.get_traced_memory()
        await running
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return (waiting - after) / number


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, tracks=1000)
    wait = support.run(single_calls(args.tracks))
    down = worst(args.tracks, "maintenance", SIX_HOURS)
    refused = worst(args.tracks, "code_405", 600.0)
    undisturbed = support.run(dead_host(args.tracks, None))
    with TemporaryDirectory(prefix="mp4gen-") as folder:
        dead = support.run(dead_host(args.tracks, folder))
        memory = support.run(memory_of_waiting(args.tracks, folder))
    note(f"file host down: {dead}, else {undisturbed}")
    found = [
        at_most("single call in a full run: until sent, s", wait, 10, "{:.1f}"),
        at_most("455 for six hours: requests", down.requests, 80),
        at_most("455 for six hours: failed tracks", down.failed, 0),
        at_most("405 for ten minutes: requests", refused.requests, 80),
        at_most("405 for ten minutes: failed tracks", refused.failed, 0),
        at_most("405: until 90 % of the rate, s", refused.recovery_time, 60, "{:.0f}"),
        at_least("405: rate in the second and third minute after", refused.rate, 0.9, "{:.2f}"),
        at_most("10,000 lazy requests: alive at once", support.run(peak_alive(10_000)), 320),
        at_most(
            "file host down: last submit / without downloads",
            dead.submitted_at / undisturbed.submitted_at,
            1.1,
            "{:.3f}",
        ),
        at_most("file host down: requests to it", dead.requests, 500),
        at_most("track that waits for its download: KiB", memory / 1024, 12, "{:.1f}"),
    ]
    show_figures("Bulk run in trouble", found, args.json)


if __name__ == "__main__":
    main()
