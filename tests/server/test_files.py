"""Finished videos, whole and in part."""

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


async def test_a_whole_file(caller: Caller) -> None:
    """Without conditions the whole file comes, with what is needed to resume it later."""
    status, headers, body = await fetch(caller)

    assert status == 200
    assert body == CONTENT
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Length"] == str(len(CONTENT))
    assert headers["Content-Type"] == "video/mp4"
    assert headers["ETag"].startswith('"')
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("wanted", "part", "told"),
    [
        ("bytes=0-99", slice(0, 100), "bytes 0-99/10240"),
        ("bytes=10000-", slice(10_000, None), "bytes 10000-10239/10240"),
        ("bytes=10000-99999", slice(10_000, None), "bytes 10000-10239/10240"),
        ("bytes=-40", slice(-40, None), "bytes 10200-10239/10240"),
    ],
)
async def test_a_part_of_a_file(caller: Caller, wanted: str, part: slice, told: str) -> None:
    """A range is answered with 206 and just that part."""
    status, headers, body = await fetch(caller, Range=wanted)

    assert status == 206
    assert body == CONTENT[part]
    assert headers["Content-Range"] == told


async def test_a_range_beyond_the_end_is_416(caller: Caller) -> None:
    """A range that holds nothing of the file tells the file's length."""
    status, headers, _ = await fetch(caller, Range="bytes=10240-")

    assert status == 416
    assert headers["Content-Range"] == "bytes */10240"


@pytest.mark.parametrize("wanted", ["bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes"])
async def test_a_range_that_says_nothing_is_left_out(caller: Caller, wanted: str) -> None:
    """What is not one range of bytes is answered with the whole file."""
    status, _, body = await fetch(caller, Range=wanted)

    assert status == 200
    assert body == CONTENT


async def test_if_range_gives_a_part_only_of_the_same_version(caller: Caller) -> None:
    """The file's own tag gets the part, any other the whole file."""
    _, headers, _ = await fetch(caller)

    same = await fetch(caller, Range="bytes=5-", If_Range=headers["ETag"])
    other = await fetch(caller, Range="bytes=5-", If_Range='"another"')
    dated = await fetch(caller, Range="bytes=5-", If_Range=headers["Last-Modified"])
    older = await fetch(caller, Range="bytes=5-", If_Range="Mon, 01 Jan 2001 00:00:00 GMT")

    assert (same[0], same[2]) == (206, CONTENT[5:])
    assert (other[0], other[2]) == (200, CONTENT)
    assert dated[0] == 206
    assert (older[0], older[2]) == (200, CONTENT)


async def test_head_has_the_headers_alone(caller: Caller) -> None:
    """HEAD tells the length and sends nothing."""
    status, headers, body = await fetch(caller, "HEAD")

    assert status == 200
    assert headers["Content-Length"] == "10240"
    assert body == b""


async def test_an_unchanged_file_is_not_sent_again(caller: Caller) -> None:
    """A caller that has this very version is told so."""
    _, headers, _ = await fetch(caller)

    status, _, body = await fetch(caller, If_None_Match=headers["ETag"])

    assert (status, body) == (304, b"")


@pytest.mark.parametrize(
    "name",
    ["B" * 24 + ".mp4", "..%2Fmp4gen.sqlite", "%2e%2e/mp4gen.sqlite", "x.mp4", "A" * 24, "%00.mp4"],
)
async def test_nothing_else_is_handed_out(caller: Caller, name: str) -> None:
    """An unknown name, or one that is none of ours, is 404."""
    status, _, body = await fetch(caller, name=name)

    assert status == 404
    assert b'"code":404' in body
