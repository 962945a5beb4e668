"""A server under load with its receiver of callbacks, and its troubles; for `server_soak.py`."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from attrs import Factory, define, field
from report import note
from support_server import DETAILS, GENERATE

from mp4gen.cli import demo

SONGS = sorted(Path(demo.__file__).with_name("demo_music").glob("*.opus"))
LOOKS = ("bars", "ring", "wave", "waveform", "pulse")
MIN_FREE = 32 << 20
# Seconds to wait for all tasks at the end of a cycle.
DRAIN = 900.0
SETTINGS = (
    "--size 256x144 --fps 24 --workers 2 --rate-limit 1000000/10 --allow-local-callbacks "
    f"--min-free {MIN_FREE} --retention-days {20 / 1440} --shutdown-timeout 0"
).split()
UNWANTED = ("lost", "failed", "broken", "without callback")
COUNTED = ("accepted", "refused", "unanswered", "videos", *UNWANTED)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@define
class Receiver:
    """Receives the callbacks, or refuses them, fails or hangs."""

    port: int = Factory(free_port)
    mode: str = "alive"
    received: set[str] = Factory(set)
    _runner: web.AppRunner | None = None

    async def receive(self, request: web.Request) -> web.Response:
        """Take one callback in the way of the present mode."""
        callback = await request.json()
        if self.mode == "hangs":
            await asyncio.sleep(30)
        if self.mode != "alive":
            return web.Response(status=500)
        self.received.add(callback["data"]["task_id"])
        return web.Response()

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/callback", self.receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()


@define
class Soak:
    """One server, what was submitted to it, and what was found."""

    folder: Path
    disk: Path | None
    interval: float
    receiver: Receiver = Factory(Receiver)
    port: int = Factory(free_port)
    process: asyncio.subprocess.Process | None = None
    # The accepted tasks whose video was not checked yet, and if they may lack a callback.
    open_tasks: dict[str, bool] = Factory(dict)
    counts: dict[str, int] = field(factory=lambda: dict.fromkeys(COUNTED, 0))
    number: int = 0

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the server and wait until it responds."""
        command = [sys.executable, "-m", "mp4gen", "serve", *SETTINGS, "--port", str(self.port)]
        command += ["--music", str(self.folder / "music")]
        command += ["--data", str((self.disk or self.folder) / "data")]
        with (self.folder / "server.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stderr=log, stdout=log)
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await self._responds(session):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)

    async def _responds(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{self.url}{DETAILS}?taskId=none") as response:
                return response.status < 500
        return False

    async def end(self, number: signal.Signals) -> None:
        """Send the server a signal and wait for its end."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(60):
            await self.process.wait()

    async def load(self) -> None:
        """Submit one song after the other until it is cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
            while True:
                self.number += 1
                await self._submit(session, self.number)
                await asyncio.sleep(self.interval)

    async def _submit(self, session: aiohttp.ClientSession, number: int) -> None:
        body = {
            "taskId": "songs",
            "audioId": SONGS[number % len(SONGS)].stem,
            "author": f"Number {number}",
            "look": LOOKS[number % len(LOOKS)],
            "callBackUrl": f"http://127.0.0.1:{self.receiver.port}/callback",
        }
        try:
            async with session.post(self.url + GENERATE, json=body) as response:
                result = await response.json()
        except (aiohttp.ClientError, TimeoutError):
            self.counts["unanswered"] += 1
            return
        if result["code"] == 200:
            self.counts["accepted"] += 1
            self.open_tasks[result["data"]["taskId"]] = self.receiver.mode != "alive"
        else:
            self.counts["refused"] += 1

    async def drain(self) -> None:
        """Check every open task, and count those that have no complete video in the end."""
        end = asyncio.get_running_loop().time() + DRAIN
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
            while self.open_tasks and asyncio.get_running_loop().time() < end:
                for one in list(self.open_tasks):
                    # A busy machine may let a check wait; the next round repeats it.
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        await self._check(session, one)
                await asyncio.sleep(1)
            for one in list(self.open_tasks):
                await self._check(session, one, last=True)
        for one in self.open_tasks:
            note(f"lost: {one}")
        self.counts["lost"] += len(self.open_tasks)
        self.open_tasks.clear()

    async def _check(
        self, session: aiohttp.ClientSession, task_id: str, *, last: bool = False
    ) -> None:
        async with session.get(f"{self.url}{DETAILS}?taskId={task_id}") as response:
            data = (await response.json())["data"]
        state = data["successFlag"]
        is_notified = self.open_tasks[task_id] or task_id in self.receiver.received
        # A callback may still be on its way.
        if state == "PENDING" or not (is_notified or last):
            return
        if state == "GENERATE_MP4_FAILED":
            note(f"failed: {data}")
            self.counts["failed"] += 1
        else:
            await self._check_video(session, data)
        if not is_notified:
            note(f"without callback: {task_id}")
            self.counts["without callback"] += 1
        self.receiver.received.discard(task_id)
        del self.open_tasks[task_id]

    async def _check_video(self, session: aiohttp.ClientSession, data: dict[str, Any]) -> None:
        async with session.get(data["response"]["videoUrl"]) as response:
            video = await response.read()
        complete = response.status == 200 and b"ftyp" in video[:16] and b"moov" in video
        self.counts["videos" if complete else "broken"] += 1

    def sample(self) -> dict[str, float]:
        """Return what the server and its workers take."""
        assert self.process is not None
        pid = self.process.pid
        workers = children(pid)
        data = (self.disk or self.folder) / "data"
        files = [path for path in data.rglob("*") if path.is_file()]
        return {
            "server MiB": status(pid, "VmRSS") / 1024,
            "largest worker MiB": max((status(one, "VmRSS") for one in workers), default=0) / 1024,
            "processes": 1 + len(workers),
            "threads": status(pid, "Threads"),
            "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
            "files": len(files),
            "data MiB": sum(path.stat().st_size for path in files) / (1 << 20),
        }


def status(pid: int, name: str) -> int:
    """Return a number of /proc/PID/status, 0 if the process has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    return 0


def children(pid: int) -> list[int]:
    """Return the processes below a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children(child)]
    return found


