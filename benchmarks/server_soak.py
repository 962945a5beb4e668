"""Run a server for hours under load and trouble: nothing may be lost, nothing may grow.

    python benchmarks/server_soak.py [--minutes 120] [--disk FOLDER] [--json [FILE]]

`mp4gen serve` renders real songs at a steady rate, while a worker is killed, the receiver of the
callbacks refuses, fails and hangs, and the music folder is away, cycle by cycle. With `--disk`, the
data directory is in that folder, whose small file system, such as a tmpfs of 1 GB, is filled to the
last byte and freed again. In the first and the last tenth of the time each cycle also kills the
server. After each cycle, every accepted task must have a complete video and its callback; then
memory, descriptors, threads and files are counted. Linux only.
"""

import asyncio
import contextlib
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from report import at_most, note, parse_arguments, show, show_figures
from support_soak import (
    MIN_FREE,
    SONGS,
    UNWANTED,
    Soak,
    callbacks,
    children,
    filled,
    loaded,
    no_music,
)

FLAT = ("server MiB", "largest worker MiB", "threads", "descriptors", "files")


async def cycle(soak: Soak, seconds: float) -> None:
    """Let each trouble come and go while songs are submitted."""
    assert soak.process is not None
    for _ in range(2):
        await asyncio.sleep(seconds)
        for one in children(soak.process.pid)[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    for mode in ("closed", "fails", "hangs"):
        async with callbacks(soak, mode):
            await asyncio.sleep(seconds)
        await asyncio.sleep(seconds)
    for left in (MIN_FREE // 2, 0) if soak.disk else ():
        async with filled(soak, left):
            await asyncio.sleep(seconds)
        await asyncio.sleep(seconds)
    async with no_music(soak):
        await asyncio.sleep(seconds)


async def run(soak: Soak, minutes: float, seconds: float) -> list[dict[str, Any]]:
    """Run cycles for this time, and return a row for each."""
    begun = time.monotonic()
    await soak.receiver.start()
    await soak.start()
    rows: list[dict[str, Any]] = []
    life = 1
    try:
        while (elapsed := (time.monotonic() - begun) / 60) < minutes:
            async with loaded(soak):
                await cycle(soak, seconds)
                if not 0.1 < elapsed / minutes < 0.9:
                    await soak.end(signal.SIGTERM if life % 4 == 2 else signal.SIGKILL)
                    await soak.start()
                    life += 1
                    await asyncio.sleep(seconds)
            await soak.drain()
            row = {"minute": (time.monotonic() - begun) / 60, "life": life}
            rows.append({**row, **soak.counts, **soak.sample()})
            note(" ".join(f"{key}={value:g}" for key, value in rows[-1].items()))
    finally:
        await soak.end(signal.SIGTERM)
        await soak.receiver.stop()
    return rows


def growth(rows: list[dict[str, Any]], column: str) -> float:
    """Return the median of the last third of the longest life, relative to that of the middle."""
    lives = [row["life"] for row in rows]
    longest = [row for row in rows if row["life"] == max(lives, key=lives.count)]
    third = max(1, len(longest) // 3)
    middle, last = longest[third : 2 * third] or longest, longest[-third:]
    values = [statistics.median(row[column] for row in part) for part in (middle, last)]
    return values[1] / values[0] if values[0] else 1.0


def main() -> None:
    """Print a row for each cycle and the figures."""
    args = parse_arguments(__doc__, minutes=120.0, interval=3.0, seconds=15.0, disk="")
    with tempfile.TemporaryDirectory(prefix="mp4gen-soak-") as temporary:
        folder = Path(temporary)
        for song in SONGS:
            (folder / "music" / "songs").mkdir(parents=True, exist_ok=True)
            (folder / "music" / "songs" / song.name).write_bytes(song.read_bytes())
        soak = Soak(folder, Path(args.disk) if args.disk else None, args.interval)
        rows = asyncio.run(run(soak, args.minutes, args.seconds))
    show("Each cycle", rows, args.json)
    figures = [at_most(what, soak.counts[what], 0) for what in UNWANTED]
    figures += [
        at_most(f"{column}, last third / middle", growth(rows, column), 1.1) for column in FLAT
    ]
    show_figures(f"{rows[-1]['videos']} videos of {rows[-1]['accepted']} tasks", figures, args.json)


if __name__ == "__main__":
    main()
