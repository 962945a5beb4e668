"""`Client.download`: what the API has to do with a file, and what it has not."""
# ruff: noqa: ASYNC110 - another process can only be watched

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import mp4gen
from mp4gen import Client, Dialect, DownloadError, DownloadProgressEvent, RetryEvent, Video
from mp4gen.testing import FakeService, ScriptedResponse
from mp4gen.testing.service import FAKE_KEY
from tests.support_cdn import (
    IMMEDIATE_RETRY,
    MOVIE,
    FileHost,
    Response,
    full_response,
    names_in,
    range_response,
)

REQUEST = mp4gen.VideoRequest("music", "track")


@pytest.fixture
async def host() -> AsyncIterator[FileHost]:
    async with FileHost() as opened:
        yield opened


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService() as opened:
        yield opened


async def a_video(client: Client, url: str) -> Video:
    return attrs.evolve(await client.convert(REQUEST), url=url)


def says(url: str | None) -> ScriptedResponse:
    """The record as it is, but with this link."""
    return ScriptedResponse(data={"response": {"videoUrl": url}})


def calls(service: FakeService) -> list[str]:
    """The calls since the conversion, which is one submit and one look."""
    return [call.endpoint for call in service.requests][2:]


async def test_a_converted_video_is_fetched(service: FakeService, tmp_path: Path) -> None:
    """Into a folder under its track's id; the API is not asked again."""
    async with service.client() as client:
        video = await client.convert(REQUEST)
        path = await client.download(video, tmp_path)

    assert path == tmp_path / "track.mp4"
    assert path.read_bytes() == service.tasks[video.task_id].content
    assert calls(service) == ["file"]


