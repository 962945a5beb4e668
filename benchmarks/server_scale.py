"""Measure where one server process ends: its API, its store, and a queue of a million tasks.

    python benchmarks/server_scale.py [--only PART ...] [--quick] [--starts N] [--json [FILE]]

`api` measures the processor time of a submit and a poll in a server process of its own, and how
many cores of renders that feeds. `store` measures writes into an empty and a full database. `queue`
runs the real scheduler, queue and store in virtual time: 1,000 workers start on 1,000,000 waiting
tasks, of which the first `--starts` are also finished in the store. The rest of the order is
taken from the queue alone. About two and a half minutes on two free cores; `--quick` uses a tenth
of the tasks in the queue, and a hundredth elsewhere.
"""

import asyncio
import logging
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import server_day
import server_scale_queue
from report import argument_parser, resident_memory, show
from support_server import copies, get_details, server, submit, write_song

from mp4gen.render import RenderStyle, render_video
from mp4gen.server.queue import statements
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import Task, TaskState

CONCURRENT = 20
# Calls of each kind that are measured; those before fill the queue.
MEASURED = 500
SONG_SECONDS = 180.0
# Requests of one video by our client: one submit, and the polls of a wait of some minutes.
POLLS = 8


def accounts(tasks: int) -> Iterable[str]:
    """Yield the account of each task: one has half of them, and 99 others share the rest."""
    for number in range(tasks):
        yield "bulk" if number % 2 else f"account{number // 2 % 99}"


def own_fields(number: int) -> dict[str, Any]:
    """Return what distinguishes one task from another, of a usual length."""
    return {
        "task_id": f"{number:032x}",
        "music_task_id": f"albums/folder {number // 20}",
        "audio_id": f"{number % 20:02} a song of usual length.mp3",
        "callback_url": f"https://app.example.com/callbacks/{number:032x}",
        "filename": f"{number:024}.mp4",
        "fingerprint": f"{number:064x}",
    }


def task_of(number: int, account: str) -> Task:
    """Return one queued task."""
    return Task(
        account=account,
        author="An Artist",
        domain_name="music.example.com",
        base_url="https://videos.example.com",
        estimated_duration=SONG_SECONDS,
        created_at=1e9,
        **own_fields(number),
    )


def filled(folder: Path, tasks: int) -> Path:
    """Return a new database with queued tasks; the first one is made, and then copied."""
    original, copy = folder / f"{tasks}.sqlite", folder / f"{tasks} copy.sqlite"
    if not original.exists():
        store = Store(original)
        fill(store, tasks)
        store.close()
    return Path(shutil.copyfile(original, copy))


def fill(store: Store, tasks: int) -> None:
    """Add queued tasks in one transaction."""
    template = statements.encode(attrs.asdict(task_of(0, "")))
    rows = (
        template | own_fields(number) | {"account": account}
        for number, account in enumerate(accounts(tasks))
    )
    with store._transaction() as connection:  # noqa: SLF001 - a million calls would take minutes
        connection.executemany(statements.INSERT, rows)
    # As in a server that has filled it over days, and not with one transaction.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# --- the API ----------------------------------------------------------------------------------


def run_server(folder: Path, pipe: Any, workers: int) -> None:
    """Run a server whose renders never end, in a process of its own."""

    async def run() -> None:
        options = {"workers": workers, "min_free_bytes": 0, "progress_timeout": 3600}
        async with server(folder, executor=server_day.IdleExecutor, **options) as one:
            pipe.send(one.url)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def song_cpu(folder: Path) -> float:
    """Return the processor time of a render of three minutes, from two shorter ones."""
    took = []
    for seconds in (5, 5, 25):
        song = write_song(folder / f"{seconds}.wav", seconds)
        begun = time.process_time()
        render_video(song, folder / f"{seconds}.mp4", author="An Artist", style=RenderStyle())
        took.append(time.process_time() - begun)
    # The first one loads the libraries.
    return took[1] + (took[2] - took[1]) / 20 * (SONG_SECONDS - 5)


async def call_many(
    url: str, pid: int, tracks: list[tuple[str, str]], workers: int, seconds: float
) -> list[dict[str, Any]]:
    """Submit all tracks, poll the tasks that wait, and return the rates."""
    rows = []
    async with aiohttp.ClientSession() as session:
        ids: list[str] = []

        async def submit_some(some: list[tuple[str, str]]) -> None:
            ids.extend([await submit(session, url, *track) for track in some])

        async def poll_some(some: list[str]) -> None:
            for task_id in some:
                await get_details(session, url, task_id)

        async def measure(name: str, call: Any, items: list[Any]) -> None:
            cpu, begun = cpu_seconds(pid), time.perf_counter()
            await asyncio.gather(*(call(items[at::CONCURRENT]) for at in range(CONCURRENT)))
            wall = time.perf_counter() - begun
            cpu = (cpu_seconds(pid) - cpu - idle * wall) / len(items)
            rows.append(
                {
                    "renders": workers,
                    "call": name,
                    "calls": len(items),
                    "a second": len(items) / wall,
                    "CPU ms each": 1000 * cpu,
                    "a second on a free core": 1 / cpu,
                    "CPU % of the renders": 100 * idle,
                }
            )

        measured = min(MEASURED, len(tracks) - workers)
        await submit_some(tracks[:-measured])
        cpu = cpu_seconds(pid)
        await asyncio.sleep(seconds)
        idle = (cpu_seconds(pid) - cpu) / seconds
        await measure("submit", submit_some, tracks[-measured:])
        # Those before may be rendering, and their polls are held.
        await measure("poll", poll_some, ids[-measured:])
    return rows


