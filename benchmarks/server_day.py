"""Measure workers side by side, a day of service and one client; run by `server_api.py`."""

import asyncio
import os
import shutil
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from report import resident_memory
from support_server import copies, get_details, server, submit, write_song

import mp4gen
from mp4gen.render import RenderStyle, render_video
from mp4gen.server import app as server_app
from mp4gen.server.rendering import worker


class IdleExecutor(Executor):
    """Accepts jobs and never runs them, so that the queue fills."""

    def __init__(self) -> None:
        self._accepted: list[Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        """Return a future that ends with the executor."""
        self._accepted.append(Future())
        return self._accepted[-1]

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Fail all accepted jobs."""
        for future in self._accepted:
            if not future.done():
                future.set_exception(BrokenExecutor())


async def workers(folder: Path, *, short: bool) -> list[dict[str, Any]]:
    """Count the videos a minute of 1, 2, 4… workers; a first video warms up each worker."""
    songs, seconds = (4, 30) if short else (8, 60)
    rate: dict[int, float] = {}
    for count in worker_counts():
        subfolder = folder / str(count)
        for number in range(songs + count):
            write_song(subfolder / "music" / "a" / f"s{number}.wav", seconds)
        async with server(subfolder, workers=count) as one, aiohttp.ClientSession() as session:
            warm = [await submit(session, one.url, "a", f"s{n}") for n in range(count)]
            await wait_until_finished(session, one.url, warm)
            begun = time.perf_counter()
            ids = [await submit(session, one.url, "a", f"s{count + n}") for n in range(songs)]
            await wait_until_finished(session, one.url, ids)
            rate[count] = 60 * songs / (time.perf_counter() - begun)
    return [
        {
            "workers": count,
            "videos": songs,
            "seconds each": seconds,
            "a minute": each,
            "ratio (goal >= 0.85 a worker)": each / rate[1] / count,
        }
        for count, each in rate.items()
    ]


def worker_counts() -> list[int]:
    """Return 1, 2, 4… up to the cores of this machine, but at least to 2."""
    cores = os.cpu_count() or 1
    return [1, 2, *(1 << power for power in range(2, cores.bit_length()) if 1 << power <= cores)]


async def wait_until_finished(session: aiohttp.ClientSession, url: str, ids: list[str]) -> None:
    """Wait until all of these tasks are videos."""
    for one in ids:
        while True:
            data = await get_details(session, url, one)
            if data["successFlag"] != "PENDING":
                break
            await asyncio.sleep(0.1)
        assert data["successFlag"] in {"SUCCESS", "CALLBACK_EXCEPTION"}, data


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def day(folder: Path, *, short: bool) -> list[dict[str, Any]]:
    """Submit, poll, receive the callback, fetch the file and let it expire, a thousand times."""
    rounds, each = (4, 25) if short else (10, 100)
    song = write_song(folder / "music" / "f" / "song.wav", 1)
    rendered = folder / "made.mp4"
    render_video(song, rendered, style=RenderStyle(width=256, height=144, fps=24))
    tracks = copies(song, rounds, each)
    real, worker.render = worker.render, lambda job: _copy(rendered, job)
    rows = []
    try:
        settings = {
            "workers": 2,
            "executor": lambda: ThreadPoolExecutor(1),
            "allow_local_callbacks": True,
            "retention_days": 1e-9,
        }
        async with (
            _CallbackServer() as (callback, called_back),
            aiohttp.ClientSession() as session,
            server(folder, **settings) as one,
        ):
            for number in range(rounds):
                some = tracks[number * each : (number + 1) * each]
                await _serve(session, one.url, some, callback)
                deleted = await one.delete_expired()
                rows.append(
                    {
                        "tasks so far": (number + 1) * each,
                        "expired": deleted,
                        "callbacks": len(called_back),
                        "memory MiB": resident_memory(),
                        "open files": _descriptors(),
                        "videos left": len(list((folder / "data" / "videos").glob("*.mp4"))),
                    }
                )
    finally:
        worker.render = real
    first, last = rows[len(rows) // 3], rows[-1]
    assert first["open files"] == last["open files"], "a file was left open"
    return rows


def _copy(rendered: Path, job: worker.RenderJob) -> worker.RenderedVideo:
    shutil.copyfile(rendered, job.video)
    return worker.RenderedVideo(duration=1.0)


async def _serve(
    session: aiohttp.ClientSession, url: str, tracks: list[tuple[str, str]], callback: str
) -> None:
    async def one(track: tuple[str, str]) -> None:
        task_id = await submit(session, url, *track, callback)
        await wait_until_finished(session, url, [task_id])
        data = await get_details(session, url, task_id)
        async with session.get(data["response"]["videoUrl"]) as response:
            assert (await response.read())[4:8] == b"ftyp"

    for at in range(0, len(tracks), 10):
        await asyncio.gather(*(one(track) for track in tracks[at : at + 10]))
    # A task whose callback is being sent does not expire in this round.
    await asyncio.sleep(0.2)


class _CallbackServer:
    """Receives callbacks; entered, it is its URL and the ids of the tasks."""

    async def __aenter__(self) -> tuple[str, set[str]]:
        task_ids: set[str] = set()

        async def receive(request: web.Request) -> web.Response:
            task_ids.add((await request.json())["data"]["task_id"])
            return web.json_response({})

        app = web.Application()
        app.add_routes([web.post("/callback", receive)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/callback", task_ids

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def client(folder: Path, *, short: bool) -> list[dict[str, Any]]:
    """Count the requests of one conversion, and the seconds from the render's end to its return.

    The first conversion ("cold") runs on a server that has not measured its machine yet.
    """
    lengths = (10,) if short else (10, 60, 180)
    calls: list[str] = []
    guard = server_app.security_middleware

    def counting(config: Any) -> Any:
        inner = guard(config)

        @web.middleware
        async def count(request: web.Request, handler: Any) -> web.StreamResponse:
            calls.append(request.path)
            return await inner(request, handler)

        return count

    server_app.security_middleware = counting
    rows = []
    try:
        for seconds in lengths:
            subfolder = folder / str(seconds)
            for name in ("cold", "warm"):
                write_song(subfolder / "music" / "a" / f"{name}.wav", seconds)
            async with server(subfolder) as one, mp4gen.Client(base_url=one.url) as user:
                for name in ("cold", "warm"):
                    calls.clear()
                    begun = time.time()
                    video = await user.convert(mp4gen.VideoRequest("a", name))
                    now = time.time()
                    assert video.completed_at is not None
                    rows.append(
                        {
                            "music s": seconds,
                            "server": name,
                            "took s": now - begun,
                            "requests (goal <= 4)": len(calls),
                            "after the render s (goal <= 1)": now - video.completed_at.timestamp(),
                        }
                    )
    finally:
        server_app.security_middleware = guard
    return rows
