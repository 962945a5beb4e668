"""Measure the CPU of one API call by the client, against a bare aiohttp GET and `json.loads`.

    python benchmarks/call_cpu.py [--calls 400] [--rounds 10] [--json [FILE]]

The server is another process. Both take turns, one call at a time and 50 at once; the best round of
each counts. About 20 s.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from report import parse_arguments, show

import mp4gen
from mp4gen.testing import FakeService


async def serve() -> None:
    """Run a service with one task until standard input ends."""
    async with FakeService(rate_limit=None, duration=1e9) as service:
        async with service.client(on_uncertain_submit="raise") as client:
            await client.create_music_video(mp4gen.VideoRequest("music", "track"))
        print(service.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def cpu_seconds(call: Callable[[], Awaitable[object]], calls: int, at_once: int) -> float:
    """Return the CPU seconds of one call."""
    source = iter(range(calls))

    async def worker() -> None:
        for _ in source:
            await call()

    before = time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return (time.process_time() - before) / calls


async def measure(url: str, calls: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row for one call at a time and one for 50 at once."""
    limit = mp4gen.RateLimit(1_000_000, per=0.001)
    path = f"{url}/api/v1/mp4/record-info?taskId=video_000001"
    rows = []
    async with (
        mp4gen.Client("key", base_url=url, rate_limit=limit) as client,
        aiohttp.ClientSession() as session,
    ):

        async def bare_aiohttp() -> object:
            async with session.get(path, headers={"Authorization": "Bearer key"}) as response:
                return json.loads(await response.read())

        async def whole_client() -> object:
            return await client.get_music_video_details("video_000001")

        for at_once in (1, 50):
            best: dict[str, float] = {"bare": 1e9, "whole": 1e9}
            for _ in range(rounds):
                for name, call in (("bare", bare_aiohttp), ("whole", whole_client)):
                    best[name] = min(best[name], await cpu_seconds(call, calls, at_once))
            rows.append(
                {
                    "at once": at_once,
                    "bare us": best["bare"] * 1e6,
                    "client us": best["whole"] * 1e6,
                    "ratio": best["whole"] / best["bare"],
                }
            )
    return rows


def main() -> None:
    """Run the benchmark."""
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
        return
    options = parse_arguments(__doc__, calls=400, rounds=10)
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(  # noqa: S603 - this script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = server.stdout.readline().strip()
        rows = asyncio.run(measure(url, options.calls, options.rounds))
        server.stdin.close()
    show("CPU of one call", rows, options.json)


if __name__ == "__main__":
    main()
