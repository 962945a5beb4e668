"""Measure a bulk run's ledger on a real disk: how fast it records, and how fast a run resumes.

    python benchmarks/bulk_ledger.py [--tracks 100000] [--commits 3000] [--json [FILE]]

`--commits` tracks take all four steps, each synced to the disk before the next, 40 tracks at a time
(a run has up to 300), against plain SQLite on the same disk. Then a run resumes with `--tracks`
finished tracks, and reports each of them again. About 20 s.
"""

# ruff: noqa: SLF001 - fills a ledger faster than a run would

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from report import at_least, at_most, parse_arguments, resident_memory, show_figures

from mp4gen import Client, Video, VideoRequest
from mp4gen.bulk import run
from mp4gen.bulk.ledger import Ledger
from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState

HOST = "http://127.0.0.1:1"
# The tracks that a run looks up at a time.
CHUNK = run._PREFETCH
IN_PROGRESS = 40


def plain_sqlite(path: Path, number: int) -> float:
    """Return the tracks a second of SQLite alone, with four synced commits for each."""
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


async def record(path: Path, number: int) -> float:
    """Return the tracks a second that the ledger takes through all steps of a run."""
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
    """Insert finished tracks, as an earlier run leaves them."""
    ledger._db.executemany(
        "INSERT INTO tracks (task_id, audio_id, state, video_task_id, url, tokens)"
        " VALUES ('music', ?, 'done', ?, 'https://cdn.example.com/v.mp4', 'token')",
        ((f"b{n}", f"video_b{n}") for n in range(number)),
    )


async def scan(path: Path, number: int) -> float:
    """Return the CPU seconds to look up all tracks, as many at a time as a run does."""
    ledger = await Ledger.open(path, HOST)
    await ledger._run(fill, number)
    # The minimum of three: other programs use this machine too.
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
    """Return the CPU seconds to report all finished tracks again, and the growth in MiB."""
    start, first, peak = time.process_time(), resident_memory(), 0.0
    async with Client(base_url=HOST) as client:
        lazily = (VideoRequest("music", f"b{n}") for n in range(number))
        result_count = 0
        async for conversion in client.convert_many(lazily, ledger=path):
            assert conversion.video
            result_count += 1
            if result_count % 1000 == 0:
                peak = max(peak, resident_memory())
    assert result_count == number
    return time.process_time() - start, peak - first


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, tracks=100_000, commits=3000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.sqlite")
        speed = asyncio.run(record(path, args.commits))
        possible = plain_sqlite(path.with_name("plain.sqlite"), 500)
        scanned = asyncio.run(scan(path, args.tracks))
        resumed, growth = asyncio.run(resume(path, args.tracks))
        size = path.stat().st_size / args.tracks
    found = [
        at_least("tracks a second, four synced steps each", speed, 500, "{:.0f}"),
        at_least("the same, relative to plain SQLite", speed / possible, 0.6, "{:.2f}"),
        at_most(f"look-up of {args.tracks:,} tracks, CPU s", scanned, 1, "{:.2f}"),
        at_most("all of them reported again, CPU s", resumed, 10, "{:.1f}"),
        at_most("memory that this takes, MiB", growth, 20, "{:.1f}"),
        at_most("bytes of ledger a track", size, 500, "{:.0f}"),
    ]
    show_figures("Ledger", found, args.json)


if __name__ == "__main__":
    main()
