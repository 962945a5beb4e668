"""Compare mp4gen with `suno-easy`, the other client of this API, on one exact service.

    python benchmarks/peers.py suno-easy
    python benchmarks/comparison.py [--scale 5] [--json FILE]

60 tracks in a loop, 20 and 50 tracks in threads, and a submit whose response is lost, each against
the exact limit of 20 requests in 10 seconds; `--scale` times faster than life. `suno-easy` runs as
its users run it. A peer that is not installed is skipped and named; with `CI` set, that is a
failure. Takes about 4 minutes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import peers
import support_bulk as support
from report import parse_arguments, show_figures

from mp4gen import Polling, RateLimit
from mp4gen.testing import FakeService, lognormal

LOOP_TRACKS = 60
THREADS = (20, 50)


@attrs.frozen
class Result:
    """What one client made of its tracks.

    Attributes:
        finished: tracks whose video URL the client returned.
        lost: tracks that were paid for and that the client gave up.
        requests: requests sent.
        rate_limited: requests refused as too many.
        seconds: duration, scaled back to life.
        first_error: the first error.
    """

    finished: int
    lost: int
    requests: int
    rate_limited: int
    seconds: float
    first_error: str


Outcome = tuple[str | None, str]
Client = Callable[[FakeService, int, float], list[Outcome]]


def run_client(client: Client, number: int, scale: float, fault: str | None = None) -> Result:
    """Convert `number` tracks with a client; `fault` befalls the first submit."""
    service = FakeService(
        rate_limit=RateLimit(support.WINDOW, per=support.PER / scale),
        duration=lognormal(40 / scale, 120 / scale),
        latency=0.06 / scale,
        seed=number,
    )
    with service:
        if fault:
            service.script("create", fault)
        start = time.perf_counter()
        found = client(service, number, scale)
        spent = (time.perf_counter() - start) * scale
        finished = sum(url is not None for url, _ in found)
        rate_limited = sum(request.rate_limited for request in service.requests)
        lost = len(service.tasks) - finished
        first_error = next((error for url, error in found if url is None), "")
        return Result(finished, lost, service.count(), rate_limited, spent, first_error)


def ours(service: FakeService, number: int, scale: float) -> list[Outcome]:
    """Run `convert_many` with its defaults, `scale` times faster."""
    defaults = Polling()

    async def convert() -> list[Outcome]:
        client = service.client(
            rate_limit=RateLimit(support.WINDOW, per=support.PER / scale),
            polling=Polling(
                initial_delay=defaults.initial_delay / scale,
                max_interval=defaults.max_interval / scale,
            ),
        )
        async with client, client.convert_many(support.tracks(number)) as run:
            return [(done.video and done.video.url, str(done.error)) async for done in run]

    return asyncio.run(convert())


def suno_easy_client(service: FakeService) -> Any:
    """Return a client of the peer for the fake service."""
    from suno_easy import SunoClient

    client = SunoClient("any key will do")
    client.BASE_URL = service.url
    return client


def describe(error: Exception) -> str:
    """Return what the peer's user would read."""
    return f"{type(error).__name__}: {error}"


def wait(task: Any, scale: float) -> Outcome:
    """Wait with the peer's own interval of three seconds, which `create` does not take."""
    try:
        return task.wait(timeout=600, poll_interval=3 / scale).video_url, ""
    except Exception as error:  # noqa: BLE001 - whatever its user would get
        return None, describe(error)


def suno_easy_in_a_loop(service: FakeService, number: int, scale: float) -> list[Outcome]:
    """Submit all tracks one after the other, then wait for each."""
    client, outcomes, tasks = suno_easy_client(service), [], []
    for track in support.tracks(number):
        try:
            tasks.append(client.video.create("music", track.audio_id, wait=False))
        except Exception as error:  # noqa: BLE001 - whatever its user would get
            outcomes.append((None, describe(error)))
    return outcomes + [wait(task, scale) for task in tasks]


def suno_easy_in_threads(service: FakeService, number: int, scale: float) -> list[Outcome]:
    """Create and wait in a thread and with a client for each track."""

    def convert(audio_id: str) -> Outcome:
        try:
            task = suno_easy_client(service).video.create("music", audio_id, wait=False)
        except Exception as error:  # noqa: BLE001 - whatever its user would get
            return None, describe(error)
        return wait(task, scale)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(convert, [track.audio_id for track in support.tracks(number)]))


def format_result(name: str, setting: str, result: Result) -> str:
    """Return one line about a run."""
    error = f"; {result.first_error}" if result.first_error else ""
    return (
        f"# {name}, {setting}: {result.finished} finished, {result.lost} paid for and lost, "
        f"{result.requests} requests, {result.rate_limited} refused, {result.seconds:.0f} s{error}"
    )


def compare(setting: str, peer: Client | None, number: int, scale: float, **fault: str) -> Any:
    """Run both clients in one setting and yield the rows of the table."""
    mine = run_client(ours, number, scale, **fault)
    print(format_result("mp4gen", setting, mine))
    yield f"mp4gen, {setting}: finished", f"{mine.finished}", f"{number}", mine.finished == number
    yield f"mp4gen, {setting}: paid and lost", f"{mine.lost}", "0", mine.lost == 0
    if peer is not None:
        theirs = run_client(peer, number, scale, **fault)
        print(format_result("suno-easy", setting, theirs))
        fewer = theirs.finished < mine.finished
        yield f"suno-easy, {setting}: finished", f"{theirs.finished}", "fewer than ours", fewer
        yield f"suno-easy, {setting}: paid and lost", f"{theirs.lost}", "", True


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, scale=5.0)
    installed = peers.use("suno-easy")
    loop, threads = (suno_easy_in_a_loop, suno_easy_in_threads) if installed else (None, None)
    rows = [*compare(f"{LOOP_TRACKS} in a loop", loop, LOOP_TRACKS, args.scale)]
    for number in THREADS:
        rows += compare(f"{number} in threads", threads, number, args.scale)
    rows += compare("a lost response", loop, 1, args.scale, fault="reset_after_accept")
    if not installed:
        print("# suno-easy is not installed and was skipped: python benchmarks/peers.py suno-easy")
    show_figures("Comparison", rows, args.json)
    if not installed and os.environ.get("CI"):
        sys.exit(1)


if __name__ == "__main__":
    main()
