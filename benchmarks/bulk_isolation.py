"""Measure what one bad track, one bad answer or one waiting user costs the others; virtual time.

    python benchmarks/bulk_isolation.py [--tracks 200] [--json [FILE]]

A run with five tracks whose submit always fails, and with five that a firewall page answers; a run
through ten minutes of 503 with `Retry-After: 600`; a run beside 20 single calls that wait; arrivals
while calls are cancelled on their way; and single calls in outages. About 20 s.
"""

# ruff: noqa: SLF001 - as in support_bulk

from __future__ import annotations

import asyncio
from random import Random
from typing import Literal

import attrs
import support_bulk as support
from report import Figure, at_most, note, parse_arguments, show_figures

from mp4gen import Client, Conversion, RateLimit, Retry, SlidingWindowLimiter, TransportError
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.testing import FakeService, ScriptedResponse
from mp4gen.testing.faults import by_name
from mp4gen.testing.state import RecordedRequest

BUSY = ScriptedResponse(status=503, body=b"busy", headers={"Retry-After": "600"})
TEN_MINUTES = 600.0
# A single call that never ends.
FOREVER = 1e7


class SelectiveService(FakeService):
    """A service whose responses to some tracks are always the same fault."""

    fault: str = ""
    bad_tracks: frozenset[str] = frozenset()

    def _next_response(self, recorded: RecordedRequest) -> ScriptedResponse:
        if not recorded.rate_limited and any(
            f'"{track}"'.encode() in recorded.body for track in self.bad_tracks
        ):
            return by_name(self.fault, self.dialect)
        return super()._next_response(recorded)


@attrs.frozen
class Run:
    """How a bulk run ended.

    Attributes:
        healthy_done: Seconds until the last video.
        over: Seconds until the last result.
        last_bad_failed: Seconds from the last bad track's first submit until the last failure.
        videos: Tracks with a video.
        failed: Tracks with an error.
        error: What ended the run early, or None.
    """

    healthy_done: float
    over: float
    last_bad_failed: float
    videos: int
    failed: int
    error: Exception | None


