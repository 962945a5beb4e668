"""`Client.download`: when the API is called for a file, and where the file goes."""
# ruff: noqa: ASYNC110 - another process can only be polled

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

import mp4gen
from mp4gen import Client, Dialect, DownloadError, DownloadProgressEvent, RetryEvent, Video
from mp4gen.api.callbacks import build_callback
from mp4gen.testing import CallbackBehavior, FakeService, ScriptedResponse
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


async def video_with_url(client: Client, url: str) -> Video:
    """Return a video that is old enough for its link to expire."""
    made = datetime(2020, 1, 1, tzinfo=UTC)
    return attrs.evolve(await client.convert(REQUEST), url=url, completed_at=made)


def details_with_url(url: str | None) -> ScriptedResponse:
    """The default details, but with this link."""
    return ScriptedResponse(data={"response": {"videoUrl": url}})


def calls(service: FakeService) -> list[str]:
    """Return the calls after the conversion, which is one submit and one poll."""
    return [call.endpoint for call in service.requests][2:]


async def test_download_names_a_video_by_its_track(service: FakeService, tmp_path: Path) -> None:
    """The name in a folder is the audio id; the API is not called again."""
    async with service.client() as client:
        video = await client.convert(REQUEST)
        path = await client.download(video, tmp_path)

    assert path == tmp_path / "track.mp4"
    assert path.read_bytes() == service.tasks[video.task_id].content
    assert calls(service) == ["file"]


