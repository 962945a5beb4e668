"""How fast the server answers "Get Music Video Details", against a bare handler in the same run.

    python benchmarks/server_api.py [--seconds 5] [--renders 2] [--queued 1000] [--json]

The bare handler is aiohttp's own, giving the same bytes; both run in one process while so many
renders run in worker processes. Rounds alternate between the two, so that what else the machine
does harms both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import struct
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from mp4gen.models import RateLimit
from mp4gen.server import Server, ServerConfig

ROUNDS = 6
CONNECTIONS = 16


def write_song(path: Path, seconds: float) -> None:
    """A WAV of a plain tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = [int(9000 * math.sin(i / 6)) for i in range(16000)]
    second = struct.pack(f"<{len(tone)}h", *tone)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        for _ in range(int(seconds)):
            file.writeframes(second)


async def hammer(session: aiohttp.ClientSession, url: str, seconds: float) -> list[float]:
    """Ask as fast as the answers come; how long each took. An answer that is none ends it."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def ask() -> None:
        while (start := time.perf_counter()) < end:
            async with session.get(url) as response:
                body = await response.read()
                assert response.status == 200
                assert b'"code":200' in body
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return took


async def bare(body: bytes) -> tuple[web.AppRunner, str]:
    """A handler that gives these bytes and does nothing else."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def submit(session: aiohttp.ClientSession, server: Server, audio: str) -> str:
    """The task id of one submit."""
    body = {"taskId": "a", "audioId": audio, "callBackUrl": "https://none.invalid/"}
    async with session.post(f"{server.url}/api/v1/mp4/generate", json=body) as response:
        return str((await response.json())["data"]["taskId"])


async def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both rates and both tails, with `renders` running and `queued` waiting."""
    music = folder / "music"
    for number in range(args.renders):
        write_song(music / "a" / f"long{number}.wav", 600)
    for number in range(args.queued):
        write_song(music / "a" / f"song{number}.wav", 1)
    config = ServerConfig(
        music=music,
        data=folder / "data",
        port=0,
        workers=max(1, args.renders),
        rate_limit=RateLimit(1_000_000),
        stop_timeout=0,
    )
    async with Server(config) as server, aiohttp.ClientSession() as session:
        task_id = ""
        for number in range(args.renders):
            task_id = await submit(session, server, f"long{number}")
        accepted: list[float] = []
        for number in range(args.queued):
            start = time.perf_counter()
            task_id = await submit(session, server, f"song{number}")
            accepted.append(time.perf_counter() - start)
        url = f"{server.url}/api/v1/mp4/record-info?taskId={task_id}"
        async with session.get(url) as response:
            runner, plain = await bare(await response.read())
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(ROUNDS):
            ours += await hammer(session, url, args.seconds / ROUNDS)
            theirs += await hammer(session, plain, args.seconds / ROUNDS)
        await runner.cleanup()
    return {
        "ours_per_second": len(ours) / args.seconds,
        "bare_per_second": len(theirs) / args.seconds,
        "rate_ratio": len(ours) / len(theirs),
        "p99_ours_ms": 1000 * statistics.quantiles(ours, n=100)[-1],
        "p99_bare_ms": 1000 * statistics.quantiles(theirs, n=100)[-1],
        "submit_median_ms": 1000 * statistics.median(accepted) if accepted else None,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--renders", type=int, default=2)
    parser.add_argument("--queued", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(args, Path(folder)))
    if args.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:18} {value if value is None else round(value, 2)}")


if __name__ == "__main__":
    main()
