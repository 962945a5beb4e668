"""A real server process that is told to stop: in time, with code 0, and nothing lost."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .conftest import Caller, write_song

PROGRAM = """
import json, sys
from mp4gen.render import RenderStyle
from mp4gen.server import ServerConfig, serve
style = RenderStyle(width=256, height=144, fps=24, threads=1)
if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    config = ServerConfig(port=0, style=style, workers=1, min_free_bytes=0, **settings)
    serve(config, lambda url: print(url, flush=True))
"""
BOUND = 15.0


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[asyncio.subprocess.Process, Caller]]:
    """A server in a process of its own, and a caller of it."""
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


async def rendering(caller: Caller) -> None:
    """Wait until something is being rendered."""
    while True:
        if (await caller.get_response("/healthz"))[2]["rendering"]:
            return
        await asyncio.sleep(0.02)


async def unanswered(caller: Caller) -> None:
    """Wait until the server takes no calls any more."""
    with contextlib.suppress(aiohttp.ClientError):
        while True:
            await caller.get_response("/healthz")


def states(data: Path) -> list[str]:
    with sqlite3.connect(data / "mp4gen.sqlite") as database:
        found = [row[0] for row in database.execute("SELECT state FROM tasks ORDER BY seq")]
    database.close()
    return found


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_puts_back_what_it_cannot_finish(
    music: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """Within its bound the server ends with code 0, and the next one renders what was left."""
    write_song(music / "album" / "long.wav", 600.0)
    settings = {"music": str(music), "data": str(tmp_path / "data"), "shutdown_timeout": 0.5}

    async with serving(**settings) as (process, caller):
        await caller.generate("album", "long")
        await caller.generate("album", "one")
        await rendering(caller)
        begun = time.monotonic()
        process.send_signal(how)
        code = await asyncio.wait_for(process.wait(), BOUND)
        took = time.monotonic() - begun
        with pytest.raises(aiohttp.ClientError):
            await caller.generate("album", "two")
    left = states(tmp_path / "data")
    write_song(music / "album" / "long.wav", 1.0)
    async with serving(**settings) as (_, caller):
        again = [await caller.generate("album", name) for name in ("long", "one")]
        ended = [await caller.wait_until_finished(one["data"]["taskId"]) for one in again]

    assert code == 0
    assert took < BOUND
    assert left == ["queued", "queued"]
    assert [one["code"] for one in again] == [409, 409]
    assert [one["successFlag"] for one in ended] == ["SUCCESS", "SUCCESS"]


async def test_a_stop_lets_a_short_render_finish(music: Path, tmp_path: Path) -> None:
    """What ends within the patience of the server is done, and what waits is kept for the next."""
    write_song(music / "album" / "some.wav", 20.0)
    data = tmp_path / "data"

    async with serving(music=str(music), data=str(data), shutdown_timeout=60.0) as (
        process,
        caller,
    ):
        await caller.generate("album", "some")
        await caller.generate("album", "one")
        await rendering(caller)
        process.send_signal(signal.SIGTERM)
        code = await process.wait()

    assert code == 0
    assert states(data) == ["done", "queued"]
    assert not list((data / "work").iterdir())


async def test_a_second_signal_does_not_wait(music: Path, tmp_path: Path) -> None:
    """Whoever is told twice ends at once, and what was running is rendered by the next server."""
    write_song(music / "album" / "long.wav", 600.0)
    data = tmp_path / "data"

    async with serving(music=str(music), data=str(data), shutdown_timeout=600.0) as (
        process,
        caller,
    ):
        await caller.generate("album", "long")
        await rendering(caller)
        process.send_signal(signal.SIGTERM)
        await unanswered(caller)
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), BOUND)

    assert code == -signal.SIGTERM
    # The record may follow the worker's start by a moment; the next server takes up both.
    assert states(data) in (["queued"], ["rendering"])
