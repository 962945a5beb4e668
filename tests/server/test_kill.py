"""A server that is killed and restarted loses no task, renders none twice, serves no partial file.

Failure mode 39.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from mp4gen.server import Server, ServerConfig

from .conftest import FAST_STYLE, Caller, read_tasks
from .zygote import POINTS


class Zygote:
    """The program that starts servers which kill themselves."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("zygote.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, music: Path, data: Path, point: str = "", *, processes: bool = False) -> str:
        """Start a server that kills itself at `point`; return its URL."""
        order = {"music": str(music), "data": str(data), "point": point, "processes": processes}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.pid = self.receive()["pid"]
        return self.receive()["url"]

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
async def restarted(music: Path, data: Path) -> AsyncIterator[Server]:
    config = ServerConfig(
        music=music,
        data=data,
        port=0,
        style=FAST_STYLE,
        workers=1,
        min_free_bytes=0,
        allow_local_callbacks=True,
        executor=lambda: ThreadPoolExecutor(1),
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
@pytest.mark.parametrize("point", POINTS)
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
        async with asyncio.timeout(20), restarted(music, data) as server:
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
        async with asyncio.timeout(5):
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