@contextlib.asynccontextmanager
async def loaded(soak: Soak) -> AsyncIterator[None]:
    """Submit songs all the time."""
    load = asyncio.create_task(soak.load())
    try:
        yield
    finally:
        load.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await load


@contextlib.asynccontextmanager
async def callbacks(soak: Soak, mode: str) -> AsyncIterator[None]:
    """Let the receiver refuse, fail or hang; the tasks of this time may lack a callback."""
    soak.open_tasks = dict.fromkeys(soak.open_tasks, True)
    soak.receiver.mode = mode
    if mode == "closed":
        await soak.receiver.stop()
    yield
    if mode == "closed":
        await soak.receiver.start()
    soak.receiver.mode = "alive"
    soak.open_tasks = dict.fromkeys(soak.open_tasks, True)


def free_bytes(folder: Path) -> int:
    """Return the free space of a file system."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@contextlib.asynccontextmanager
async def filled(soak: Soak, left: int) -> AsyncIterator[None]:
    """Fill the disk up to some bytes."""
    assert soak.disk is not None
    ballast = soak.disk / "ballast"
    with ballast.open("wb") as file:
        while (size := free_bytes(soak.disk) - left) > 0:
            # A render may take the space in between.
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), file.tell(), size)
                file.seek(size, os.SEEK_CUR)
        yield
    ballast.unlink()


@contextlib.asynccontextmanager
async def no_music(soak: Soak) -> AsyncIterator[None]:
    """Move the music folder away."""
    away = (soak.folder / "music").rename(soak.folder / "away")
    yield
    away.rename(soak.folder / "music")
