"""For those who run it: health, contract, and no request that ends in a traceback."""

import asyncio
import json
import logging
import random
from itertools import chain
from typing import Any

import pytest

from mp4gen.api import converters
from mp4gen.options import RateLimit
from mp4gen.server.web.operations import OPERATIONS

from .conftest import CALLBACK, Caller, Serve


async def test_health_tells_what_there_is_to_do(serve: Serve) -> None:
    """Healthy while tasks are taken; what waits and what runs is told, and nothing of whose."""
    caller = await serve(key="secret")

    status, _, body = await caller.get_response("/healthz")

    assert status == 200
    assert body["status"] == "ok"
    assert (body["queued"], body["rendering"]) == (0, 0)
    assert set(body) == {"status", "version", "queued", "rendering", "free_bytes"}


async def test_health_says_why_nothing_is_taken(serve: Serve, tmp_path: Any) -> None:
    """A full disk and maintenance are 503 with a word."""
    full = await serve(min_free_bytes=1 << 60)
    closed = await serve(maintenance=True, data=tmp_path / "other")

    assert [(await one.get_response("/healthz"))[0] for one in (full, closed)] == [503, 503]
    assert (await full.get_response("/healthz"))[2]["status"] == "disk full"
    assert (await closed.get_response("/healthz"))[2]["status"] == "maintenance"


async def test_a_file_closes_a_running_server(serve: Serve, tmp_path: Any) -> None:
    """While `maintenance` lies in the data folder every call is 455, and 200 again afterwards."""
    caller = await serve()
    mark = tmp_path / "data" / "maintenance"

    mark.touch()
    closed = [await caller.generate("album", "one"), await caller.get("/api/v1/generate/credit")]
    told = await caller.get_response("/healthz")
    mark.unlink()
    opened = await caller.generate("album", "one")

    assert [answer["code"] for answer in closed] == [455, 455]
    assert (told[0], told[2]["status"]) == (503, "maintenance")
    assert opened["code"] == 200


async def test_the_contract_is_made_of_the_tables(serve: Serve) -> None:
    """Every call and every field is in the OpenAPI document, and the file that a task leads to."""
    caller = await serve()

    _, _, told = await caller.get_response("/openapi.json")

    assert set(told["paths"]) == {call.path for call in OPERATIONS} | {"/files/{name}", "/healthz"}
    fields = told["components"]["schemas"]["VideoRequest"]["properties"]
    assert set(fields) == set(converters.VIDEO_REQUEST.values())
    assert fields["author"]["maxLength"] == 50
    for call in OPERATIONS:
        operation = told["paths"][call.path][call.method.lower()]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert schema["properties"]["code"]["enum"] == list(call.codes)


async def test_the_log_has_one_line_for_each_task(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has what an owner asks for, as names and values."""
    caplog.set_level(logging.INFO, "mp4gen.server")
    caller = await serve()

    data = await caller.create_and_wait("album", "one")

    start = f"task={data['taskId']}"
    while not (lines := [line for line in caplog.messages if line.startswith(start)]):  # noqa: ASYNC110 - a log tells nobody
        await asyncio.sleep(0.01)  # the record may be seen a moment before

    assert len(lines) == 1
    for part in ("state=done", "code=200", "audio='one'", "waited=", "took=", "plays=1.0s"):
        assert part in lines[0]


def odd_body(chance: random.Random) -> bytes:
    """JSON that is well formed, or too deep to be read, and whose values are none that we want."""
    if chance.randrange(6) == 0:
        return b"[" * chance.randrange(1, 30_000)
    good = {"taskId": "album", "audioId": "none", "callBackUrl": CALLBACK}
    odd = [None, True, 0, -1, 1e308, [], {}, "", "\x00", "é" * 60, "\ud800", "../..", "a" * 51]
    body = {name: chance.choice([value, chance.choice(odd)]) for name, value in good.items()}
    body |= {"author": chance.choice(odd), "domainName": chance.choice(odd)}
    return json.dumps(body).encode()


async def throw(caller: Caller, chance: random.Random) -> int:
    """Send one random request; its HTTP status."""
    paths = [call.path for call in OPERATIONS] + [
        "/files/x.mp4",
        "/",
        "/healthz",
        "/%00",
        "/..%2f",
        "/é",
    ]
    method = chance.choice(["GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"])
    headers = {
        chance.choice(["Authorization", "Range", "If-Range", "Content-Type", "Accept-Encoding"]): (
            chance.choice(["", "x", "Bearer", "bytes=1-", "~", "é", '"', "a" * 3000])
        )
    }
    url = caller.url + chance.choice(paths) + chance.choice(["", "?taskId=%ff", "?taskId=.", "?x"])
    async with caller.session.request(
        method, url, data=odd_body(chance), headers=headers
    ) as answer:
        await answer.read()
        return answer.status


async def test_no_request_ends_in_a_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Odd values in every place of a request: each is answered, none with 500."""
    caller = await serve(rate_limit=RateLimit(1_000_000))
    chance = random.Random(8)

    async def throw_many() -> list[int]:
        return [await throw(caller, chance) for _ in range(250)]

    seen = list(chain(*await asyncio.gather(*(throw_many() for _ in range(4)))))

    assert len(seen) == 1000
    assert not [status for status in seen if status >= 500]
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
async def test_broken_http_is_refused_without_a_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """Requests that break off, lie about their body, or are none, do not disturb the server."""
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
