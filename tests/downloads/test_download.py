"""One file, completely or not at all, from hosts of every kind (failure modes 21 and 23 to 26)."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop while a small file is read

from __future__ import annotations

import asyncio
import gzip
import resource
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mp4gen import ConfigurationError, DownloadError, Retry
from mp4gen.downloads.download import ExpiredLinkError
from mp4gen.downloads.fetch import DownloadLimits, FileSessions
from mp4gen.testing.media import etag, tiny_mp4
from tests.support_cdn import (
    IMMEDIATE_RETRY,
    MOVIE,
    FileHost,
    Response,
    chunked,
    download,
    file_sessions,
    full_response,
    http_date,
    names_in,
    open_files,
    open_files_after_close,
    range_response,
    timed,
)

OTHER = tiny_mp4("another movie", 3000)
SIZE = len(MOVIE)
TAG = etag(MOVIE)


async def fetch(host: FileHost, sessions: FileSessions, target: Path, **changes: Any) -> bytes:
    """Return the saved file; no other file may be beside it."""
    path = await download(host, sessions, **changes).save(target)

    assert path == target
    assert names_in(target.parent) == [target.name]
    return target.read_bytes()


async def download_error(
    host: FileHost, sessions: FileSessions, target: Path, **changes: Any
) -> str:
    """Return why the download failed; only the older file may be there."""
    target.write_bytes(b"old")
    with pytest.raises(DownloadError) as caught:
        await download(host, sessions, **changes).save(target)

    assert target.read_bytes() == b"old"
    assert names_in(target.parent) == [target.name]
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def ranges(host: FileHost) -> list[tuple[str | None, str | None]]:
    return [
        (request.headers.get("range"), request.headers.get("if-range")) for request in host.requests
    ]


async def test_download_sends_one_request(sessions: FileSessions, target: Path) -> None:
    """It sends no range and asks for no encoding; progress ends at the last byte."""
    async with FileHost() as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert ranges(host) == [(None, None)]
    assert host.progress_reports[-1] == (SIZE, SIZE)
    assert host.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 1500, SIZE - 1])
async def test_download_resumes_after_a_cut(
    sessions: FileSessions, target: Path, size: int, reset: bool
) -> None:
    """It asks for the missing range on condition that the file is still the same."""
    cut = Response(headers=full_response().headers, body=MOVIE, truncate_at=size, reset=reset)
    async with FileHost(cut) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert ranges(host) == [(None, None), (f"bytes={size}-", TAG)]
    assert host.progress_reports[-1] == (SIZE, SIZE)


async def test_download_resumes_after_many_cuts(sessions: FileSessions, target: Path) -> None:
    """Each piece is kept, and the progress never goes back."""

    def piece(request: Any) -> Response:
        response = range_response(request)
        return Response(
            status=response.status, headers=response.headers, body=response.body, truncate_at=300
        )

    async with FileHost(*[piece] * 9) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == list(range(0, SIZE, 300))
    assert host.progress_reports == sorted(host.progress_reports)


async def test_download_resumes_after_a_short_206(sessions: FileSessions, target: Path) -> None:
    """Some hosts end a range early by design."""
    span = {"ETag": TAG, "Content-Range": f"bytes 100-199/{SIZE}", "Content-Length": "100"}
    async with FileHost(
        full_response(truncate_at=100), Response(status=206, headers=span, body=MOVIE[100:200])
    ) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 100, 200]


async def test_download_restarts_on_200_for_a_range(sessions: FileSessions, target: Path) -> None:
    """Failure mode 25: the host does not support ranges, so the progress goes back."""
    async with FileHost(full_response(truncate_at=2000), lambda _: full_response()) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 2000]


async def test_download_restarts_if_the_file_changed(sessions: FileSessions, target: Path) -> None:
    """Failure mode 25: the host detects the change by If-Range."""
    async with FileHost(full_response(truncate_at=1000)) as host:
        host.content = OTHER
        content = await fetch(host, sessions, target)

    assert content == OTHER
    assert host.offsets == [0, 1000]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE}", "ETag": etag(OTHER)},
        {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}", "ETag": TAG},
        {"Content-Range": f"bytes 999-{SIZE - 1}/{SIZE}", "ETag": TAG},
        {"Content-Range": f"bytes 1001-{SIZE - 1}/{SIZE}", "ETag": TAG},
        {"Content-Range": f"bytes 1000-{SIZE}/{SIZE + 1}", "ETag": TAG},
        {"Content-Range": "bytes 1000-", "ETag": TAG},
        {"Content-Range": f"bytes */{SIZE}", "ETag": TAG},
        {"Content-Range": f"bytes {'9' * 5000}-1/1", "ETag": TAG},
        {"Content-Type": "multipart/byteranges; boundary=x", "ETag": TAG},
        {},
    ],
    ids="tag start before after size open star huge parts none".split(),
)
async def test_download_restarts_on_an_inconsistent_206(
    sessions: FileSessions, target: Path, headers: dict[str, str]
) -> None:
    """A 206 must continue the same file exactly at the end of the first part."""
    body = OTHER[1000:]
    wrong_range = Response(
        status=206, headers=headers | {"Content-Length": str(len(body))}, body=body
    )
    async with FileHost(full_response(truncate_at=1000), wrong_range) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 1000, 0]


@pytest.mark.parametrize("total", [SIZE, "*"])
async def test_download_accepts_a_206_with_the_whole_range(
    sessions: FileSessions, target: Path, total: int | str
) -> None:
    """Failure mode 56: some hosts answer each GET with a range."""
    span = {"Content-Range": f"bytes 0-{SIZE - 1}/{total}", "Content-Length": str(SIZE)}
    async with FileHost(Response(status=206, headers=span, body=MOVIE)) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0]


@pytest.mark.parametrize("span", [f"bytes 0-999/{SIZE}", f"bytes 1-{SIZE - 1}/{SIZE}", "bytes"])
async def test_download_rejects_a_206_with_a_part_of_the_file(
    sessions: FileSessions, target: Path, span: str
) -> None:
    """A part is not accepted as the file, whatever its content."""
    async with FileHost(Response(status=206, headers={"Content-Range": span}, body=OTHER)) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 0]


async def test_download_resumes_a_206_with_the_whole_range(
    sessions: FileSessions, target: Path
) -> None:
    """Failure mode 56: it counts like a 200, with its validator and its length."""
    span = {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}", "Content-Length": str(SIZE)}
    cut = Response(status=206, headers=span | {"ETag": TAG}, body=MOVIE, truncate_at=1000)
    async with FileHost(cut) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 1000]


async def test_download_resumes_without_a_total_in_the_range(
    sessions: FileSessions, target: Path
) -> None:
    """`bytes 1000-2999/*` continues a file whose size the first response named."""
    span = {"Content-Range": f"bytes 1000-{SIZE - 1}/*", "Content-Length": str(SIZE - 1000)}
    async with FileHost(
        full_response(truncate_at=1000), Response(status=206, headers=span, body=MOVIE[1000:])
    ) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 1000]


@pytest.mark.parametrize("span", [{"Content-Range": f"bytes */{SIZE}"}, {}])
async def test_download_is_complete_on_416_at_the_end(
    sessions: FileSessions, target: Path, span: dict[str, str]
) -> None:
    """Failure mode 25: 416 after a break behind the last byte, with or without the size."""
    length = {"Content-Range": f"bytes 100-{SIZE - 1}/{SIZE}", "ETag": TAG}
    without_end = Response(
        status=206,
        headers=length | {"Transfer-Encoding": "chunked"},
        body=chunked(MOVIE[100:])[:-5],
        truncate_at=len(chunked(MOVIE[100:])) - 5,
        received=SIZE,
    )
    async with FileHost(
        full_response(truncate_at=100), without_end, Response(status=416, headers=span)
    ) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 100, SIZE]


async def test_download_restarts_on_416_before_the_end(
    sessions: FileSessions, target: Path
) -> None:
    """Failure mode 25: the file on the host is shorter, so it is another file."""
    gone = Response(status=416, headers={"Content-Range": "bytes */500", "Content-Length": "0"})
    async with FileHost(full_response(truncate_at=1000), gone) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 1000, 0]


OLD, NOW = http_date(1_000_000), http_date(1_000_001)


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": "", "Last-Modified": OLD, "Date": NOW}, OLD),
        ({"ETag": TAG, "Last-Modified": OLD, "Date": NOW}, TAG),
        ({"ETag": "", "Last-Modified": OLD, "Date": OLD}, None),
        ({"ETag": "", "Last-Modified": OLD}, None),
        ({"ETag": "", "Last-Modified": "yesterday", "Date": NOW}, None),
        ({"ETag": f"W/{TAG}", "Last-Modified": OLD, "Date": NOW}, None),
        ({"ETag": "unquoted"}, None),
        ({"ETag": '"\udcff"'}, None),
        ({"ETag": '"é"'}, None),
        ({"ETag": ""}, None),
    ],
    ids="date tag-first young-date no-clock no-date weak unquoted bytes accent none".split(),
)
async def test_download_resumes_only_with_a_strong_validator(
    sessions: FileSessions, target: Path, headers: dict[str, str], validator: str | None
) -> None:
    """A strong ETag or date, as RFC 9110 defines it; without one it restarts."""
    first = full_response(truncate_at=1000, **headers)

    def second(request: Any) -> Response:
        if request.headers.get("if-range") is None:
            return full_response()
        span = f"bytes 1000-{SIZE - 1}/{SIZE}"
        return Response(status=206, headers={"Content-Range": span}, body=MOVIE[1000:])

    async with FileHost(first, second) as host:
        content = await fetch(host, sessions, target)

    expected = (f"bytes={1000}-", validator) if validator else (None, None)
    assert content == MOVIE
    assert ranges(host) == [(None, None), expected]


async def test_download_accepts_bodies_without_a_length(
    sessions: FileSessions, target: Path
) -> None:
    """A body may be chunked or end with its connection."""
    by_chunks = Response(
        headers={"Transfer-Encoding": "chunked"}, body=chunked(MOVIE[:99], MOVIE[99:])
    )
    async with FileHost(by_chunks, Response(body=MOVIE)) as host:
        first = await fetch(host, sessions, target)
        second = await fetch(host, sessions, target)

    assert first == second == MOVIE
    assert {total for _, total in host.progress_reports} == {None}


@pytest.mark.parametrize("size", [28, 144, 500])
async def test_download_detects_a_cut_without_a_length(
    sessions: FileSessions, target: Path, size: int
) -> None:
    """Failure mode 26: by its boxes, after the first, after the second, within the last."""
    async with FileHost(*[Response(body=MOVIE[:size])] * 4) as host:
        message = await download_error(host, sessions, target)

    assert message.endswith(
        ": The MP4 is cut short. Gave up after 4 attempts in a row. Download again later."
    )
    assert host.offsets == [0, 0, 0, 0]


async def test_download_resumes_after_a_cut_between_chunks(
    sessions: FileSessions, target: Path
) -> None:
    """A missing last chunk is a cut."""
    cut = Response(
        headers={"Transfer-Encoding": "chunked", "ETag": TAG},
        body=chunked(MOVIE[:500], MOVIE[500:]),
        truncate_at=len(chunked(MOVIE[:500])) - 5,
        received=500,
    )
    async with FileHost(cut) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 500]


NO_MP4 = b"<!doctype html><title>Sorry</title>"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (
            Response(headers={"Content-Type": "text/html; charset=utf-8"}, body=NO_MP4),
            "The host sent text/html instead of an MP4",
        ),
        (Response(body=NO_MP4), "The host sent an unknown format instead of an MP4"),
        (
            Response(headers={"Content-Type": "a\x1b[2Jb" + "x" * 99}, body=NO_MP4),
            f"The host sent a[2Jb{'x' * 54} instead of an MP4",
        ),
        (Response(body=b"oops"), "The file is not an MP4"),
        (Response(headers={"Content-Length": "0"}), "The file is empty"),
        (Response(), "The file is empty"),
        (
            Response(headers={"Content-Encoding": "gzip"}, body=gzip.compress(MOVIE)),
            "The host sent the file in an encoding: gzip",
        ),
        (
            Response(headers={"Content-Encoding": "br"}, body=b"\x0b\x02\x80" + NO_MP4),
            "The host sent the file in an encoding: br",
        ),
        (full_response(MOVIE[:-1]), "The MP4 is cut short"),
    ],
    ids="html untyped hostile text empty nothing gzip brotli short".split(),
)
async def test_download_rejects_files_that_are_not_mp4(
    sessions: FileSessions, target: Path, response: Response, expected: str
) -> None:
    """Failure mode 26: three retries, then one sentence; the older file stays."""
    async with FileHost(*[response] * 4) as host:
        message = await download_error(host, sessions, target)

    assert (
        message
        == f"Cannot download from 127.0.0.1: {expected}. Gave up after 4 attempts in a row. "
        "Download again later."
    )


@pytest.mark.parametrize(
    "encoding", ["aws-chunked", "utf-8", "binary", "none", "video/mp4", "", "gzip", "Identity"]
)
async def test_download_ignores_an_encoding_that_means_nothing(
    sessions: FileSessions, target: Path, encoding: str
) -> None:
    """Failure mode 49: the body is what it should be, so its label is wrong."""
    response = full_response(**{"Content-Encoding": encoding})
    async with FileHost(response) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert len(host.requests) == 1


@pytest.mark.parametrize("extra", [b"\n", bytes(7), b"padding!" * 9, bytes(500)])
async def test_download_accepts_announced_bytes_after_the_last_box(
    sessions: FileSessions, target: Path, extra: bytes
) -> None:
    """Players ignore them, and the host announced the size with them."""
    async with FileHost(full_response(MOVIE + extra)) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE + extra


async def test_download_retries_after_a_corrupt_file(sessions: FileSessions, target: Path) -> None:
    """Some hosts send an error page with status 200, and the file a moment later."""
    page = Response(body=NO_MP4)
    async with FileHost(
        page, full_response(MOVIE[:-1]), Response(headers={"Content-Length": "0"})
    ) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE


async def test_download_restarts_if_resumed_beyond_the_total(
    sessions: FileSessions, target: Path
) -> None:
    """Failure mode 26: the host sends more than it announced."""
    span = {"Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE}", "Transfer-Encoding": "chunked"}
    too_long = Response(status=206, headers=span, body=chunked(MOVIE[1000:], b"more"))
    async with FileHost(full_response(truncate_at=1000), too_long) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.offsets == [0, 1000, 0]


@pytest.mark.looptime
async def test_download_stops_reading_beyond_the_total(
    sessions: FileSessions, target: Path
) -> None:
    """At the first byte too many, without waiting for more."""
    span = {"Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE}", "Transfer-Encoding": "chunked"}
    body = chunked(MOVIE[1000:], b"more")[:-5]
    endless = Response(
        status=206, headers=span, body=body, truncate_at=len(body), received=0, hang=1e6
    )
    async with FileHost(full_response(truncate_at=1000), endless) as host:
        content, seconds = await timed(fetch(host, sessions, target))

    assert content == MOVIE
    assert seconds < 10


async def test_download_ignores_bytes_after_the_content_length(
    sessions: FileSessions, target: Path
) -> None:
    """A host announces 3000 bytes and sends more."""
    async with FileHost(Response(headers=full_response().headers, body=MOVIE + b"more")) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE


async def test_download_checks_the_signature_after_eight_bytes(
    sessions: FileSessions, target: Path
) -> None:
    """A host that sends single bytes is not rejected at the first one."""
    small = tiny_mp4("small", 200)
    async with FileHost(
        Response(headers=full_response(small).headers, body=small, byte_delay=1e-5)
    ) as host:
        content = await fetch(host, sessions, target)

    assert content == small


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (full_response(), f"The file is too large: {SIZE} bytes, more than the 2000 allowed."),
        (Response(body=MOVIE), "The file is too large: more than the 2000 bytes allowed."),
    ],
)
async def test_download_rejects_files_beyond_max_bytes(
    sessions: FileSessions, target: Path, response: Response, expected: str
) -> None:
    """With or without a length, it does not retry, since the file will not shrink."""
    limits = DownloadLimits(allow_private=True, retry=IMMEDIATE_RETRY, max_bytes=2000)
    async with FileHost(response) as host:
        message = await download_error(host, sessions, target, limits=limits)

    assert message == expected
    assert len(host.requests) == 1


@pytest.mark.parametrize("status", [400, 402, 405, 451, 204, 304, 501])
async def test_download_does_not_retry_final_statuses(
    sessions: FileSessions, target: Path, status: int
) -> None:
    """A retry cannot help."""
    async with FileHost(Response(status=status, headers={"Content-Length": "0"})) as host:
        message = await download_error(host, sessions, target)

    assert message == f"The host refused the file: 127.0.0.1 answered {status}."
    assert len(host.requests) == 1


PASSING = [202, 408, 423, 425, 429, 500, 502, 503, 504, 507, 509, *range(520, 531), 598, 599]


async def test_download_retries_passing_statuses(sessions: FileSessions, target: Path) -> None:
    """Failure mode 47: of gateways, of hosts that prepare the file, of full or busy ones."""
    script = [Response(status=status, headers={"Content-Length": "0"}) for status in PASSING]
    async with FileHost(*script) as host:
        content = await fetch(host, sessions, target)

    assert content == MOVIE
    assert host.failures == [
        f"Cannot download from 127.0.0.1: The host answered {status}." for status in PASSING
    ]


def soon() -> datetime:
    """Return until when a link of a task that has just finished is new."""
    return datetime.now(UTC) + timedelta(minutes=5)


@pytest.mark.looptime
@pytest.mark.parametrize("status", [403, 404])
async def test_new_link_is_retried_until_its_file_is_there(
    sessions: FileSessions, target: Path, status: int
) -> None:
    """Failure mode 48: the task succeeds seconds before its file is on the host."""
    script = [Response(status=status, headers={"Content-Length": "0"})] * 4
    limits = DownloadLimits(allow_private=True)
    async with FileHost(*script) as host:
        content = await fetch(host, sessions, target, limits=limits, new_until=soon())

    assert content == MOVIE
    reason = f"The file is not there yet: 127.0.0.1 answered {status}."
    assert host.failures == [f"Cannot download from 127.0.0.1: {reason}"] * 4


@pytest.mark.looptime
async def test_new_link_whose_file_stays_away_is_looked_up_once(
    sessions: FileSessions, target: Path
) -> None:
    """Failure mode 48: after ten seconds, since most files are there by then."""
    looked_up: list[float] = []

    async def refresh() -> str:
        looked_up.append(asyncio.get_running_loop().time())
        return f"{host.url}&renewed"

    def respond(request: Any) -> Response:
        missing = Response(status=404, headers={"Content-Length": "0"})
        return full_response() if "renewed" in request.line else missing

    limits = DownloadLimits(allow_private=True)
    async with FileHost(*[respond] * 99) as host:
        began = asyncio.get_running_loop().time()
        content = await fetch(
            host, sessions, target, limits=limits, new_until=soon(), refresh_url=refresh
        )

    assert content == MOVIE
    assert len(looked_up) == 1
    assert 10 <= looked_up[0] - began < 40


@pytest.mark.looptime
@pytest.mark.parametrize("broken", [False, True], ids=["no other link", "failed lookup"])
async def test_new_link_whose_file_never_comes_ends_with_the_retry_time(
    sessions: FileSessions, target: Path, broken: bool
) -> None:
    """Failure mode 48: it is not called expired, and a failed lookup does not end it."""

    async def refresh() -> None:
        if broken:
            raise ConfigurationError("No such API.")

    limits = DownloadLimits(allow_private=True, retry=Retry(timeout=60))
    async with FileHost(*[Response(status=404)] * 99) as host:
        work = download_error(
            host, sessions, target, limits=limits, new_until=soon(), refresh_url=refresh
        )
        message, seconds = await timed(work)

    assert message.startswith(
        "Cannot download from 127.0.0.1: The file is not there yet: 127.0.0.1 answered 404. Gave up"
    )
    assert 25 < seconds <= 60


async def test_age_of_a_link_is_counted_by_the_clock_of_the_host(
    sessions: FileSessions, target: Path
) -> None:
    """Failure mode 55: the clock of this machine may be wrong."""
    late = Response(status=404, headers={"Date": "Fri, 01 Jan 2100 00:00:00 GMT"})
    async with FileHost(late) as host:
        message = await download_error(host, sessions, target, new_until=soon())

    assert message.startswith("The link has expired or is wrong")


async def test_link_that_expires_in_the_middle_is_not_called_new(
    sessions: FileSessions, target: Path
) -> None:
    """The file was there, so the link has expired."""
    async with FileHost(full_response(truncate_at=1000), Response(status=404)) as host:
        message = await download_error(host, sessions, target, new_until=soon())

    assert message.startswith("The link has expired or is wrong")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_download_raises_expired_link_error(
    sessions: FileSessions, target: Path, status: int
) -> None:
    """A caller can then get a new link."""
    async with FileHost(*[Response(status=status)] * 2) as host:
        message = await download_error(host, sessions, target)
        with pytest.raises(ExpiredLinkError):
            await download(host, sessions).save(target)

    assert message.startswith("The link has expired or is wrong, or ")
    assert f"127.0.0.1 answered {status}." in message


async def test_download_resumes_with_a_refreshed_link(sessions: FileSessions, target: Path) -> None:
    """Failure mode 24: the new link continues the same file."""
    async with FileHost(full_response(truncate_at=1000), Response(status=410)) as host:

        async def refresh() -> str:
            return f"{host.url}&renewed"

        content = await fetch(host, sessions, target, refresh_url=refresh)

    assert content == MOVIE
    assert host.offsets == [0, 1000, 1000]
    assert [request.line.endswith("renewed HTTP/1.1") for request in host.requests] == [
        False,
        False,
        True,
    ]


async def test_download_refreshes_a_link_only_once(sessions: FileSessions, target: Path) -> None:
    """Otherwise dead links would be refreshed without end."""
    refreshed = []
    async with FileHost(*[Response(status=404)] * 3) as host:

        async def refresh() -> str:
            refreshed.append(True)
            return host.url

        await download_error(host, sessions, target, refresh_url=refresh)

    assert len(refreshed) == 1
    assert len(host.requests) == 2


async def test_download_reports_a_failed_refresh(sessions: FileSessions, target: Path) -> None:
    """The error names both reasons."""

    async def refresh() -> str:
        raise ConfigurationError("No such API.")

    async with FileHost(Response(status=403)) as host:
        message = await download_error(host, sessions, target, refresh_url=refresh)

    assert "The link has expired" in message
    assert message.endswith(" No new link was found: No such API.")


async def test_download_validates_a_refreshed_link(sessions: FileSessions, target: Path) -> None:
    """A link of the API opens no file of this machine."""

    async def refresh() -> str:
        return "file:///etc/passwd"

    async with FileHost(Response(status=403)) as host:
        message = await download_error(host, sessions, target, refresh_url=refresh)

    assert message == "The video's link is not an http(s) URL. Pass a Video or its whole URL."


@pytest.mark.looptime
async def test_download_outlasts_an_outage_of_minutes(sessions: FileSessions, target: Path) -> None:
    """5xx and 429 for four minutes: the delays grow up to a maximum."""
    clock = asyncio.get_running_loop().time

    def respond(request: Any) -> Response:
        if clock() - start > 240:
            return range_response(request)
        return Response(status=[503, 500, 429][len(host.delays) % 3])

    async with FileHost(*[respond] * 500) as host:
        start = clock()
        limits = DownloadLimits(allow_private=True, retry=Retry())
        content = await fetch(host, sessions, target, limits=limits)

    assert content == MOVIE
    assert 10 < len(host.delays) < 60
    assert max(host.delays) <= 30


@pytest.mark.looptime
async def test_download_gives_up_after_the_retry_timeout(
    sessions: FileSessions, target: Path
) -> None:
    """The error names the last response."""
    async with FileHost(*[Response(status=503)] * 500) as host:
        limits = DownloadLimits(allow_private=True, retry=Retry(timeout=100))
        message, seconds = await timed(download_error(host, sessions, target, limits=limits))

    assert message.startswith(
        "Cannot download from 127.0.0.1: The host answered 503. Gave up after "
    )
    assert 60 < seconds <= 100


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "77"}, 77), ({"Date": OLD, "Retry-After": http_date(1_000_055)}, 55)],
)
async def test_download_waits_for_retry_after(
    sessions: FileSessions, target: Path, headers: dict[str, str], seconds: float
) -> None:
    """The value, in seconds or as a date, is the minimum delay."""
    async with FileHost(Response(status=503, headers=headers)) as host:
        await fetch(host, sessions, target)

    assert host.delays == [seconds]


async def test_download_gives_up_if_retry_after_is_too_long(
    sessions: FileSessions, target: Path
) -> None:
    """A delay beyond the timeout is not waited for."""
    async with FileHost(Response(status=503, headers={"Retry-After": "3600"})) as host:
        message = await download_error(host, sessions, target)

    assert message == (
        "Cannot download from 127.0.0.1: The host answered 503. Gave up. Download again later."
    )


@pytest.mark.looptime
@pytest.mark.parametrize("size", [None, 0, 1000], ids=["no head", "no body", "half a body"])
async def test_download_retries_after_a_minute_without_a_byte(
    sessions: FileSessions, target: Path, size: int | None
) -> None:
    """The next attempt asks for the missing bytes only."""
    silent = Response(headers=full_response().headers, body=MOVIE, truncate_at=size, hang=1e6)
    async with FileHost(silent) as host:
        limits = DownloadLimits(allow_private=True)
        content, seconds = await timed(fetch(host, sessions, target, limits=limits))

    assert content == MOVIE
    assert host.failures == [
        f"Cannot download from 127.0.0.1: No {'response' if size is None else 'byte'} for 60 s."
    ]
    assert 60 <= seconds < 62
    assert host.offsets == [0, size or 0]


@pytest.mark.looptime
async def test_download_retries_if_the_throughput_is_too_low(
    sessions: FileSessions, target: Path
) -> None:
    """Single bytes would keep a download alive for years."""
    trickle = Response(headers=full_response().headers, body=MOVIE, byte_delay=10.0)
    async with FileHost(trickle) as host:
        limits = DownloadLimits(allow_private=True)
        content, seconds = await timed(fetch(host, sessions, target, limits=limits))

    assert content == MOVIE
    assert host.failures == ["Cannot download from 127.0.0.1: Fewer than 1024 bytes a second."]
    assert seconds < 75


@pytest.mark.looptime
async def test_download_retries_if_the_throughput_drops(
    sessions: FileSessions, target: Path
) -> None:
    """A fast beginning does not make up for a trickle after it."""

    class Slows(FileHost):
        async def _send(self, response: Response, offset: int, writer: Any) -> None:
            if len(self.requests) > 1:
                return await super()._send(response, offset, writer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + MOVIE[:1000])
            for byte in MOVIE[1000:]:
                await asyncio.sleep(5)
                writer.write(bytes([byte]))
            return None

    async with Slows() as host:
        limits = DownloadLimits(allow_private=True, read_timeout=10, min_bytes_per_second=10)
        content, seconds = await timed(fetch(host, sessions, target, limits=limits))

    assert content == MOVIE
    assert host.failures == ["Cannot download from 127.0.0.1: Fewer than 10 bytes a second."]
    assert 15 < seconds < 30


@pytest.mark.looptime
async def test_download_gives_up_if_the_throughput_stays_low(
    sessions: FileSessions, target: Path
) -> None:
    """A few more bytes with each attempt are not progress."""

    def trickle(request: Any) -> Response:
        response = range_response(request)
        return Response(
            status=response.status, headers=response.headers, body=response.body, byte_delay=10.0
        )

    async with FileHost(*[trickle] * 100) as host:
        limits = DownloadLimits(allow_private=True)
        message, seconds = await timed(download_error(host, sessions, target, limits=limits))

    assert message.startswith(
        "Cannot download from 127.0.0.1: Fewer than 1024 bytes a second. Gave up after "
    )
    assert seconds < 400


@pytest.mark.looptime
async def test_download_has_no_limit_for_its_whole_time(
    sessions: FileSessions, target: Path
) -> None:
    """A slow but steady host is accepted."""
    content = tiny_mp4("slow", 1000)
    slow = Response(headers=full_response(content).headers, body=content, byte_delay=1.0)
    async with FileHost(slow) as host:
        limits = DownloadLimits(allow_private=True, min_bytes_per_second=0.5)
        received, seconds = await timed(fetch(host, sessions, target, limits=limits))

    assert received == content
    assert seconds >= 999
    assert len(host.requests) == 1


@pytest.mark.looptime
async def test_download_resets_its_retries_after_progress(
    sessions: FileSessions, target: Path
) -> None:
    """A host that cuts a large file again and again ends no download that gets further."""
    content = tiny_mp4("large", 40 << 17)

    def piece(request: Any) -> Response:
        response = range_response(request, content)
        return Response(
            status=response.status,
            headers=response.headers,
            body=response.body,
            truncate_at=1 << 17,
        )

    async with FileHost(*[piece] * 40) as host:
        host.content = content
        limits = DownloadLimits(allow_private=True, retry=Retry(timeout=1.0))
        received = await fetch(host, sessions, target, limits=limits)

    assert received == content
    assert len(host.delays) == 39
    assert max(host.delays) <= 0.5


@pytest.mark.looptime
async def test_download_ends_if_the_host_breaks_at_changing_places(
    sessions: FileSessions, target: Path
) -> None:
    """Failure mode 46: without a validator, only growth beyond the best attempt is progress."""
    content = tiny_mp4("large", 1 << 20)
    places = [1 << 18, 1 << 15, 1 << 17, 100, 1 << 19, 1 << 16]

    def broken(_: Any) -> Response:
        headers = {"Content-Length": str(len(content))}
        place = places[len(host.requests) % len(places)]
        return Response(headers=headers, body=content, truncate_at=place, received=0)

    async with FileHost(*[broken] * 1000) as host:
        limits = DownloadLimits(allow_private=True, retry=Retry(timeout=2.0))
        message, seconds = await timed(download_error(host, sessions, target, limits=limits))

    assert "Gave up" in message
    assert seconds < 8
    assert len(host.requests) < 30


@pytest.mark.parametrize("error", [KeyError, OSError, TimeoutError, asyncio.CancelledError])
async def test_download_aborts_if_on_progress_raises(
    sessions: FileSessions, target: Path, error: type[BaseException]
) -> None:
    """The exception passes unchanged, even one like a network error; no file is left."""

    def on_progress(_: int, __: int | None) -> None:
        raise error

    async with FileHost() as host:
        with pytest.raises(error):
            await download(host, sessions, on_progress=on_progress).save(target)

    assert names_in(target.parent) == []
    assert len(host.requests) == 1


async def test_download_awaits_an_async_on_progress(sessions: FileSessions, target: Path) -> None:
    """The reports arrive in order, one at a time."""
    reports: list[int] = []

    async def on_progress(received: int, _: int | None) -> None:
        await asyncio.sleep(0)
        reports.append(received)

    async with FileHost() as host:
        await download(host, sessions, on_progress=on_progress).save(target)

    assert reports == sorted(reports)
    assert reports[-1] == target.stat().st_size


async def test_download_aborts_if_an_async_on_progress_raises(
    sessions: FileSessions, target: Path
) -> None:
    """As with a plain function, an exception of an async one aborts the download."""

    async def on_progress(_: int, __: int | None) -> None:
        raise KeyError

    async with FileHost() as host:
        with pytest.raises(KeyError):
            await download(host, sessions, on_progress=on_progress).save(target)

    assert names_in(target.parent) == []


async def test_download_reports_a_full_disk(sessions: FileSessions, target: Path) -> None:
    """Failure mode 23: without a retry, with what to do, and without keeping the part."""
    content = tiny_mp4("large", 2 << 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with FileHost(full_response(content)) as host:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            message = await download_error(host, sessions, target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert message.startswith(f"Cannot write {target}: File too large. Raise `ulimit -f`")
    assert len(host.requests) == 1


async def test_download_refuses_a_target_in_use(sessions: FileSessions, target: Path) -> None:
    """The first download continues."""
    async with FileHost(full_response(truncate_at=100)) as host:
        first = asyncio.create_task(download(host, sessions).save(target))
        await host.wait_for_progress(100)
        with pytest.raises(DownloadError, match="Another download is writing the same file"):
            await download(host, sessions).save(target)
        await first

    assert target.read_bytes() == MOVIE


@pytest.mark.parametrize(
    "response",
    [
        Response(headers=full_response().headers, body=MOVIE, truncate_at=100, hang=100),
        Response(hang=100),
        Response(status=503, headers={"Retry-After": "100"}),
    ],
    ids=["body", "head", "pause"],
)
async def test_download_ends_when_the_sessions_are_closed(
    sessions: FileSessions, target: Path, response: Response
) -> None:
    """At any point, with one clear sentence; later downloads do not start."""
    waits = asyncio.Event()
    async with FileHost(response) as host:
        settings = {
            "limits": DownloadLimits(allow_private=True),
            "on_retry": lambda _, __: waits.set(),
        }
        task = asyncio.create_task(download(host, sessions, **settings).save(target))
        await host.wait_for_requests()
        if response.truncate_at:
            await host.wait_for_progress(response.truncate_at)
        if response.status == 503:
            await waits.wait()
        await sessions.aclose()
        with pytest.raises(ConfigurationError, match="This client is closed"):
            await task
        with pytest.raises(ConfigurationError, match="This client is closed"):
            await download(host, sessions).save(target)

    assert names_in(target.parent) == []


async def test_sessions_refuse_another_loop(sessions: FileSessions, target: Path) -> None:
    """An error is raised instead of a hang."""

    def elsewhere() -> None:
        with pytest.raises(ConfigurationError, match="belongs to another event loop"):
            asyncio.run(download(host, sessions).save(target))

    async with FileHost() as host:
        await fetch(host, sessions, target)
        await asyncio.to_thread(elsewhere)


OF_THE_HOST = {"FileHost._handle_connection", "BaseSelectorEventLoop._accept_connection2"}


async def test_download_cancelled_anywhere_leaves_nothing(target: Path) -> None:
    """Failure mode 40: cancelled at its k-th suspension, for every k: no task, socket or file."""
    script = [
        Response(status=302, headers={"Location": "/there", "Content-Length": "0"}),
        full_response(truncate_at=1000),
        Response(status=503, headers={"Content-Length": "0"}),
    ]
    await asyncio.to_thread(lambda: None)
    ends: set[str] = set()
    for k in range(200):
        before = open_files()
        async with FileHost(*script) as host, file_sessions() as sessions:
            tasks = asyncio.all_tasks()
            task = asyncio.create_task(download(host, sessions).save(target))
            outcome = await _cancelled_at(task, k)
            left = {t.get_coro().__qualname__ for t in asyncio.all_tasks() - tasks}

        assert left <= OF_THE_HOST, k
        assert await open_files_after_close(before) == before, k
        assert names_in(target.parent) in ([], ["movie.mp4"]), k
        ends.add(outcome)
        if outcome == "done":
            break
        if target.exists():
            assert target.read_bytes() == MOVIE
            target.unlink()

    assert ends == {"cancelled", "done"}
    assert k > 10


async def _cancelled_at(task: asyncio.Task[Path], k: int) -> str:
    """Cancel after the task was woken `k` times, as the future that it waits for shows."""
    seen: object = None
    while not task.done():
        waiter = task._fut_waiter  # type: ignore[attr-defined]
        if waiter is not None and waiter is not seen:
            seen, k = waiter, k - 1
            if k < 0:
                task.cancel()
                break
        await asyncio.sleep(0)
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"
    return "done"


async def test_download_uses_a_few_chunks_of_memory(sessions: FileSessions, target: Path) -> None:
    """A large file needs no more memory than a small one."""
    content = tiny_mp4("large", 24 << 20)
    async with FileHost(full_response(content)) as host:
        tracemalloc.start()
        try:
            await download(host, sessions, on_progress=None).save(target)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert target.stat().st_size == len(content)
    assert peak < 4 << 20


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("seconds", "attempts"), [(11, ""), (6, " after 2 attempts in a row")], ids=["one", "two"]
)
async def test_download_says_after_how_many_attempts_it_gave_up(
    sessions: FileSessions, target: Path, seconds: int, attempts: str
) -> None:
    """A single attempt is not counted in the error."""
    headers = {"Content-Length": "0", "Retry-After": str(seconds)}
    limits = DownloadLimits(allow_private=True, retry=Retry(timeout=10))
    async with FileHost(*[Response(status=503, headers=headers)] * 2) as host:
        message = await download_error(host, sessions, target, limits=limits)

    assert message.endswith(f"answered 503. Gave up{attempts}. Download again later.")


async def test_download_refuses_an_impossible_target_before_a_request(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """No byte is fetched that cannot be written."""
    async with FileHost() as host:
        with pytest.raises(DownloadError, match=r"Use a shorter name\.$"):
            await download(host, sessions).save(tmp_path / f"{'x' * 300}.mp4")

    assert host.requests == []
