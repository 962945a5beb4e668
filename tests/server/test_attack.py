"""Hostile requests over raw sockets: they are rejected, and the server keeps answering."""

import asyncio
import functools
import gzip
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mp4gen.server import app
from mp4gen.server.web import api, connection_limit

from .conftest import Caller, Serve

GENERATE = "POST /api/v1/mp4/generate HTTP/1.1\r\nHost: 127.0.0.1\r\n"
LARGE = b"a" * (10 << 20)
CLOSE = "Connection: close\r\n\r\n"


@pytest.fixture
async def caller(serve: Serve, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Caller]:
    """A server that must answer after the test, and must not log a warning."""
    caller = await serve()
    yield caller
    assert (await caller.get_response("/healthz"))[0] == 200
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def send_raw(caller: Caller, *parts: str | bytes) -> bytes:
    """Return the bytes that the server sends before it closes the connection."""
    port = int(caller.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        for part in parts:
            writer.write(part.encode() if isinstance(part, str) else part)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        return await reader.read(1 << 20)
    except ConnectionError:
        # The server closed the connection before it had read everything.
        return b""
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    "parts",
    [
        ["GET /", LARGE, " HTTP/1.1\r\n\r\n"],
        ["GET / HTTP/1.1\r\nX: ", LARGE, "\r\n\r\n"],
        ["GET / HTTP/1.1\r\n", LARGE, ": x\r\n\r\n"],
        ["GET / HTTP/1.1\r\nCookie: mp4gen_session=", LARGE, "\r\n\r\n"],
        ["GET / HTTP/1.1\r\n", b"".join(b"X-%d: 1\r\n" % i for i in range(50_000)), "\r\n"],
        [LARGE],
        [os.urandom(5000)],
    ],
    ids=["path", "value", "name", "cookie", "count", "nothing", "noise"],
)
async def test_large_head_is_rejected(caller: Caller, parts: list[Any]) -> None:
    """Ten megabytes of headers are not read to their end."""
    assert status_of(await send_raw(caller, *parts)) in {0, 400}


@functools.cache
def gzip_bomb() -> bytes:
    """Return 60 kB that inflate to 60 MB."""
    return gzip.compress(b"0" * (64 << 20))[:60_000]


