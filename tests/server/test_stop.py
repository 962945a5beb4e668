"""A server process that gets a signal stops in time, with code 0, and loses nothing."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .conftest import Caller, read_tasks, write_song

PROGRAM = """
import json, sys
from mp4gen.render import RenderStyle
from mp4gen.server import ServerConfig, serve
style = RenderStyle(width=256, height=144, fps=24)
if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    config = ServerConfig(port=0, style=style, workers=1, min_free_bytes=0, **settings)
    serve(config, lambda url: print(url, flush=True))
"""


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[asyncio.subprocess.Process, Caller]]:
    """Yield a server process and a caller of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, json.dumps(settings), stdout=asyncio.subprocess.PIPE
    )
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as session:
            yield process, Caller(session, url)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def wait_for_render(caller: Caller) -> None:
    """Wait until a render runs."""
    while True:
        if (await caller.get_response("/healthz"))[2]["rendering"]:
            return
        await asyncio.sleep(0.02)


async def wait_until_closed(caller: Caller) -> None:
    """Wait until the server accepts no calls any more."""
    with contextlib.suppress(aiohttp.ClientError):
        while True:
            await caller.get_response("/healthz")


def states(data: Path) -> list[str]:
    return [state for (state,) in read_tasks(data, "state")]


@pytest.mark.slow
async def test_stop_requeues_unfinished_tasks(music: Path, tmp_path: Path) -> None:
    """The server waits for no render, and the next one renders the unfinished tasks."""
    write_song(music / "album" / "long.wav", 600.0)
    settings = {"music": str(music), "data": str(tmp_path / "data"), "shutdown_timeout": 0.5}

    async with serving(**settings) as (process, caller):
        accepted = [await caller.generate("album", name) for name in ("long", "one")]
        await wait_for_render(caller)
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
        with pytest.raises(aiohttp.ClientError):
            await caller.generate("album", "two")
    left = states(tmp_path / "data")
    write_song(music / "album" / "long.wav", 1.0)
    async with serving(**settings) as (_, caller):
        finished = [await caller.wait_until_finished(one["data"]["taskId"]) for one in accepted]

    assert code == 0
    assert left == ["queued", "queued"]
    assert [one["successFlag"] for one in finished] == ["SUCCESS", "SUCCESS"]


@pytest.mark.slow
async def test_stop_lets_a_short_render_finish(music: Path, tmp_path: Path) -> None:
    """A render that ends within the timeout is done; queued tasks wait for the next server."""
    write_song(music / "album" / "some.wav", 20.0)
    data = tmp_path / "data"

    async with serving(music=str(music), data=str(data), shutdown_timeout=60.0) as (
        process,
        caller,
    ):
        await caller.generate("album", "some")
        await caller.generate("album", "one")
        await wait_for_render(caller)
        process.send_signal(signal.SIGINT)
        code = await process.wait()

    assert code == 0
    assert states(data) == ["done", "queued"]
    assert not list((data / "work").iterdir())


@pytest.mark.slow
async def test_second_signal_kills_the_server(music: Path, tmp_path: Path) -> None:
    """The server ends immediately, and the next one renders the running task."""
    write_song(music / "album" / "long.wav", 600.0)
    data = tmp_path / "data"

    async with serving(music=str(music), data=str(data), shutdown_timeout=600.0) as (
        process,
        caller,
    ):
        await caller.generate("album", "long")
        await wait_for_render(caller)
        process.send_signal(signal.SIGTERM)
        await wait_until_closed(caller)
        process.send_signal(signal.SIGTERM)
        code = await process.wait()

    assert code == -signal.SIGTERM
    # The worker may start before this is recorded; the next server renders both.
    assert states(data) in (["queued"], ["rendering"])


async def test_signal_ignored_at_start_stays_ignored(tmp_path: Path) -> None:
    """Failure mode 44: a server in a shell's background does not stop on the terminal's Ctrl-C."""
    (tmp_path / "music").mkdir()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = serving(music=str(tmp_path / "music"), data=str(tmp_path / "data"))
        process, caller = await server.__aenter__()
    finally:
        signal.signal(signal.SIGINT, before)

    process.send_signal(signal.SIGINT)
    body = await caller.get("/api/v1/generate/credit")
    process.terminate()
    await process.wait()
    await server.__aexit__(None, None, None)

    assert body["code"] == 200
    assert process.returncode == 0
