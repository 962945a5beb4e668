"""Downloads of finished videos, complete and in parts."""

from pathlib import Path
from typing import Any

import pytest

from .conftest import Caller, Serve

NAME = "A" * 24 + ".mp4"
CONTENT = bytes(range(256)) * 40


@pytest.fixture
async def caller(serve: Serve, tmp_path: Path) -> Caller:
    """A server with one known file among its videos."""
    caller = await serve()
    (tmp_path / "data" / "videos" / NAME).write_bytes(CONTENT)
    return caller


async def fetch(caller: Caller, method: str = "GET", name: str = NAME, **headers: str) -> Any:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    url = f"{caller.url}/files/{name}"
    async with caller.session.request(method, url, headers=sent) as response:
        return response.status, response.headers, await response.read()


async def test_file_is_sent_with_headers_for_resuming(caller: Caller) -> None:
    """Without conditions the complete file is sent, with a tag to resume it later."""
    status, headers, body = await fetch(caller)

    assert status == 200
    assert body == CONTENT
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Length"] == str(len(CONTENT))
    assert headers["Content-Type"] == "video/mp4"
    assert headers["ETag"].startswith('"')
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=0-99", slice(0, 100), "bytes 0-99/10240"),
        ("bytes=10000-", slice(10_000, None), "bytes 10000-10239/10240"),
        ("bytes=10000-99999", slice(10_000, None), "bytes 10000-10239/10240"),
        ("bytes=-40", slice(-40, None), "bytes 10200-10239/10240"),
    ],
)
async def test_range_is_206(caller: Caller, header: str, part: slice, content_range: str) -> None:
    """A range is answered with 206 and exactly that part."""
    status, headers, body = await fetch(caller, Range=header)

    assert status == 206
    assert body == CONTENT[part]
    assert headers["Content-Range"] == content_range


async def test_range_beyond_the_end_is_416(caller: Caller) -> None:
    """The response contains the file's length."""
    status, headers, _ = await fetch(caller, Range="bytes=10240-")

    assert status == 416
    assert headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize("header", ["bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes"])
async def test_invalid_range_is_ignored(caller: Caller, header: str) -> None:
    """Anything but one range of bytes is answered with the complete file."""
    status, _, body = await fetch(caller, Range=header)

    assert status == 200
    assert body == CONTENT


async def test_if_range_sends_a_part_of_the_same_version_only(caller: Caller) -> None:
    """The file's tag or date gets the part, any other the complete file."""
    _, headers, _ = await fetch(caller)

    same = await fetch(caller, Range="bytes=5-", If_Range=headers["ETag"])
    other = await fetch(caller, Range="bytes=5-", If_Range='"another"')
    dated = await fetch(caller, Range="bytes=5-", If_Range=headers["Last-Modified"])
    older = await fetch(caller, Range="bytes=5-", If_Range="Mon, 01 Jan 2001 00:00:00 GMT")

    assert (same[0], same[2]) == (206, CONTENT[5:])
    assert (other[0], other[2]) == (200, CONTENT)
    assert dated[0] == 206
    assert (older[0], older[2]) == (200, CONTENT)


async def test_head_has_no_body(caller: Caller) -> None:
    """HEAD reports the length and sends no body."""
    status, headers, body = await fetch(caller, "HEAD")

    assert status == 200
    assert headers["Content-Length"] == "10240"
    assert body == b""


async def test_unchanged_file_is_304(caller: Caller) -> None:
    """A client that has the current version gets no body."""
    _, headers, _ = await fetch(caller)

    status, _, body = await fetch(caller, If_None_Match=headers["ETag"])

    assert (status, body) == (304, b"")


@pytest.mark.parametrize(
    "name",
    ["B" * 24 + ".mp4", "..%2Fmp4gen.sqlite", "%2e%2e/mp4gen.sqlite", "x.mp4", "A" * 24, "%00.mp4"],
)
async def test_other_names_are_404(caller: Caller, name: str) -> None:
    """An unknown or malformed name is 404."""
    status, _, body = await fetch(caller, name=name)

    assert status == 404
    assert b'"code":404' in body