@pytest.mark.parametrize("path", ["/api/v1/mp4/generate", "/page/login"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_compressed_body_is_not_inflated(caller: Caller, path: str, coding: str) -> None:
    """A compressed body is parsed as it was sent."""
    bomb = gzip_bomb()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: {coding}\r\n"

    answer = await send_raw(caller, f"{head}Content-Length: {len(bomb)}\r\n{CLOSE}", bomb)

    assert b'"code":400' in answer
    assert b"must be a JSON object" in answer


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api/v1/mp4/generate", 413), ("/page/login", 413), ("/page/upload?name=a.mp3", 401)],
)
async def test_endless_body_is_rejected(caller: Caller, path: str, status: int) -> None:
    """The response comes before the end of the body."""
    port = int(caller.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + 40 * (b"10000\r\n" + b" " * 0x10000 + b"\r\n"))

    answer = await reader.readuntil(b"}")
    writer.close()

    assert status_of(answer) == status


@pytest.mark.parametrize("head", ["", "GET /heal", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: 1\r\n"])
async def test_missing_head_closes_the_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """A connection without a complete head is closed after the keep-alive timeout."""
    monkeypatch.setattr(app, "_KEEPALIVE_TIMEOUT", 0.05)

    assert await send_raw(await serve(), head) == b""


async def test_dripping_head_closes_the_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single headers do not extend the timeout, also after an answered request."""
    monkeypatch.setattr(app, "_KEEPALIVE_TIMEOUT", 0.2)
    caller = await serve()
    port = int(caller.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readuntil(b"}")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")

    async def drip() -> None:
        while True:
            writer.write(b"X: 1\r\n")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    try:
        rest = await reader.read()
    except ConnectionError:
        rest = b""
    dripping.cancel()
    writer.close()

    assert rest == b""


async def test_stalled_body_is_rejected(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that stalls is an error after the timeout."""
    monkeypatch.setattr(api, "_BODY_TIMEOUT", 0.05)
    head = GENERATE + "Content-Length: 1000000000000000000\r\n" + CLOSE

    assert b"did not arrive within" in await send_raw(caller, head, "{")


@pytest.mark.parametrize(
    "more",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 48\r\n\r\n",
        "Content-Length: 0, 0\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n\r\n",
        "Host: evil.example\r\n\r\n",
        "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        "X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_smuggled_request_is_not_answered(caller: Caller, more: str) -> None:
    """If two parsers could disagree on the end of a request, nothing after it is read."""
    hidden = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + CLOSE

    answer = await send_raw(caller, GENERATE + more + hidden)

    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"version" not in answer.lower()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1#.evil.example",
        "127.0.0.1/evil",
        "127.0.0.1:80:80",
        "127.0.0.1:x",
        "127.0.0.1:1234567",
        "localhost, evil.example",
        "localhost.evil.example",
        "[::1",
        "2130706433",
        "",
    ],
)
async def test_malformed_host_is_rejected(caller: Caller, host: str) -> None:
    """Only an allowed host, exactly written, is answered: it becomes part of videos' URLs."""
    answer = await send_raw(caller, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n{CLOSE}")

    assert status_of(answer) == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1:1", "[::1]:65535"])
async def test_own_hosts_are_accepted(caller: Caller, host: str) -> None:
    """Addresses and this machine's name, with or without a port."""
    answer = await send_raw(caller, f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n{CLOSE}")

    assert status_of(answer) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../mp4gen.sqlite",
        "/files/%2e%2e%2fsecret",
        "/files/%252e%252e%252fsecret",
        "/files/..\\secret",
        "/files/..%5csecret",
        "/files/a%00.mp4",
        "/page/asset/%2e%2e%2fapp.js",
        "//etc/passwd",
        "/%ff%fe",
    ],
)
async def test_path_traversal_is_404(caller: Caller, path: str) -> None:
    """However a path is written, it never leads out of the served folders."""
    answer = await send_raw(caller, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{CLOSE}")

    assert status_of(answer) == 404


async def test_links_out_of_the_music_folder_are_ignored(caller: Caller, tmp_path: Path) -> None:
    """A linked file or folder is not a track, under any name."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.wav").write_bytes((tmp_path / "music" / "loose.wav").read_bytes())
    (tmp_path / "music" / "album" / "link.wav").symlink_to(outside / "secret.wav")
    (tmp_path / "music" / "linked").symlink_to(outside)

    codes = [
        (await caller.generate(task, audio))["code"]
        for task, audio in [
            ("album", "link"),
            ("album", "link.wav"),
            ("linked", "secret"),
            ("album/../../outside", "secret"),
            ("..", "secret"),
            ("album", "../loose"),
            ("album", "..\\loose"),
            ("album\x00", "one"),
            ("", "one"),
        ]
    ]

    assert [code for code in codes if code not in {400, 422}] == []


async def test_undecodable_credentials_are_rejected(caller: Caller) -> None:
    """Invalid UTF-8 in a cookie or a token is rejected like any other value."""
    port = int(caller.url.rpartition(":")[2])
    async with caller.session.get(caller.url) as answer:
        name = f"mp4gen_session_{port}"
        cookie = f"Cookie: {name}={answer.cookies[name].value}\r\n"
    change = f"POST /page/videos HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n"
    read = "GET /page/state HTTP/1.1\r\nHost: 127.0.0.1\r\n"

    values = [
        b"\xff",
        b"61.9999999999.\xff",
        b"\xff.9999999999.\xff",
        b"61.\xb2.\xff",
        "é".encode(),
    ]
    token_responses = [
        await send_raw(caller, change, cookie, b"X-Mp4gen-Token: %s\r\n" % value, CLOSE)
        for value in values
    ]
    cookie_responses = [
        await send_raw(caller, read, b"Cookie: %s=%s\r\n" % (name.encode(), value), CLOSE)
        for value in values
    ]

    assert [status_of(one) for one in token_responses] == [403] * 5
    assert [status_of(one) for one in cookie_responses] == [401] * 5


async def test_head_of_events_is_not_allowed(caller: Caller) -> None:
    """An endless response has no HEAD."""
    answer = await send_raw(caller, f"HEAD /page/events HTTP/1.1\r\nHost: 127.0.0.1\r\n{CLOSE}")

    assert status_of(answer) == 405
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/page/events", "/healthz"])
async def test_protocol_upgrade_is_ignored(caller: Caller, path: str) -> None:
    """The request is answered as HTTP; the bytes after it are not."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    answer = await send_raw(caller, request, b"\x81\x85\x00\x00\x00\x00hello")

    assert status_of(answer) in {200, 401}
    assert b" 101 " not in answer


async def test_connection_beyond_the_limit_is_503(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may retry later; the open connections are still answered."""
    monkeypatch.setattr(app, "raise_fd_limit", lambda: 3)
    caller = await serve()
    port = int(caller.url.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n{CLOSE}"

    rejected = await send_raw(caller, "")
    reader, writer = idle.pop()
    writer.write(request.encode())
    inside = await reader.read()
    writer.close()
    while True:
        later = await send_raw(caller, request)
        if status_of(later) != 503:
            break
        await asyncio.sleep(0.01)
    for _, writer in idle:
        writer.close()

    head, _, body = rejected.partition(b"\r\n\r\n")
    assert status_of(rejected) == 503
    assert b"Retry-After: 10" in head
    assert json.loads(body)["code"] == 430
    assert status_of(inside) == status_of(later) == 200


@pytest.mark.parametrize(
    ("soft", "hard", "expected", "raised"),
    [
        (256, 256, 64, 256),
        (1024, 4096, 1984, 4096),
        (100, 100, 32, 100),
        (10**6, 10**6, 10_000, None),
    ],
)
def test_raise_fd_limit_reserves_files(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int, raised: int | None
) -> None:
    """The limit of open files is raised as far as allowed, and connections do not use all of it."""
    resource = pytest.importorskip("resource")
    limits_set: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: [(soft, hard), *limits_set][-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: limits_set.append(limits))

    assert connection_limit.raise_fd_limit() == expected
    assert limits_set == ([] if raised is None else [(raised, hard)])
