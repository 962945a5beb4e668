"""The page's state: small on the wire, complete by pages, and different for each account."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .conftest import IdleExecutor, Serve, store_videos, write_song

ONE = {"task": "album", "audio": "one"}


async def fetch(url: str, **headers: str) -> tuple[int, Any, bytes]:
    """Return the status, the headers and the body as it is on the wire."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        page = await session.get(url.partition("/page")[0] + "/")
        cookies = {name: morsel.value for name, morsel in page.cookies.items()}
        async with session.get(url, headers=headers, cookies=cookies) as response:
            return response.status, response.headers, await response.read()


@pytest.mark.parametrize(
    "path", ["/", "/page/asset/app.js", "/page/asset/style.css", "/page/library"]
)
async def test_text_is_compressed_and_sent_once(serve: Serve, music: Path, path: str) -> None:
    """Text is compressed for clients that accept it, and answered with 304 if it is known."""
    for number in range(100):
        write_song(music / "many" / f"{number}.wav", 0.01)
    caller = await serve()
    url = caller.url + path

    plain = await fetch(url, **{"Accept-Encoding": "identity"})
    packed = await fetch(url, **{"Accept-Encoding": "gzip, br"})
    again = await fetch(url, **{"Accept-Encoding": "gzip", "If-None-Match": packed[1]["ETag"]})

    assert "Content-Encoding" not in plain[1]
    assert packed[1]["Content-Encoding"] == "gzip"
    assert packed[1]["Vary"] == "Accept-Encoding"
    assert path == "/page/library" or gzip.decompress(packed[2]) == plain[2]
    assert len(packed[2]) < len(plain[2]) / 2
    assert path == "/page/library" or (again[0], again[2]) == (304, b"")


async def test_answer_with_the_token_is_not_compressed(serve: Serve) -> None:
    """The size of a compressed answer depends on its secrets."""
    caller = await serve()

    status, headers, _ = await fetch(caller.url + "/page/state", **{"Accept-Encoding": "gzip"})

    assert status == 200
    assert "Content-Encoding" not in headers


@pytest.fixture
async def pages(serve: Serve, visit: Any, tmp_path: Path) -> Any:
    """A server with 231 videos of one account and some of another; the browsers of both."""
    counts = {"done": 109, "failed": 5, "queued": 117}
    await store_videos(tmp_path / "data", "anna", **counts)
    await store_videos(tmp_path / "data", "ben", queued=3, failed=2)
    # Anna's oldest task is rendered for ever.
    keys = {"anna": "key-anna", "ben": "key-ben"}
    caller = await serve(account_keys=keys, executor=IdleExecutor, retention_days=0, workers=1)
    visitors = []
    for key in keys.values():
        visitors.append(visit(caller))
        await visitors[-1].ask("POST", "/page/login", json={"key": key})
        await visitors[-1].state()
    while not (await visitors[0].state())["counts"]["rendering"]:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)
    return visitors


async def test_pages_and_filters_lead_to_every_video(pages: Any) -> None:
    """Each filter lists its own videos page by page; those that render come first."""
    anna, ben = pages
    counts = (await anna.state())["counts"]

    listed: dict[str, list[str]] = {}
    for name in ("all", "rendering", "ready", "failed"):
        listed[name] = []
        for page in range(6):
            videos = (await anna.videos(state=name, page=str(page)))["videos"]
            assert len(videos) <= 51
            listed[name] += [video["id"] for video in videos]
    first = (await anna.videos())["videos"][0]

    assert counts == {"waiting": 116, "rendering": 1, "ready": 109, "failed": 5}
    found = {name: len(set(ids)) for name, ids in listed.items()}
    assert found == {"all": 231, "rendering": 117, "ready": 109, "failed": 5}
    assert all(len(ids) == len(set(ids)) for ids in listed.values())
    assert first["state"] == "rendering"
    assert len((await ben.videos())["videos"]) == 5


@pytest.mark.parametrize("page", ["-1", "x", "99999999999999999999", "²", ""])
async def test_nonsense_page_is_the_first(pages: Any, page: str) -> None:
    """An invalid number of a page is no error."""
    anna, _ = pages

    assert len((await anna.videos(page=page))["videos"]) == 51


async def test_waiting_and_failed_videos_are_deleted_together(pages: Any) -> None:
    """One request cancels all that wait, one deletes all that failed, of this account only."""
    anna, ben = pages

    answers = [
        await anna.ask("DELETE", "/page/videos", params={"state": state})
        for state in ("waiting", "failed", "ready", "rendering", "")
    ]

    assert [status for status, _, _ in answers] == [200, 200, 400, 400, 400]
    assert [json.loads(body).get("deleted") for _, _, body in answers[:2]] == [116, 5]
    expected = {"waiting": 0, "rendering": 1, "ready": 109, "failed": 0}
    assert (await anna.state())["counts"] == expected
    assert (await ben.state())["counts"]["waiting"] == 3
    assert (await ben.state())["queued"] == 3
    assert (await anna.ask("DELETE", "/page/videos?state=failed", headers={"X-Mp4gen-Token": ""}))[
        0
    ] == 403


async def test_change_is_small_on_the_wire(pages: Any) -> None:
    """With 231 videos, an event and the page of videos that it leads to are below 5 kB."""
    anna, _ = pages
    async with anna.session.get(anna.url + "/page/events") as events:
        async with asyncio.timeout(100):
            event = await events.content.readuntil(b"\n\n")
    anna.session._auto_decompress = False
    _, _, videos = await anna.ask("GET", "/page/videos")

    assert len(event) + len(videos) <= 5000
