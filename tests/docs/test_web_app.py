"""The web app ends each request in its time, and stops at once, whatever its client waits for."""

from __future__ import annotations

import asyncio
import runpy
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

import mp4gen
from mp4gen.testing import FakeService

fastapi = pytest.importorskip("fastapi", reason="the dev extra installs it")
uvicorn = pytest.importorskip("uvicorn", reason="the dev extra installs it")

EXAMPLE = Path(__file__).parents[2] / ".docs" / "examples" / "web_app.py"
# Far more than any of the steps takes, and far less than the client's own limits.
LONGEST = 20.0


def load(monkeypatch: pytest.MonkeyPatch, url: str, seconds: float = 10.0) -> Any:
    """Load the example with a deadline; its environment names the API."""
    monkeypatch.setenv("MP4GEN_BASE_URL", url)
    monkeypatch.setenv("MP4GEN_API_KEY", "a-key")
    example = runpy.run_path(str(EXAMPLE))
    # The handlers read the globals of their module.
    example["create"].__globals__["SECONDS"] = seconds
    return example["app"]


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[tuple[str, Any]]:
    """Yield the URL of the app and its server, which must stop by itself after the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        serving = asyncio.create_task(server._serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
        server.should_exit = True
        await asyncio.wait_for(serving, LONGEST)


async def test_app_creates_and_polls(
    mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values arrive as JSON."""
    mp4gen_service.music["m"] = [mp4gen.Track("m", "a", title="Song", duration=3.5)]
    app = load(monkeypatch, mp4gen_service.url)
    async with served(app) as (url, _), ClientSession(url) as session:
        async with session.get("/tracks/m") as response:
            (track,) = await response.json()
        async with session.post("/videos?task_id=m&audio_id=a") as response:
            video_id = (await response.json())["id"]
        async with session.get(f"/videos/{video_id}") as response:
            found = await response.json()
        async with session.post("/videos?task_id=m&audio_id=a") as response:
            status = response.status

    assert (track["title"], track["duration"], track["created_at"]) == ("Song", 3.5, None)
    assert found["ready"]
    assert found["video_url"].endswith(".mp4")
    assert status == 409


async def test_request_ends_in_its_time_if_the_api_is_down(
    mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request fails within its own time, although the client could retry for minutes."""
    for endpoint in ("create", "details", "tracks"):
        mp4gen_service.always(endpoint, "reset")
    app = load(monkeypatch, mp4gen_service.url, seconds=0.1)
    async with served(app) as (url, _), ClientSession(url) as session:
        calls = [
            ("GET", "/tracks/m"),
            ("GET", "/videos/v"),
            ("POST", "/videos?task_id=m&audio_id=a"),
        ]
        for method, path in calls:
            async with session.request(method, path) as response:
                assert (path, response.status) == (path, 504)


async def test_app_stops_at_once_whatever_its_client_waits_for(
    mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries, a response, a slot of the rate limit, a video and a bulk run end with the client."""
    mp4gen_service.always("credits", "reset")
    mp4gen_service.always("tracks", "hang")
    mp4gen_service.duration = 1e6
    app = load(monkeypatch, mp4gen_service.url)
    async with served(app) as (_, server):
        client: mp4gen.Client = app.state.client

        async def convert_many() -> None:
            async for _ in client.convert_many([mp4gen.VideoRequest("m", "b")]):
                pass

        works = [
            client.get_credits(),
            client.get_tracks("m"),
            client.convert(mp4gen.VideoRequest("m", "a")),
            convert_many(),
            *(client.get_music_video_details("v") for _ in range(30)),
        ]
        waiting = [asyncio.create_task(work) for work in works]
        while not mp4gen_service.count("tracks"):  # noqa: ASYNC110 - it has no event either
            await asyncio.sleep(0.01)
    ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), LONGEST)

    assert server.should_exit
    assert all(isinstance(error, Exception | None) for error in ended)
    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        await client.get_credits()
