"""Measure what a Dask cluster adds to a server, and what it costs: real processes on loopback.

    python benchmarks/dask_render.py [--songs 8] [--seconds 60] [--mix 60] [--rounds 3] [--json]

Each figure is a ratio of two runs, taken in turns, of which the fastest counts: songs on two
workers of one thread and on one; one song in the cluster and on this machine; a mix of some minutes
on two workers and on one. Then workers and the scheduler are killed while songs are rendered, and
started again as a service manager does; each accepted task must become a video. It needs two free
cores, and takes about ten minutes; `--mix 0` leaves out the mix.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
from report import at_least, at_most, parse_arguments, show, show_figures
from support_server import copies, get_details, server, submit, write_song

from mp4gen.server import Server

Tracks = list[tuple[str, str]]


class Cluster:
    """A scheduler and workers of one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, "0"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    @property
    def url(self) -> str:
        """The setting `executor`."""
        return f"dask://127.0.0.1:{self._port}"

    def start_scheduler(self) -> None:
        """Start the scheduler, the second time on the same port."""
        ready = self._folder / "scheduler.json"
        ready.unlink(missing_ok=True)
        options = ["--port", self._port, "--no-dashboard", "--scheduler-file", str(ready)]
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", *options)
        while not ready.exists() or not ready.stat().st_size:
            time.sleep(0.05)
        self._port = json.loads(ready.read_text())["address"].rpartition(":")[2]

    def start_worker(self) -> None:
        """Start one more worker."""
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        address = f"tcp://127.0.0.1:{self._port}"
        folder = str(self._folder / "workers")
        self.workers.append(self._start("worker", address, *options, "--local-directory", folder))

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", "dask", *command]
        return subprocess.Popen(  # noqa: S603 - our own program
            program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder
        )

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Kill one process."""
        process.kill()
        process.wait()

    def set_workers(self, count: int) -> None:
        """Set the number of workers."""
        while len(self.workers) > count:
            self.stop(self.workers.pop())
        while len(self.workers) < count:
            self.start_worker()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Yield a cluster, and end its processes."""
    one = Cluster(folder)
    try:
        yield one
    finally:
        one.set_workers(0)
        one.stop(one.scheduler)


@contextlib.asynccontextmanager
async def running(root: Path, **settings: Any) -> AsyncIterator[Server]:
    """Yield a server with a new data directory."""
    with tempfile.TemporaryDirectory(dir=root) as data:
        async with server(root, data=Path(data) / "data", max_duration=7200, **settings) as one:
            yield one


async def wait_for_slots(one: Server, count: int) -> None:
    """Wait until the server knows this many workers."""
    while one._scheduler.slots != count:  # noqa: ASYNC110, SLF001 - it has no event
        await asyncio.sleep(0.1)


async def render_all(one: Server, tracks: Tracks) -> list[str]:
    """Render the tracks, and return the state of each task."""
    async with aiohttp.ClientSession() as session:
        ids = [await submit(session, one.url, *track) for track in tracks]
        while True:
            flags = [(await get_details(session, one.url, task))["successFlag"] for task in ids]
            if "PENDING" not in flags:
                return flags
            await asyncio.sleep(0.05)


async def seconds_for(one: Server, tracks: Tracks) -> float:
    """Return the time that the tracks take, after one that loads the renderer."""
    started = time.monotonic()
    flags = await render_all(one, tracks)
    assert set(flags) == {"SUCCESS"}, flags
    return time.monotonic() - started


async def on_workers(root: Path, one: Cluster, count: int, warm: Tracks, tracks: Tracks) -> float:
    """Return the time that the tracks take on this many workers."""
    one.set_workers(count)
    async with running(root, executor=one.url) as server_:
        await wait_for_slots(server_, count)
        await render_all(server_, warm[:count])
        return await seconds_for(server_, tracks)


async def on_this_machine(root: Path, warm: Tracks, tracks: Tracks) -> float:
    """Return the time that the tracks take in one process of this machine."""
    async with running(root, workers=1) as server_:
        await render_all(server_, warm[:1])
        return await seconds_for(server_, tracks)


async def lost_in_trouble(root: Path, one: Cluster, tracks: Tracks) -> int:
    """Return how many tasks have no video after kills of workers and of the scheduler."""
    one.set_workers(2)
    async with running(root, executor=one.url) as server_:
        await wait_for_slots(server_, 2)
        rendering = asyncio.create_task(render_all(server_, tracks))
        for trouble in range(4):
            await asyncio.sleep(2)
            if trouble % 2:
                one.stop(one.scheduler)
                one.set_workers(0)
                one.start_scheduler()
            else:
                one.stop(one.workers.pop())
            one.set_workers(2)
        return sum(flag != "SUCCESS" for flag in await rendering)


async def main() -> None:
    """Measure all figures."""
    options = parse_arguments(__doc__, songs=8, seconds=60, mix=60, rounds=3)
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as one:
        root = Path(folder)
        warm = copies(write_song(root / "music/warm/song.wav", 1), 1, 2)
        song = write_song(root / "music/songs/song.wav", options.seconds)
        tracks = [("songs", "song")]
        for number in range(1, options.songs):
            (song.parent / f"{number}.wav").hardlink_to(song)
            tracks.append(("songs", str(number)))
        seconds: dict[str, list[float]] = {}

        def note(name: str, value: float) -> None:
            seconds.setdefault(name, []).append(value)
            print(f"{name}: {value:.1f} s", file=sys.stderr)

        for _ in range(options.rounds):
            note("songs on 1", await on_workers(root, one, 1, warm, tracks))
            note("songs on 2", await on_workers(root, one, 2, warm, tracks))
            note("here", await on_this_machine(root, warm, tracks[:1]))
            note("there", await on_workers(root, one, 1, warm, tracks[:1]))
        if options.mix:
            write_song(root / "music/mix/mix.wav", 60 * options.mix)
            for count in (1, 2):
                note(f"mix on {count}", await on_workers(root, one, count, warm, [("mix", "mix")]))
        lost = await lost_in_trouble(root, one, tracks)
    best = {name: min(values) for name, values in seconds.items()}
    figures = [
        at_least("songs on 2 workers / 1", best["songs on 1"] / best["songs on 2"], 1.8, "{:.2f}"),
        at_most("one song in the cluster / here", best["there"] / best["here"], 1.1, "{:.2f}"),
        at_most("tasks lost when workers and the scheduler are killed", lost, 0),
    ]
    songs = [
        {
            "Dask workers": count,
            "seconds each": options.seconds,
            "a minute": 60 * options.songs / best[f"songs on {count}"],
        }
        for count in (1, 2)
    ]
    show("Videos a minute", songs, options.json)
    if options.mix:
        ratio = best["mix on 1"] / best["mix on 2"]
        figures.append(at_least("a long mix on 2 workers / 1", ratio, 1.7, "{:.2f}"))
    show_figures("Dask", figures, options.json)


if __name__ == "__main__":
    asyncio.run(main())
