"""Ours beside `suno-easy`, the other client of this very API, on one fake service; in real time.

    pip install suno-easy==0.2.0
    python benchmarks/peers.py [--scale 20] [--json FILE]

20 and 50 tracks at once against the exact limit, `--scale` times faster than life; `suno-easy` as
its users run it, on threads. A peer that is not installed is skipped and named; where `CI` is set,
that is a failure. About 20 s.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import bulk_world as world

from mp4gen import Polling, RateLimit
from mp4gen.testing import FakeService, lognormal

SIZES = (20, 50)


@attrs.frozen
class Result:
    """What one client made of its tracks.

    Attributes:
        finished: tracks whose video's link it gave.
        lost: tracks that were paid for, and that it gave up.
        requests: that it sent.
        rate_limited: of these, the ones refused as too many.
        seconds: of life, scaled back.
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


def run_client(client: Client, number: int, scale: float) -> Result:
    """Let a client convert so many tracks at once."""
    service = FakeService(
        rate_limit=RateLimit(world.WINDOW, per=world.PER / scale),
        duration=lognormal(40 / scale, 120 / scale),
        latency=0.06 / scale,
        seed=number,
    )
    with service:
        start = time.perf_counter()
        found = client(service, number, scale)
        spent = (time.perf_counter() - start) * scale
        finished = sum(url is not None for url, _ in found)
        rate_limited = sum(call.rate_limited for call in service.requests)
        lost = len(service.tasks) - finished
        first_error = next((error for url, error in found if url is None), "")
        return Result(finished, lost, service.count(), rate_limited, spent, first_error)


def ours(service: FakeService, number: int, scale: float) -> list[Outcome]:
    """`convert_many`, with its defaults so many times faster."""
    defaults = Polling()

    async def convert() -> list[Outcome]:
        client = service.client(
            rate_limit=RateLimit(world.WINDOW, per=world.PER / scale),
            polling=Polling(
                initial_delay=defaults.initial_delay / scale,
                max_interval=defaults.max_interval / scale,
            ),
        )
        async with client, client.convert_many(world.tracks(number)) as run:
            return [(done.video and done.video.url, str(done.error)) async for done in run]

    return asyncio.run(convert())


def suno_easy(service: FakeService, number: int, scale: float) -> list[Outcome]:
    """Its blocking `video.create` and `wait`, a thread and a client for each track."""
    from suno_easy import SunoClient

    def convert(audio_id: str) -> Outcome:
        client = SunoClient("any key will do")
        client.BASE_URL = service.url
        try:
            task: Any = client.video.create("music", audio_id, wait=False)
            # Its own three seconds, which cannot be set through `create`.
            return task.wait(timeout=600, poll_interval=3 / scale).video_url, ""
        except Exception as error:  # noqa: BLE001 - whatever its user would get
            return None, f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(convert, [track.audio_id for track in world.tracks(number)]))


def format_result(name: str, number: int, result: Result) -> str:
    """One line about a meeting."""
    error = f"; {result.first_error}" if result.first_error else ""
    return (
        f"# {name}, {number} at once: {result.finished} finished, {result.lost} paid for and lost, "
        f"{result.requests} requests, {result.rate_limited} refused, {result.seconds:.0f} s{error}"
    )


def main() -> None:
    """Run, print, write."""

    def add(parser: Any) -> None:
        parser.add_argument("--scale", type=float, default=20.0)

    args = world.arguments(__doc__, add)
    installed = importlib.util.find_spec("suno_easy") is not None
    rows: list[tuple[str, str, str, bool]] = []
    for number in SIZES:
        mine = run_client(ours, number, args.scale)
        print(format_result("mp4gen", number, mine))
        name = f"mp4gen, {number} at once"
        rows.append((f"{name}: finished", f"{mine.finished}", f"{number}", mine.finished == number))
        rows.append((f"{name}: calls refused", f"{mine.rate_limited}", "0", mine.rate_limited == 0))
        if installed:
            theirs = run_client(suno_easy, number, args.scale)
            print(format_result("suno-easy", number, theirs))
            name = f"suno-easy 0.2.0, {number} at once: finished"
            rows.append((name, f"{theirs.finished}", "fewer than ours", theirs.finished < number))
    if not installed:
        print("# suno-easy is not installed and was skipped: pip install suno-easy==0.2.0")
    world.report(rows, args.json)
    if not installed and os.environ.get("CI"):
        sys.exit(1)


if __name__ == "__main__":
    main()
