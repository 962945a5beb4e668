"""A ledger of many tracks on a real disk: through it, and back from it; in real time.

    python benchmarks/bulk_ledger.py [--tracks 100000] [--commits 3000] [--json FILE]

`--commits` tracks take all four steps, each synced to the disk before the next one is begun; forty
are under way at a time (a run has up to 300). Then `--tracks` finished ones are put into it, read
as a resumed run does, and told again. About 20 s.
"""

# ruff: noqa: SLF001 - a ledger is filled faster than a run would, and looked into

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import bulk_world as world

from mp4gen import Client, Video, VideoRequest
from mp4gen.bulk import run
from mp4gen.bulk.ledger import Ledger
from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState

HOST = "http://127.0.0.1:1"
# As many as a run asks for at a time.
CHUNK = run._PREFETCH
IN_PROGRESS = 40


def memory() -> float:
    """The memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def bare(path: Path, number: int) -> float:
    """Tracks a second that SQLite itself makes of four synced commits each, on this disk."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE tracks (id INTEGER PRIMARY KEY, state TEXT, note TEXT)")
    start = time.perf_counter()
    for n in range(number):
        db.execute("INSERT INTO tracks VALUES (?, 'intent', ?)", (n, "x" * 100))
        for state in ("submitted", "done", "downloaded"):
            db.execute("UPDATE tracks SET state = ? WHERE id = ?", (state, n))
    spent = time.perf_counter() - start
    db.close()
    return number / spent


async def through(path: Path, number: int) -> float:
    """Tracks a second through all steps of a run."""
    ledger = await Ledger.open(path, HOST)
    start = time.perf_counter()
    for first in range(0, number, IN_PROGRESS):
        starts = range(first, first + IN_PROGRESS, CHUNK)
        await asyncio.gather(*(_chunk(ledger, start) for start in starts))
    spent = time.perf_counter() - start
    await ledger.close()
    return number / spent


async def _chunk(ledger: Ledger, first: int) -> None:
    requests = [VideoRequest("music", f"a{n}") for n in range(first, first + CHUNK)]
    entries = [
        entry for entry in await ledger.add_or_get(requests) if isinstance(entry, LedgerEntry)
    ]
    await asyncio.gather(*(_steps(ledger, entry) for entry in entries))


async def _steps(ledger: Ledger, entry: LedgerEntry) -> None:
    video = Video(f"video_{entry.id}", "https://cdn.example.com/1.mp4", entry.request.audio_id)
    await ledger.mark_submitting(entry.id, ["token-token-token-token-token-to"])
    await ledger.mark_submitted(entry.id, video.task_id, adopted=False)
    await ledger.mark_done(entry.id, video)
    await ledger.mark_downloaded(entry.id, Path("videos/1.mp4"))


def fill(ledger: Ledger, number: int) -> None:
    """Finished tracks, as a run of some nights would have left them."""
    ledger._db.executemany(
        "INSERT INTO tracks (task_id, audio_id, state, video_task_id, url, tokens)"
        " VALUES ('music', ?, 'done', ?, 'https://cdn.example.com/v.mp4', 'token')",
        ((f"b{n}", f"video_b{n}") for n in range(number)),
    )


async def scan(path: Path, number: int) -> float:
    """CPU seconds in which the ledger gives all tracks in a run's own portions."""
    ledger = await Ledger.open(path, HOST)
    await ledger._run(fill, number)
    # The least of three: others use this machine too.
    spent = min([await ledger._run(_scan, number) for _ in range(3)])
    await ledger.close()
    return spent


def _scan(ledger: Ledger, number: int) -> float:
    requests = [VideoRequest("music", f"b{n}") for n in range(number)]
    start = time.process_time()
    for first in range(0, number, CHUNK):
        for entry in ledger._add_or_get(requests[first : first + CHUNK]):
            assert isinstance(entry, LedgerEntry)
            assert entry.state is LedgerState.DONE
    return time.process_time() - start


async def resume(path: Path, number: int) -> tuple[float, float]:
    """CPU seconds to tell every finished track again, and MiB that the memory grows meanwhile."""
    start, first, peak = time.process_time(), memory(), 0.0
    async with Client(base_url=HOST) as client:
        lazily = (VideoRequest("music", f"b{n}") for n in range(number))
        result_count = 0
        async for conversion in client.convert_many(lazily, ledger=path):
            assert conversion.video
            result_count += 1
            if result_count % 1000 == 0:
                peak = max(peak, memory())
    assert result_count == number
    return time.process_time() - start, peak - first


def main() -> None:
    """Run, print, write."""

    def add(parser: Any) -> None:
        parser.add_argument("--tracks", type=int, default=100_000)
        parser.add_argument("--commits", type=int, default=3000)

    args = world.arguments(__doc__, add)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.sqlite")
        speed, possible = asyncio.run(through(path, args.commits)), bare(path.with_name("b"), 500)
        scanned = asyncio.run(scan(path, args.tracks))
        resumed, grown = asyncio.run(resume(path, args.tracks))
        size = path.stat().st_size / args.tracks
    world.report(
        [
            ("tracks a second, four synced steps each", f"{speed:.0f}", ">= 500", speed >= 500),
            (
                "  of what SQLite makes on this disk, one by one",
                f"{speed / possible:.0%}",
                ">= 60 %",
                speed >= 0.6 * possible,
            ),
            (f"scan of {args.tracks:,} tracks (CPU)", f"{scanned:.2f} s", "< 1 s", scanned < 1),
            ("all of them told again as results (CPU)", f"{resumed:.1f} s", "< 10 s", resumed < 10),
            ("memory that this takes", f"{grown:.1f} MiB", "< 20 MiB", grown < 20),
            ("bytes of ledger a track", f"{size:.0f}", "< 500", size < 500),
        ],
        args.json,
    )


if __name__ == "__main__":
    main()
