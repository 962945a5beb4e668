"""Songs, a server and plain API calls for the server's benchmarks; not run by itself."""

import math
import os
import statistics
import struct
import wave
from pathlib import Path
from typing import Any

import aiohttp

from mp4gen.options import RateLimit
from mp4gen.server import Server, ServerConfig

GENERATE, DETAILS = "/api/v1/mp4/generate", "/api/v1/mp4/record-info"
NO_CALLBACK = "https://none.invalid/"


def write_song(path: Path, seconds: float) -> Path:
    """Write a WAV of a plain tone and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = [int(9000 * math.sin(i / 6)) for i in range(16000)]
    second = struct.pack(f"<{len(tone)}h", *tone)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        for _ in range(int(seconds)):
            file.writeframes(second)
    return path


def copies(song: Path, folders: int, each: int) -> list[tuple[str, str]]:
    """Link `song` under `folders` x `each` names and return the ids of these tracks."""
    found = []
    for folder in range(folders):
        (song.parent.parent / f"f{folder}").mkdir(exist_ok=True)
        for number in range(each):
            os.link(song, song.parent.parent / f"f{folder}" / f"s{number}.wav")
            found.append((f"f{folder}", f"s{number}"))
    return found


def server(folder: Path, **settings: Any) -> Server:
    """Return a server of the music in `folder`, without a rate limit."""
    values = {"music": folder / "music", "data": folder / "data", "port": 0, "shutdown_timeout": 0}
    values |= {"rate_limit": RateLimit(1_000_000), "queue_limit": 100_000, **settings}
    return Server(ServerConfig(**values))


async def submit(
    session: aiohttp.ClientSession, url: str, task: str, audio: str, callback: str = NO_CALLBACK
) -> str:
    """Submit a track and return the id of the new video task."""
    body = {"taskId": task, "audioId": audio, "callBackUrl": callback}
    async with session.post(url + GENERATE, json=body) as response:
        result = await response.json()
        assert result["code"] == 200, result
        return str(result["data"]["taskId"])


async def get_details(session: aiohttp.ClientSession, url: str, task_id: str) -> dict[str, Any]:
    """Return the details of a task."""
    async with session.get(f"{url}{DETAILS}?taskId={task_id}") as response:
        result = await response.json()
        assert response.status == 200, response.status
        assert result["code"] == 200, result
        return dict(result["data"])


def p99(times: list[float]) -> float:
    """Return the 99th percentile in milliseconds."""
    return 1000 * statistics.quantiles(times, n=100)[-1]