def serve_and_call(folder: Path, workers: int, many: int) -> list[dict[str, Any]]:
    """Measure the calls of a server with this many running renders."""
    song = write_song(folder / "music" / "f" / "song.wav", 1)
    tracks = copies(song, many // 100, 100)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_server, args=(folder, theirs, workers))
    process.start()
    rows = asyncio.run(call_many(ours.recv(), process.pid or 0, tracks, workers, many / 500))
    ours.send(None)
    process.join()
    return rows


def measure_api(folder: Path, *, quick: bool, **_: Any) -> list[list[dict[str, Any]]]:
    """Measure the calls of a server process."""
    many = 500 if quick else 2000
    rows = []
    for workers in (1, 100 if quick else 1000):
        rows += serve_and_call(folder / str(workers), workers, many)
    seconds = song_cpu(folder)
    by_name = {row["call"]: row["CPU ms each"] for row in rows[:2]}
    each = by_name["submit"] + POLLS * by_name["poll"]
    fed = {
        "CPU s of a 3-minute song": seconds,
        f"CPU ms of a submit and {POLLS} polls": each,
        "songs a second": 1000 / each,
        "cores of renders that this feeds": 1000 / each * seconds,
    }
    return [rows, [fed]]


# --- the store --------------------------------------------------------------------------------


async def add_many(store: Store, first: int, many: int, concurrent: int) -> float:
    """Add tasks, and return how many a second."""

    async def add_some(numbers: Iterable[int]) -> None:
        for number in numbers:
            await store.add(task_of(number, "late"))

    begun = time.perf_counter()
    await asyncio.gather(
        *(add_some(range(first + at, first + many, concurrent)) for at in range(concurrent))
    )
    return many / (time.perf_counter() - begun)


def syncs_a_second(path: Path, many: int) -> float:
    """Return how often a second a file can be extended by a page and synced, by nothing else."""
    begun = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(many):
            file.write(bytes(4096))
            os.fsync(file.fileno())
    return many / (time.perf_counter() - begun)


def measure_store(folder: Path, *, quick: bool, **_: Any) -> list[list[dict[str, Any]]]:
    """Measure durable submits, reads and the size of an empty and of a full database."""
    rows = []
    many = 200 if quick else 1000
    for tasks in (0, 10_000 if quick else 1_000_000):
        path = filled(folder, tasks)
        store = Store(path)
        syncs = syncs_a_second(folder / "synced", many)
        cpu = time.process_time()
        rate = asyncio.run(add_many(store, tasks, many, CONCURRENT))
        cpu = (time.process_time() - cpu) / many
        begun = time.thread_time()
        for number in range(1000):
            store.get(f"{number * max(1, tasks // 1000):032x}")
        read = (time.thread_time() - begun) / 1000
        begun = time.thread_time()
        store.overview("bulk")
        counted = time.thread_time() - begun
        store.close()
        rows.append(
            {
                "tasks": tasks,
                "durable submits a second": rate,
                "CPU ms each": 1000 * cpu,
                "relative to plain syncs": rate / syncs,
                "us to read one": 1e6 * read,
                "ms to count those of an account": 1000 * counted,
                "bytes each": path.stat().st_size / (tasks + many),
            }
        )
    return [rows]


# --- the queue --------------------------------------------------------------------------------


def measure_queue(
    folder: Path, *, quick: bool, starts: int, **_: Any
) -> list[list[dict[str, Any]]]:
    """Start 1,000 workers on a full queue, in virtual time."""
    tasks = 100_000 if quick else 1_000_000
    store = server_scale_queue.InlineStore(filled(folder, tasks))
    before = round(resident_memory() * (1 << 20))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    found = server_scale_queue.run_scheduler(
        store, folder, workers=1000, starts=min(starts, tasks // 4), before=before, peak=peak
    )
    store.close()
    order = server_scale_queue.run_queue(accounts(tasks), workers=1000)
    assert found.pop("states") == {TaskState.DONE}
    return [[found], [order]]


PARTS = {
    "api": (("One server process, a call after the other", "What that feeds"), measure_api),
    "store": (("The store",), measure_store),
    "queue": (("The scheduler on a full queue", "The whole order"), measure_queue),
}


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="use fewer tasks")
    parser.add_argument("--starts", type=int, default=30_000, help="tasks that are also finished")
    args = parser.parse_args()
    logging.getLogger("mp4gen").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            titles, measure = PARTS[name]
            begun = time.perf_counter()
            tables = measure(Path(folder), quick=args.quick, starts=args.starts)
            took = time.perf_counter() - begun
            for title, rows in zip(titles, tables, strict=True):
                show(f"{title} ({took:.0f} s)", rows, args.json)


if __name__ == "__main__":
    main()
