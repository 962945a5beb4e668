"""Measure what the server loses by troubles that pass: its disk, its music and its workers fail.

    python benchmarks/server_trouble.py [--tasks 20] [--seconds 6] [--json [FILE]]

For each trouble a server with two worker processes gets the tasks, and the trouble begins with the
first finished video and lasts for some seconds: the disk is full for the workers and the database,
it has less free space than `--min-free`, the music folder is away, all workers are killed (while
idle and while they render), and the videos are on another file system. The table says how many
tasks failed, how often a video was rendered for each task, and how long the last video took after
the end of the trouble. About two minutes on two free cores.
"""

import asyncio
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from report import at_most, parse_arguments, show, show_figures
from support_server import get_details, server, submit, write_song

from mp4gen.render import RenderStyle
from mp4gen.server import Server
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.rendering.supervisor import SupervisedRender

STYLE = RenderStyle(width=256, height=144, fps=24)
# Less than any video, and less than the log of the database after some tasks.
FULL_DISK_BYTES = 20_000
Trouble = Callable[[Server, Path], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def full_disk(one: Server, _: Path) -> AsyncIterator[None]:
    """Let no file of this process and of its workers grow."""
    processes = [os.getpid(), *one.worker_pids]
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in processes}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL_DISK_BYTES, hard))
    yield
    for pid in {os.getpid(), *one.worker_pids} & set(before):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before[pid])


@asynccontextmanager
async def little_space(_: Server, __: Path) -> AsyncIterator[None]:
    """Report a disk with less free space than the server needs."""
    real = DataDirectory.space_trouble
    DataDirectory.space_trouble = lambda *_: "The disk is full."  # type: ignore[method-assign]
    yield
    DataDirectory.space_trouble = real  # type: ignore[method-assign]


@asynccontextmanager
async def missing_music(_: Server, folder: Path) -> AsyncIterator[None]:
    """Move the music folder away."""
    away = (folder / "music").rename(folder / "away")
    yield
    away.rename(folder / "music")


@asynccontextmanager
async def dead_workers(one: Server, _: Path) -> AsyncIterator[None]:
    """Kill every worker once."""
    kill_all(one)
    yield


@asynccontextmanager
async def nothing(_: Server, __: Path) -> AsyncIterator[None]:
    """Change nothing."""
    yield


TROUBLES: dict[str, Trouble] = {
    "disk full": full_disk,
    "disk nearly full": little_space,
    "music folder away": missing_music,
    "workers killed": dead_workers,
    "videos on another file system": nothing,
}


def kill_all(one: Server) -> None:
    """Kill the workers of a server."""
    for pid in one.worker_pids:
        os.kill(pid, signal.SIGKILL)


async def finished(session: aiohttp.ClientSession, url: str, ids: list[str]) -> Counter[str]:
    """Return how many tasks have each state."""
    details = [await get_details(session, url, one) for one in ids]
    return Counter(data["successFlag"] for data in details)


async def wait_for(session: aiohttp.ClientSession, url: str, ids: list[str], count: int) -> None:
    """Wait until this many of the tasks have ended, for two minutes at most."""
    async with asyncio.timeout(120):
        while len(ids) - (await finished(session, url, ids))["PENDING"] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def measure(name: str, folder: Path, tasks: int, seconds: float) -> dict[str, Any]:
    """Return the row of one trouble."""
    for number in range(tasks + 2):
        write_song(folder / "music" / "a" / f"s{number}.wav", 1)
    rendered, run = 0, SupervisedRender.run

    async def count(self: SupervisedRender, *args: Any) -> Any:
        nonlocal rendered
        video = await run(self, *args)
        rendered += 1
        return video

    SupervisedRender.run = count  # type: ignore[method-assign]
    try:
        settings = {"style": STYLE, "workers": 2, "min_free_bytes": 0}
        async with server(folder, **settings) as one, aiohttp.ClientSession() as session:
            warm = [await submit(session, one.url, "a", f"s{tasks + n}") for n in range(2)]
            await wait_for(session, one.url, warm, 2)
            if name == "workers killed":
                kill_all(one)
            rendered = 0
            ids = [await submit(session, one.url, "a", f"s{n}") for n in range(tasks)]
            await wait_for(session, one.url, ids, 1)
            async with TROUBLES[name](one, folder):
                await asyncio.sleep(seconds)
            over = time.perf_counter()
            await wait_for(session, one.url, ids, tasks)
            states = await finished(session, one.url, ids)
    finally:
        SupervisedRender.run = run  # type: ignore[method-assign]
    return {
        "trouble": name,
        "tasks": tasks,
        "FAILED": states["GENERATE_MP4_FAILED"],
        "videos": states["SUCCESS"],
        "renders / task": rendered / tasks,
        "last video after s": time.perf_counter() - over,
    }


def other_disk(folder: Path) -> Path | None:
    """Return a folder on another file system; None if there is none."""
    for root in map(Path, ("/dev/shm", "/run", str(Path.home()))):  # noqa: S108 - other file systems
        if (
            root.is_dir()
            and os.access(root, os.W_OK)
            and root.stat().st_dev != folder.stat().st_dev
        ):
            return Path(tempfile.mkdtemp(prefix="mp4gen-", dir=root))
    return None


async def all_rows(tasks: int, seconds: float) -> list[dict[str, Any]]:
    """Return the row of each trouble that this machine can have."""
    rows = []
    for name, trouble in TROUBLES.items():
        with tempfile.TemporaryDirectory(prefix="mp4gen-") as temporary:
            folder = Path(temporary)
            elsewhere = None
            if trouble is nothing:
                elsewhere = other_disk(folder)
                if elsewhere is None:
                    continue
                own = DataDirectory(folder / "data")
                own.open()
                own.close()
                own.videos.rmdir()
                own.videos.symlink_to(elsewhere)
            rows.append(await measure(name, folder, tasks, seconds))
            if elsewhere is not None:
                shutil.rmtree(elsewhere)
    return rows


def main() -> None:
    """Print the table and the figures."""
    arguments = parse_arguments(__doc__, tasks=20, seconds=6.0)
    rows = asyncio.run(all_rows(arguments.tasks, arguments.seconds))
    show("Troubles that pass", rows, arguments.json)
    figures = [
        at_most("failed tasks", sum(row["FAILED"] for row in rows), 0),
        at_most("most renders of a task", max(row["renders / task"] for row in rows), 1),
    ]
    show_figures("Goals", figures, arguments.json)


if __name__ == "__main__":
    main()
