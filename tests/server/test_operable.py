"""Operation of the server: health, OpenAPI document, log, and no traceback."""

import asyncio
import json
import logging
import random
import sqlite3
from itertools import chain
from typing import Any

import pytest

from mp4gen.api import converters
from mp4gen.options import RateLimit
from mp4gen.server.queue.store import Store
from mp4gen.server.web.operations import OPERATIONS

from .conftest import CALLBACK, Caller, Serve, full_disk


async def test_health_reports_load(serve: Serve) -> None:
    """The response counts queued and running tasks, and names no account."""
    caller = await serve(key="secret")

    status, _, body = await caller.get_response("/healthz")

    assert status == 200
    assert body["status"] == "ok"
    assert (body["queued"], body["rendering"]) == (0, 0)
    expected = {"status", "trouble", "version", "queued", "rendering", "free_bytes"}
    assert set(body) == expected


async def test_health_reports_why_tasks_are_rejected(serve: Serve, tmp_path: Any) -> None:
    """A full disk and maintenance are 503 with the reason."""
    full = await serve(**full_disk(tmp_path))
    maintained = await serve(maintenance=True, data=tmp_path / "other")

    assert [(await one.get_response("/healthz"))[0] for one in (full, maintained)] == [503, 503]
    assert (await full.get_response("/healthz"))[2]["status"] == "disk full"
    assert (await maintained.get_response("/healthz"))[2]["status"] == "maintenance"


async def test_maintenance_file_starts_maintenance(serve: Serve, tmp_path: Any) -> None:
    """With a file `maintenance` in the data folder every operation is 455, without it 200."""
    caller = await serve()
    maintenance_file = tmp_path / "data" / "maintenance"

    maintenance_file.touch()
    closed = [await caller.generate("album", "one"), await caller.get("/api/v1/generate/credit")]
    health = await caller.get_response("/healthz")
    maintenance_file.unlink()
    opened = await caller.generate("album", "one")

    assert [answer["code"] for answer in closed] == [455, 455]
    assert (health[0], health[2]["status"]) == (503, "maintenance")
    assert opened["code"] == 200


async def test_openapi_lists_all_operations_and_fields(serve: Serve) -> None:
    """The document follows the tables of operations and of field names."""
    caller = await serve()

    _, _, openapi = await caller.get_response("/openapi.json")

    assert set(openapi["paths"]) == {op.path for op in OPERATIONS} | {
        "/files/{name}",
        "/music/{name}",
        "/covers/{name}",
        "/healthz",
    }
    fields = openapi["components"]["schemas"]["VideoRequest"]["properties"]
    assert set(fields) >= set(converters.VIDEO_REQUEST.values())
    assert fields["author"]["maxLength"] == 50
    for op in OPERATIONS:
        operation = openapi["paths"][op.path][op.method.lower()]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["properties"]["code"]["enum"] == list(op.codes)


@pytest.mark.slow
async def test_log_has_one_line_for_each_task(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has names and values."""
    caplog.set_level(logging.INFO, "mp4gen.server")
    caller = await serve()

    data = await caller.create_and_wait("album", "one")

    start = f"task={data['taskId']}"
    while not (lines := [line for line in caplog.messages if line.startswith(start)]):  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.01)  # the task may be finished before its line is written

    assert len(lines) == 1
    for part in ("state=done", "code=200", "audio='one'", "waited=", "took=", "plays=1.0s"):
        assert part in lines[0]


@pytest.mark.slow
async def test_warnings_reach_the_log_the_page_and_the_details(
    serve: Serve, visit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The renderer's sentences about a video are not dropped."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    task_id = await visitor.create(task="album", audio="one", audio_mode="copy")

    data = await caller.wait_until_finished(task_id)

    (warning,) = data["warnings"]
    (video,) = (await visitor.state())["videos"]
    assert "FLAC in an MP4" in warning
    assert video["warnings"] == [warning]
    assert data["trouble"] is None
    assert f"task={task_id} warning={warning!r}" in caplog.messages


async def test_submit_on_a_full_disk_is_refused(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 60: a task that cannot be stored is refused as during maintenance, not lost."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()

    def fail(_: Store) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "_commit", fail)
    refused = await caller.generate("album", "one")
    page = await visitor.ask("POST", "/page/videos", json={"task": "album", "audio": "one"})
    monkeypatch.undo()
    accepted = await caller.generate("album", "one")

    text = "The database cannot be used: database or disk is full."
    assert (refused["code"], refused["msg"]) == (455, text)
    assert (page[0], json.loads(page[2])["msg"]) == (503, text)
    assert accepted["code"] == 200


def odd_body(rng: random.Random) -> bytes:
    """Return JSON with odd values, or JSON that is nested too deeply."""
    if rng.randrange(6) == 0:
        return b"[" * rng.randrange(1, 30_000)
    good = {"taskId": "album", "audioId": "none", "callBackUrl": CALLBACK}
    odd = [None, True, 0, -1, 1e308, [], {}, "", "\x00", "é" * 60, "\ud800", "../..", "a" * 51]
    body = {name: rng.choice([value, rng.choice(odd)]) for name, value in good.items()}
    body |= {"author": rng.choice(odd), "domainName": rng.choice(odd)}
    return json.dumps(body).encode()


async def send_random(caller: Caller, rng: random.Random) -> int:
    """Send one random request and return its HTTP status."""
    paths = [op.path for op in OPERATIONS] + [
        "/files/x.mp4",
        "/",
        "/healthz",
        "/%00",
        "/..%2f",
        "/é",
    ]
    method = rng.choice(["GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"])
    headers = {
        rng.choice(["Authorization", "Range", "If-Range", "Content-Type", "Accept-Encoding"]): (
            rng.choice(["", "x", "Bearer", "bytes=1-", "~", "é", '"', "a" * 3000])
        )
    }
    url = caller.url + rng.choice(paths) + rng.choice(["", "?taskId=%ff", "?taskId=.", "?x"])
    async with caller.session.request(method, url, data=odd_body(rng), headers=headers) as answer:
        await answer.read()
        return answer.status


@pytest.mark.slow
async def test_random_requests_never_fail_with_500(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests with odd values in every part are answered, none with 500."""
    caller = await serve(rate_limit=RateLimit(1_000_000))
    rng = random.Random(8)

    async def send_many() -> list[int]:
        return [await send_random(caller, rng) for _ in range(250)]

    statuses = list(chain(*await asyncio.gather(*(send_many() for _ in range(4)))))

    assert len(statuses) == 1000
    assert not [status for status in statuses if status >= 500]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


POST = b"POST /api/v1/mp4/generate HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 9\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        POST + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /api/v1/generate/credit HTTP/1.1\r\n\r\n",
        b"GET /api/v1/generate/credit HTTP/1.0\r\n\r\n",
        b"GET /api/v1/generate/credit HTTP/1.1\r\nHost: \xff\xfe[\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_broken_http_causes_no_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """Incomplete and invalid requests do not disturb the server."""
    caller = await serve()
    host, _, port = caller.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    writer.write(sent)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert b"Traceback" not in answer
    assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5"))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (await caller.get_response("/healthz"))[0] == 200
