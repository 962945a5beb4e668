"""A server that is killed and restarted loses no task, renders none twice, serves no partial file.

Failure mode 39.
"""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web

from mp4gen.server import Server, ServerConfig
from mp4gen.server.queue.recovery import encode_record

from .conftest import FAST_STYLE, FINISHED_TASK, Caller, Visitor, read_tasks
from .test_schema import old_database
from .zygote import POINTS, REMOVAL_POINTS, REVIVAL_POINTS, START_POINTS, TROUBLE_POINTS


class Zygote:
    """The program that starts servers which kill themselves."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("zygote.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(
        self,
        music: Path,
        data: Path,
        point: str = "",
        *,
        processes: bool = False,
        files: str | None = None,
    ) -> str:
        """Start a server that kills itself at `point`; return its URL."""
        order = {"music": str(music), "data": str(data), "point": point, "processes": processes}
        order |= {"files": files, "environment": {**os.environ}}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.pid = self.receive()["pid"]
        return self.receive()["url"]

    def start_and_die(
        self, music: Path, data: Path, point: str, *, files: str | None = None
    ) -> dict[str, Any]:
        """Start a server that kills itself before it accepts requests; return its end."""
        order = {"music": str(music), "data": str(data), "point": point, "processes": False}
        order |= {"files": files, "environment": {**os.environ}}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.receive()
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """Return the next message of the program."""
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the URL of a callback receiver, and the list of the bodies it received."""
    bodies: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({"status": "received"})

    app = web.Application()
    app.add_routes([web.post("/callback", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/callback", bodies
    await runner.cleanup()


@asynccontextmanager
async def restarted(music: Path, data: Path, **settings: Any) -> AsyncIterator[Server]:
    config = ServerConfig(
        music=music,
        data=data,
        port=0,
        style=FAST_STYLE,
        workers=1,
        min_free_bytes=0,
        allow_local_callbacks=True,
        executor=lambda: ThreadPoolExecutor(1),
        **settings,
    )
    async with Server(config) as server:
        yield server


def is_complete(video: Path) -> bool:
    """Return whether the boxes of an MP4 fill its file exactly, with its index among them."""
    content, at, kinds = video.read_bytes(), 0, []
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        kinds.append(content[at + 4 : at + 8])
        if size < 8:
            return False
        at += size
    return at == len(content) and kinds[0] == b"ftyp" and b"moov" in kinds and b"mdat" in kinds


async def submit(caller: Caller, callback: str) -> dict[str, Any] | None:
    """Return the response to a submit; None if the server died meanwhile."""
    try:
        return await caller.generate("album", "one", callBackUrl=callback)
    except aiohttp.ClientError:
        return None


async def wait_for_callback(bodies: list[dict[str, Any]], task_id: str) -> None:
    """Wait until a callback about `task_id` was received."""
    while True:
        if task_id in {body["data"]["task_id"] for body in bodies}:
            return
        await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("point", [*POINTS, *TROUBLE_POINTS])
async def test_restart_after_a_kill_loses_nothing(
    zygote: Zygote, music: Path, tmp_path: Path, point: str
) -> None:
    """Killed at this point, the task is done once, with one complete video and its callback."""
    data = tmp_path / "data"
    async with receiver() as (callback, bodies), aiohttp.ClientSession() as session:
        url = zygote.start(music, data, point)
        answer = await submit(Caller(session, url), callback)
        status = await asyncio.to_thread(zygote.receive)
        published = list((data / "videos").glob("*.mp4"))
        async with asyncio.timeout(100), restarted(music, data) as server:
            caller = Caller(session, server.url)
            again = await caller.generate("album", "one", callBackUrl=callback)
            task_id = again["data"]["taskId"]
            finished = await caller.wait_until_finished(task_id)
            await wait_for_callback(bodies, task_id)

    assert status == {"ended": -signal.SIGKILL}
    assert all(is_complete(video) for video in published)
    if answer is not None:
        assert answer["code"] == 200
        assert again["code"] == 409
        assert task_id == answer["data"]["taskId"]
    assert finished["successFlag"] == "SUCCESS"
    assert read_tasks(data, "task_id, state") == [(task_id, "done")]
    videos = list((data / "videos").glob("*.mp4"))
    assert [is_complete(video) for video in videos] == [True]
    assert not list((data / "work").iterdir())


FOUND = attrs.evolve(FINISHED_TASK, task_id=f"{9:032x}", filename="F" * 24 + ".mp4")
# The smallest file that is complete.
MP4 = b"".join(b"\0\0\0\x08" + kind for kind in (b"ftyp", b"moov", b"mdat"))


def write_old_folder(data: Path) -> None:
    """Write a folder of version 1 with a finished video, one without a task, and a user's file."""
    (data / "videos").mkdir(parents=True)
    old_database(data / "mp4gen.sqlite", 1)
    with contextlib.closing(sqlite3.connect(data / "mp4gen.sqlite")) as database, database:
        database.execute("UPDATE tasks SET callback = 'none'")
        (first,) = database.execute("SELECT filename FROM tasks ORDER BY seq").fetchone()
    (data / "videos" / first).write_bytes(MP4)
    (data / "videos" / FOUND.filename).write_bytes(MP4)
    (data / "videos" / f"{'F' * 24}.json").write_bytes(encode_record(FOUND))
    (data / "videos" / "mine.mp4").write_bytes(b"mine")


@pytest.mark.slow
@pytest.mark.parametrize("point", START_POINTS)
async def test_kill_at_the_start_loses_nothing(
    zygote: Zygote, music: Path, tmp_path: Path, point: str
) -> None:
    """Killed while it migrates an old folder, the next server has every task and video once."""
    data = tmp_path / "data"
    write_old_folder(data)
    status = await asyncio.to_thread(zygote.start_and_die, music, data, point)
    async with asyncio.timeout(100), restarted(music, data):
        while has_unfinished_tasks(data):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)

    assert status == {"ended": -signal.SIGKILL}
    tasks = read_tasks(data, "task_id, state, filename")
    states = {1: "done", 2: "failed", 3: "done", 4: "done", 5: "done", 9: "done"}
    assert sorted((int(task_id, 16), state) for task_id, state, _ in tasks) == [*states.items()]
    videos = {path.name for path in (data / "videos").glob("*.mp4")}
    assert videos == {name for _, state, name in tasks if state == "done"} | {"mine.mp4"}
    assert len(list((data / "videos").glob("*.json"))) == 5


def has_unfinished_tasks(data: Path) -> bool:
    """Return whether a task waits or renders."""
    return any(state in {"queued", "rendering"} for (state,) in read_tasks(data, "state"))


async def make_video(music: Path, data: Path) -> Path:
    """Render a video with a first server, and return its file."""
    async with restarted(music, data) as server, aiohttp.ClientSession() as session:
        await Caller(session, server.url).create_and_wait("album", "one")
    return next((data / "videos").glob("*.mp4"))


@pytest.mark.slow
@pytest.mark.parametrize("point", REVIVAL_POINTS)
async def test_kill_while_a_lost_video_is_made_again(
    zygote: Zygote, music: Path, tmp_path: Path, point: str
) -> None:
    """Killed at this point, the same task is done again, once."""
    data = tmp_path / "data"
    (await make_video(music, data)).unlink()
    before = read_tasks(data, "task_id, state")
    async with aiohttp.ClientSession() as session:
        url = zygote.start(music, data, point)
        await submit(Caller(session, url), "https://mp4gen.invalid/none")
        status = await asyncio.to_thread(zygote.receive)
        async with asyncio.timeout(100), restarted(music, data) as server:
            caller = Caller(session, server.url)
            again = await caller.generate("album", "one")
            finished = await caller.wait_until_finished(again["data"]["taskId"])

    assert status == {"ended": -signal.SIGKILL}
    assert finished["successFlag"] == "SUCCESS"
    assert read_tasks(data, "task_id, state") == before == [(finished["taskId"], "done")]
    assert [is_complete(video) for video in (data / "videos").glob("*.mp4")] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("point", REMOVAL_POINTS)
async def test_kill_while_a_video_is_deleted(
    zygote: Zygote, music: Path, tmp_path: Path, point: str
) -> None:
    """Killed at this point, the task and its video are both there, or both gone for good."""
    data = tmp_path / "data"
    await make_video(music, data)
    (task_id,) = read_tasks(data, "task_id")[0]
    visitor = Visitor(await asyncio.to_thread(zygote.start, music, data, point))
    await visitor.open()
    with contextlib.suppress(aiohttp.ClientError):
        await visitor.ask("DELETE", f"/page/videos/{task_id}")
    await visitor.session.close()
    status = await asyncio.to_thread(zygote.receive)
    async with restarted(music, data):
        pass

    assert status == {"ended": -signal.SIGKILL}
    left = [len(read_tasks(data, "task_id")), len(list((data / "videos").iterdir()))]
    assert left == ([1, 2] if point == "the removal is about to be stored" else [0, 0])


@pytest.mark.slow
async def test_workers_end_when_the_server_is_killed(
    zygote: Zygote, music: Path, tmp_path: Path
) -> None:
    """After a kill during a render, no worker is left and the port is free."""
    async with aiohttp.ClientSession() as session:
        url = zygote.start(music, tmp_path / "data", processes=True)
        caller = Caller(session, url)
        task_id = (await caller.generate("album", "one"))["data"]["taskId"]
        workers = (await asyncio.to_thread(zygote.receive))["workers"]
        os.kill(zygote.pid, signal.SIGKILL)
        await asyncio.to_thread(zygote.receive)
        async with asyncio.timeout(100):
            await wait_until_gone(workers)
        async with restarted(music, tmp_path / "data") as server:
            finished = await Caller(session, server.url).wait_until_finished(task_id)

    assert finished["successFlag"] == "SUCCESS"


async def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of these processes runs."""
    while True:
        if not any(map(is_running, pids)):
            return
        await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