def service(fault: str = "", bad_tracks: int = 0, number: int = 0) -> SelectiveService:
    """Return a service with `fault` for `bad_tracks` of `number` tracks, evenly spread."""
    api = SelectiveService(duration=support.DURATION, seed=4, credits=1e9, file_size=64)
    api.url, api.fault = support.BASE_URL, fault
    names = [request.audio_id for request in support.tracks(number)]
    api.bad_tracks = frozenset(names[:: number // bad_tracks] if bad_tracks else ())
    return api


async def convert(client: Client, api: SelectiveService, number: int) -> Run:
    """Convert tracks and report how it went."""
    loop = asyncio.get_running_loop()
    start, done, results, error = loop.time(), 0.0, list[Conversion](), None
    failed_at = start
    try:
        async for conversion in client.convert_many(support.tracks(number)):
            results.append(conversion)
            if conversion.video is not None:
                done = loop.time() - start
            else:
                failed_at = loop.time()
    except Exception as caught:  # noqa: BLE001 - a figure, whatever it is
        error = caught
    videos, bad = (
        sum(result.video is not None for result in results),
        max(api.bad_tracks, default=""),
    )
    first = next((call.received_at for call in api.requests if bad.encode() in call.body), start)
    failed = len(results) - videos
    return Run(done, loop.time() - start, failed_at - first, videos, failed, error)


async def bad_tracks(number: int, fault: str, bad: int) -> Run:
    """Convert tracks of which `bad` always meet `fault`."""
    api = service(fault, bad, number)
    async with support.client(api, 4) as client:
        return await convert(client, api, number)


async def outage(number: int, endpoint: Literal["*", "create"]) -> Run:
    """Convert tracks through ten minutes of 503, which begin after ten seconds."""
    api, loop = service(), asyncio.get_running_loop()
    loop.call_later(10, api.always, endpoint, BUSY)
    loop.call_later(10 + TEN_MINUTES, api.clear)
    async with support.client(api, 4) as client:
        return await convert(client, api, number)


async def beside_singles(number: int, singles: int) -> tuple[Run, float]:
    """Convert tracks beside single calls that wait; return the wait of a single submit, too."""
    api = service()
    async with support.client(api, 4) as client:
        api._state.duration = FOREVER
        requests = [attrs.evolve(r, task_id="other") for r in support.tracks(singles + 1)]
        waits = [asyncio.create_task(client.convert(r, timeout=1e6)) for r in requests[1:]]
        await asyncio.sleep(60)
        api._state.duration = support.DURATION
        running = asyncio.create_task(convert(client, api, number))
        await asyncio.sleep(45)
        before, loop = api.count(), asyncio.get_running_loop()
        start = loop.time()
        await client.create_music_video(requests[0])
        delay = loop.time() - start
        found = await running
        note(f"{api.count() - before} requests beside {singles} singles; {found}")
        for wait in waits:
            wait.cancel()
        await asyncio.wait([*waits, asyncio.create_task(asyncio.sleep(0))])
    return found, delay


async def cancelled_calls(calls: int) -> int:
    """Return the maximum arrivals in ten seconds while every other call is cancelled on its way."""
    limit, random, arrivals = RateLimit(20, per=10.0), Random(7), list[float]()
    limiter, loop = SlidingWindowLimiter(limit), asyncio.get_running_loop()

    async def one() -> None:
        async with limiter.slot():
            sent_at, latency = loop.time(), random.uniform(0.05, 3.0)
            arrivals.append(sent_at + latency)
            if random.random() < 0.5:
                await asyncio.sleep(2 * latency)
                return
            await asyncio.sleep(random.uniform(0, latency))
            pending = sent_at + 30.0 - loop.time()
            raise TransportError("Cancelled.", sent=True, pending=pending)

    await asyncio.gather(*(one() for _ in range(calls)), return_exceptions=True)
    return peak_in_window(arrivals, limit.per)


async def single_calls(calls: int, seconds: float) -> tuple[int, int]:
    """Return the failed calls and the requests of `calls` at once, in an outage of `seconds`."""
    api = support.service(5, rate_limit=None)
    api.always("*", "html_503")
    asyncio.get_running_loop().call_later(seconds, api.clear)
    limit = RateLimit(1000, per=1.0)
    async with support.client(api, 5, rate_limit=limit, retry=Retry()) as client:
        ends = await asyncio.gather(
            *(client.get_credits() for _ in range(calls)), return_exceptions=True
        )
    return sum(isinstance(end, Exception) for end in ends), api.count()


def show_run(name: str, found: Run) -> Run:
    """Print a run."""
    note(f"{name}: {found}")
    return found


def figures_of_bad_tracks(number: int) -> list[Figure]:
    """Return the figures of runs with five bad tracks."""
    alone = show_run("no bad track", support.run(bad_tracks(number, "", 0)))
    found = []
    for fault in ("code_500", "blocked", "html_404"):
        run = show_run(fault, support.run(bad_tracks(number, fault, 5)))
        ratio = run.healthy_done / alone.healthy_done
        missing = number - run.videos - run.failed
        found += [
            at_most(f"5 x {fault}: healthy ones done / alone", ratio, 1.1, "{:.2f}"),
            at_most(f"5 x {fault}: tracks without a result", missing, 0),
            at_most(
                f"5 x {fault}: until the last one failed, s", run.last_bad_failed, 310, "{:.0f}"
            ),
        ]
    return found


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, tracks=200)
    found = figures_of_bad_tracks(args.tracks)
    endpoints: dict[Literal["*", "create"], str] = {"*": "all calls", "create": "submits"}
    for endpoint, name in endpoints.items():
        down = show_run(f"503 with Retry-After: 600, {name}", support.run(outage(300, endpoint)))
        lost = 300 - down.videos
        found.append(at_most(f"300 tracks, 10 min of 503 to {name}: failed or uncertain", lost, 0))
    alone, _ = support.run(beside_singles(args.tracks, 0))
    beside, wait = support.run(beside_singles(args.tracks, 20))
    found += [
        at_most("run beside 20 waiting singles / alone", beside.over / alone.over, 1.5, "{:.2f}"),
        at_most("single submit beside both: until answered, s", wait, 10, "{:.1f}"),
        at_most("arrivals in 10 s, half cancelled", support.run(cancelled_calls(2000)), 20),
    ]
    for calls, seconds in ((5, 2.0), (50, 250.0)):
        failed, _ = support.run(single_calls(calls, seconds))
        found.append(at_most(f"{calls} single calls, outage of {seconds:g} s: failed", failed, 0))
    _, requests = support.run(single_calls(50, 1e9))
    found.append(at_most("50 single calls, endless outage: requests", requests, 100))
    show_figures("What one costs the others", found, args.json)


if __name__ == "__main__":
    main()