async def test_download_refreshes_an_expired_link_by_the_details(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """The link is refreshed once, in the middle of the file; the file host sees no key."""
    host.script = [full_response(truncate_at=1000), Response(status=403)]
    service.script("details", "ok", details_with_url(f"{host.url}&fresh=1"))
    async with service.client() as client:
        video = await video_with_url(client, host.url)
        path = await client.download(video, tmp_path / "a.mp4", on_progress=host.on_progress)

    assert path.read_bytes() == MOVIE
    assert calls(service) == ["details"]
    assert host.offsets == [0, 1000, 1000]
    assert FAKE_KEY not in repr(host.requests)
    assert all("authorization" not in request.headers for request in host.requests)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_download_fails_if_there_is_no_other_link(
    service: FakeService, host: FileHost, tmp_path: Path, status: int
) -> None:
    """After one poll of the details."""
    host.script = [Response(status=status)] * 9
    service.script("details", "ok", details_with_url(host.url))
    async with service.client(retry=IMMEDIATE_RETRY) as client:
        video = await video_with_url(client, host.url)
        with pytest.raises(DownloadError, match=f"The link has expired.* answered {status}"):
            await client.download(video, tmp_path)

    assert calls(service) == ["details"]
    assert len(host.requests) == 1
    assert names_in(tmp_path) == []


async def test_download_fails_if_the_new_link_has_expired(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """The details are not polled again."""
    host.script = [Response(status=404)] * 9
    service.script(
        "details",
        "ok",
        details_with_url(f"{host.url}&fresh=1"),
        details_with_url(f"{host.url}&fresh=2"),
    )
    async with service.client(retry=IMMEDIATE_RETRY) as client:
        video = await video_with_url(client, host.url)
        with pytest.raises(DownloadError, match="The link has expired"):
            await client.download(video, tmp_path)

    assert calls(service) == ["details"]
    assert len(host.requests) == 2


@pytest.mark.looptime
@pytest.mark.parametrize("age", ["new", "unknown", "beyond all dates"])
async def test_file_that_follows_its_success_is_waited_for(tmp_path: Path, age: str) -> None:
    """Failure mode 48: 404 for some seconds after the success; the API is not called again."""
    missing = Response(status=404, headers={"Content-Length": "0"})
    async with (
        FileHost(*[missing] * 3) as host,
        FakeService() as service,
        service.client() as client,
    ):
        video = attrs.evolve(await client.convert(REQUEST), url=host.url)
        if age == "unknown":
            video = attrs.evolve(video, completed_at=None, created_at=None)
        if age == "beyond all dates":
            video = attrs.evolve(video, completed_at=datetime.max.replace(tzinfo=UTC))
        path = await client.download(video, tmp_path)

    assert path.read_bytes() == MOVIE
    assert calls(service) == []
    assert len(host.requests) == 4


@pytest.mark.parametrize("details", ["the same link", "no link", "not queried"])
async def test_download_refreshes_links_with_kies_download_url(
    host: FileHost, tmp_path: Path, details: str
) -> None:
    """docs.kie.ai, "Get Download URL": for a bare link, or if the details have no new one."""
    host.script = [Response(status=404)]
    fresh = f'{{"code":200,"msg":"success","data":"{host.url}&fresh=1"}}'
    async with FakeService(dialect=Dialect.KIE) as service, service.client() as client:
        service.script(
            "details", "ok", details_with_url(host.url if details == "the same link" else None)
        )
        service.script("download_url", ScriptedResponse(body=fresh.encode()))
        video = await video_with_url(client, host.url)
        source = host.url if details == "not queried" else video
        path = await client.download(source, tmp_path)

    assert path.read_bytes() == MOVIE
    assert calls(service) == ["details", "download_url"][details == "not queried" :]
    assert [request.line.count("fresh") for request in host.requests] == [0, 1]


async def test_download_reports_a_link_that_kie_refuses(host: FileHost, tmp_path: Path) -> None:
    """422 "Invalid URL" is the reason of the failure, not another error."""
    host.script = [Response(status=404)]
    async with FakeService(dialect=Dialect.KIE) as service, service.client() as client:
        service.script("download_url", ScriptedResponse(body=b'{"code":422,"msg":"Invalid URL"}'))
        with pytest.raises(DownloadError, match=r"has expired.* No new link was found: .*Inv"):
            await client.download(host.url, tmp_path)

    assert names_in(tmp_path) == []


async def test_downloads_run_eight_at_a_time(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """All files arrive."""

    def slow_response(request: Any) -> Response:
        response = range_response(request)
        return Response(headers=response.headers, body=response.body, hang=0.01)

    host.script = [slow_response] * 30
    async with service.client() as client:
        names = [tmp_path / f"{n}.mp4" for n in range(30)]
        await asyncio.gather(*(client.download(host.url, name) for name in names))

    assert {name.read_bytes() for name in names} == {MOVIE}
    assert host.peak_connections == 8


async def test_downloads_release_their_slots(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """After nine failures and nine cancels, the next download still gets a slot."""
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


async def test_download_emits_progress_and_retry_events(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """No event contains the link's signature."""
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
async def test_download_turns_track_ids_into_safe_names(
    service: FakeService, host: FileHost, tmp_path: Path, audio_id: str, name: str
) -> None:
    """An id of the API cannot leave the folder."""
    video = Video("task", host.url, audio_id=audio_id)
    async with service.client() as client:
        path = await client.download(video, f"{tmp_path}/new/")

    assert path.parent == tmp_path / "new"
    assert path.name.startswith(name.removesuffix(".mp4"))


@pytest.mark.parametrize("url", ["http://[broken", "", "nonsense", "file:///etc/passwd"])
async def test_download_rejects_invalid_links(
    service: FakeService, tmp_path: Path, url: str
) -> None:
    """The target may be a folder or a file."""
    async with service.client() as client:
        for to in (tmp_path, tmp_path / "a.mp4"):
            with pytest.raises(DownloadError, match="The video's link is not an http"):
                await client.download(url, to)

    assert names_in(tmp_path) == []


async def test_download_rejects_private_links_of_a_public_api(
    host: FileHost, tmp_path: Path
) -> None:
    """Failure mode 31: links of the details and links that a user passes."""
    async with Client("key", base_url="https://8.8.8.8") as client:
        with pytest.raises(DownloadError, match=r"private address: 127\.0\.0\.1\. Private links"):
            await client.download(host.url, tmp_path)

    assert host.requests == []


async def test_download_resolves_the_api_again_after_a_failure(
    host: FileHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the API is private does not depend on the first attempt."""
    addresses: list[Any] = [socket.gaierror(), [(0, 0, 0, "", ("10.0.0.1", 0))]]

    async def resolve(name: str, *_: Any) -> Any:
        assert name == "api.internal"
        if isinstance(response := addresses.pop(0), Exception):
            raise response
        return response

    async with Client("key", base_url="https://api.internal") as client:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        with pytest.raises(DownloadError, match="private address"):
            await client.download(host.url, tmp_path)
        for _ in range(2):
            path = await client.download(host.url, tmp_path)

    assert path.read_bytes() == MOVIE
    assert addresses == []


async def test_download_ends_when_the_client_is_closed(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """Running downloads end, later ones are refused, and no file is left."""
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


@pytest.mark.parametrize("source", ["details", "callback"])
async def test_signed_link_of_the_api_arrives_byte_for_byte(
    host: FileHost, tmp_path: Path, source: str
) -> None:
    """Failure mode 43: from the details and from a callback that is trusted without a poll."""
    path = "/a%2fb/%27x%27.mp4?X-Sig=a%2Bb%2f%3d&y=%40me+c"
    url = f"http://127.0.0.1:{host.port}{path}"
    receiver = mp4gen.CallbackReceiver("https://example.com/cb", confirm=False)
    polling = mp4gen.Polling(initial_delay=1e-3, max_interval=1e-2)
    async with FakeService(callbacks=CallbackBehavior(loss_rate=1)) as service:
        service.always("details", details_with_url(url if source == "details" else None))
        callbacks = receiver if source == "callback" else None
        async with service.client(polling=polling, callbacks=callbacks) as client:

            def report(task_id: str) -> None:
                where = urlsplit(service.tasks[task_id].request.callback_url or "").path
                receiver.handle("POST", where, {}, build_callback(task_id, url))

            on_submitted = report if source == "callback" else None
            video = await client.convert(REQUEST, on_submitted=on_submitted)
            await client.download(video, tmp_path)

    assert video.url == url
    assert host.requests[0].line == f"GET {path} HTTP/1.1"


FETCHES = """
import asyncio, sys, mp4gen
async def main(base, url, to):
    async with mp4gen.Client(base_url=base) as client:
        await client.download(url, to)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_download_takes_over_from_a_killed_process(
    service: FakeService, host: FileHost, tmp_path: Path
) -> None:
    """Failure mode 21: while that process lives, its lock holds; after kill -9 it is free."""
    host.script = [
        Response(
            headers=full_response().headers, body=MOVIE, truncate_at=1000, received=0, hang=100
        )
    ]
    to, part = tmp_path / "movie.mp4", tmp_path / ".movie.mp4.part"
    command = [sys.executable, "-c", FETCHES, service.url, host.url, str(to)]
    async with service.client() as client:
        killed = await asyncio.create_subprocess_exec(*command)
        while not (part.exists() and part.stat().st_size == 1000):
            await asyncio.sleep(0.01)
        with pytest.raises(DownloadError, match="Another download is writing the same file"):
            await client.download(host.url, to)
        killed.kill()
        status = await killed.wait()
        left = names_in(tmp_path)
        await client.download(host.url, to)

    assert status == -signal.SIGKILL
    assert left == [".movie.mp4.part"]
    assert to.read_bytes() == MOVIE
    assert names_in(tmp_path) == ["movie.mp4"]