async def test_an_expired_link_is_looked_up_in_the_record(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """Once, in the middle of the file; the file host sees no key."""
    host.script = [full_response(truncate_at=1000), Response(status=403)]
    service.script("details", "ok", says(f"{host.url}&fresh=1"))
    async with service.client() as client:
        video = await a_video(client, host.url)
        path = await client.download(video, tmp_path / "a.mp4", on_progress=host.on_progress)

    assert path.read_bytes() == MOVIE
    assert calls(service) == ["details"]
    assert host.offsets == [0, 1000, 1000]
    assert FAKE_KEY not in repr(host.requests)
    assert all("authorization" not in asked.headers for asked in host.requests)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_a_link_that_stays_dead_is_told(
    service: FakeService, host: FileHost, tmp_path: Path, status: int
) -> None:
    """Where the record has no other link and the host no way to make one: one look."""
    host.script = [Response(status=status)] * 9
    service.script("details", "ok", says(host.url))
    async with service.client(retry=IMMEDIATE_RETRY) as client:
        video = await a_video(client, host.url)
        with pytest.raises(DownloadError, match=f"The link has expired.* answered {status}"):
            await client.download(video, tmp_path)

    assert calls(service) == ["details"]
    assert len(host.requests) == 1
    assert names_in(tmp_path) == []


async def test_a_new_link_that_is_dead_too_is_told(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """The record is not asked twice."""
    host.script = [Response(status=404)] * 9
    service.script("details", "ok", says(f"{host.url}&fresh=1"), says(f"{host.url}&fresh=2"))
    async with service.client(retry=IMMEDIATE_RETRY) as client:
        video = await a_video(client, host.url)
        with pytest.raises(DownloadError, match="The link has expired"):
            await client.download(video, tmp_path)

    assert calls(service) == ["details"]
    assert len(host.requests) == 2


@pytest.mark.parametrize("record", ["the same link", "no link", "not asked"])
async def test_one_host_makes_new_links_of_old_ones(
    host: FileHost, tmp_path: Path, record: str
) -> None:
    """docs.kie.ai, "Get Download URL": for a video whose record knows no better, or a bare link."""
    host.script = [Response(status=404)]
    fresh = f'{{"code":200,"msg":"success","data":"{host.url}&fresh=1"}}'
    async with FakeService(dialect=Dialect.KIE) as service, service.client() as client:
        service.script("details", "ok", says(host.url if record == "the same link" else None))
        service.script("download_url", ScriptedResponse(body=fresh.encode()))
        video = await a_video(client, host.url)
        what = host.url if record == "not asked" else video
        path = await client.download(what, tmp_path)

    assert path.read_bytes() == MOVIE
    assert calls(service) == ["details", "download_url"][record == "not asked" :]
    assert [asked.line.count("fresh") for asked in host.requests] == [0, 1]


async def test_a_link_of_somebody_elses_cannot_be_renewed(host: FileHost, tmp_path: Path) -> None:
    """422 "Invalid URL" is the reason why there is no file, not an error of another kind."""
    host.script = [Response(status=404)]
    async with FakeService(dialect=Dialect.KIE) as service, service.client() as client:
        service.script("download_url", ScriptedResponse(body=b'{"code":422,"msg":"Invalid URL"}'))
        with pytest.raises(DownloadError, match=r"has expired.* No new link was found: .*Inv"):
            await client.download(host.url, tmp_path)

    assert names_in(tmp_path) == []


async def test_eight_files_come_at_a_time(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """More would only get in each other's way; all of them arrive."""

    def slowly(asked: Any) -> Response:
        answer = range_response(asked)
        return Response(headers=answer.headers, body=answer.body, hang=0.01)

    host.script = [slowly] * 30
    async with service.client() as client:
        names = [tmp_path / f"{n}.mp4" for n in range(30)]
        await asyncio.gather(*(client.download(host.url, name) for name in names))

    assert {name.read_bytes() for name in names} == {MOVIE}
    assert host.peak_connections == 8


async def test_a_failed_download_makes_room_for_the_next(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """Nine that fail or are cancelled, and the tenth still gets its turn."""
    host.script = [Response(status=400)] * 9
    async with service.client() as client:
        names = [tmp_path / f"{n}.mp4" for n in range(9)]
        failed = await asyncio.gather(
            *(client.download(host.url, name) for name in names), return_exceptions=True
        )
        stuck = Response(headers=full_response().headers, body=MOVIE, truncate_at=100, hang=100)
        host.script = [stuck] * 9
        tasks = [asyncio.create_task(client.download(host.url, name)) for name in names]
        await host.wait_for_requests(17)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        host.script = []
        path = await client.download(host.url, tmp_path / "last.mp4")

    assert {type(error) for error in failed} == {DownloadError}
    assert path.read_bytes() == MOVIE
    assert names_in(tmp_path) == ["last.mp4"]


async def test_what_happens_is_told(service: FakeService, host: FileHost, tmp_path: Path) -> None:
    """Progress and retries, as events; the link's signature is in none of them."""
    host.script = [Response(status=503), full_response()]
    events: list[mp4gen.Event] = []
    async with service.client(retry=IMMEDIATE_RETRY, on_event=events.append) as client:
        path = await client.download(host.url, tmp_path / "a.mp4")

    size = len(MOVIE)
    retries = [event for event in events if isinstance(event, RetryEvent)]
    assert [(event.path, str(event.error)) for event in retries] == [
        (str(path), "Cannot download from 127.0.0.1: The host answered 503.")
    ]
    assert events[-1] == DownloadProgressEvent(str(path), size, size)
    assert "s3cret" not in repr(events)


@pytest.mark.parametrize(
    ("audio_id", "name"),
    [("track", "track.mp4"), ("../../x", "_.._x-"), ("con", "_con-"), ("a/b", "a_b-")],
)
async def test_a_tracks_id_leads_out_of_no_folder(
    service: FakeService, host: FileHost, tmp_path: Path, audio_id: str, name: str
) -> None:
    """The API's ids are names of files only after they were made safe."""
    video = Video("task", host.url, audio_id=audio_id)
    async with service.client() as client:
        path = await client.download(video, f"{tmp_path}/new/")

    assert path.parent == tmp_path / "new"
    assert path.name.startswith(name.removesuffix(".mp4"))


@pytest.mark.parametrize("url", ["http://[broken", "", "nonsense", "file:///etc/passwd"])
async def test_a_link_that_is_none_is_told(service: FakeService, tmp_path: Path, url: str) -> None:
    """Whether a name has to be made of it or not."""
    async with service.client() as client:
        for to in (tmp_path, tmp_path / "a.mp4"):
            with pytest.raises(DownloadError, match="The video's link is not an http"):
                await client.download(url, to)

    assert names_in(tmp_path) == []


async def test_a_public_api_has_no_private_files(host: FileHost, tmp_path: Path) -> None:
    """Row 31: neither by a link of the record's nor by one that a user passed on."""
    async with Client("key", base_url="https://8.8.8.8") as client:
        with pytest.raises(DownloadError, match=r"private address: 127\.0\.0\.1\. Private links"):
            await client.download(host.url, tmp_path)

    assert host.requests == []


async def test_a_dns_that_was_down_is_asked_again(
    host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the API is private must not hang on the first download's luck."""
    answers: list[Any] = [socket.gaierror(), [(0, 0, 0, "", ("10.0.0.1", 0))]]

    async def resolve(name: str, *_: Any) -> Any:
        assert name == "api.internal"
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    async with Client("key", base_url="https://api.internal") as client:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        with pytest.raises(DownloadError, match="private address"):
            await client.download(host.url, tmp_path)
        for _ in range(2):
            path = await client.download(host.url, tmp_path)

    assert path.read_bytes() == MOVIE
    assert answers == []


async def test_a_closed_client_downloads_nothing(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """What runs ends, what comes later is refused; nothing is left."""
    host.script = [Response(headers=full_response().headers, body=MOVIE, truncate_at=100, hang=100)]
    client = service.client()
    task = asyncio.create_task(client.download(host.url, tmp_path, on_progress=host.on_progress))
    await host.wait_for_progress(100)
    await client.aclose()

    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        await task
    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        await client.download(host.url, tmp_path)
    assert names_in(tmp_path) == []


FETCHES = """
import asyncio, sys, mp4gen
async def main(base, url, to):
    async with mp4gen.Client(base_url=base) as client:
        await client.download(url, to)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_download_is_taken_over(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """Row 21: while it lives nobody else writes its file; after kill -9 the next one does."""
    host.script = [
        Response(
            headers=full_response().headers, body=MOVIE, truncate_at=1000, received=0, hang=100
        )
    ]
    to, part = tmp_path / "movie.mp4", tmp_path / ".movie.mp4.part"
    command = [sys.executable, "-c", FETCHES, service.url, host.url, str(to)]
    async with service.client() as client:
        other = await asyncio.create_subprocess_exec(*command)
        while not (part.exists() and part.stat().st_size == 1000):
            await asyncio.sleep(0.01)
        with pytest.raises(DownloadError, match="Another download is writing the same file"):
            await client.download(host.url, to)
        other.kill()
        status = await other.wait()
        left = names_in(tmp_path)
        await client.download(host.url, to)

    assert status == -signal.SIGKILL
    assert left == [".movie.mp4.part"]
    assert to.read_bytes() == MOVIE
    assert names_in(tmp_path) == ["movie.mp4"]
