"""One file, whole or not at all, from hosts of every kind (rows 21 and 23 to 26)."""
# ruff: noqa: ASYNC240 - one loop with nothing else to do may wait for a small file

from __future__ import annotations

import asyncio
import gzip
import resource
import tracemalloc
from collections.abc import AsyncIterator
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
)

OTHER = tiny_mp4("another movie", 3000)
SIZE = len(MOVIE)
TAG = etag(MOVIE)


@pytest.fixture
async def sessions() -> AsyncIterator[FileSessions]:
    async with file_sessions() as opened:
        yield opened


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "movie.mp4"


async def fetched(host: FileHost, sessions: FileSessions, to: Path, **changes: Any) -> bytes:
    """The file as it was saved; nothing else may be beside it."""
    path = await download(host, sessions, **changes).save(to)

    assert path == to
    assert names_in(to.parent) == [to.name]
    return to.read_bytes()


async def refused(host: FileHost, sessions: FileSessions, to: Path, **changes: Any) -> str:
    """Why there is no file; the older one must still be there, and nothing else."""
    to.write_bytes(b"old")
    with pytest.raises(DownloadError) as caught:
        await download(host, sessions, **changes).save(to)

    assert to.read_bytes() == b"old"
    assert names_in(to.parent) == [to.name]
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def ranges(host: FileHost) -> list[tuple[str | None, str | None]]:
    return [(asked.headers.get("range"), asked.headers.get("if-range")) for asked in host.requests]


async def test_a_file_is_fetched_in_one_go(sessions: FileSessions, to: Path) -> None:
    """Without a range, unpacked, and with progress up to the last byte."""
    async with FileHost() as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert ranges(host) == [(None, None)]
    assert host.progress_reports[-1] == (SIZE, SIZE)
    assert host.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("cut", [1, 7, 8, 9, 1500, SIZE - 1])
async def test_a_cut_file_is_continued(
    sessions: FileSessions, to: Path, cut: int, reset: bool
) -> None:
    """With the range that is missing, on the condition that the file is still the same."""
    broken = Response(headers=full_response().headers, body=MOVIE, truncate_at=cut, reset=reset)
    async with FileHost(broken) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert ranges(host) == [(None, None), (f"bytes={cut}-", TAG)]
    assert host.progress_reports[-1] == (SIZE, SIZE)


async def test_a_file_may_be_cut_many_times(sessions: FileSessions, to: Path) -> None:
    """Each piece is kept, and the progress never goes back."""

    def piece(asked: Any) -> Response:
        says = range_response(asked)
        return Response(status=says.status, headers=says.headers, body=says.body, truncate_at=300)

    async with FileHost(*[piece] * 9) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == list(range(0, SIZE, 300))
    assert host.progress_reports == sorted(host.progress_reports)


async def test_a_host_may_give_less_than_was_asked_for(sessions: FileSessions, to: Path) -> None:
    """A 206 that ends early, as some hosts answer by design, is simply continued."""
    span = {"ETag": TAG, "Content-Range": f"bytes 100-199/{SIZE}", "Content-Length": "100"}
    async with FileHost(
        full_response(truncate_at=100), Response(status=206, headers=span, body=MOVIE[100:200])
    ) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 100, 200]


async def test_a_host_without_ranges_sends_all_of_it_again(
    sessions: FileSessions, to: Path
) -> None:
    """Row 25, 200 where 206 was asked for: the progress goes back, and for that reason only."""
    async with FileHost(full_response(truncate_at=2000), lambda _: full_response()) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 2000]


async def test_a_changed_file_is_fetched_anew(sessions: FileSessions, to: Path) -> None:
    """Row 25: the host sees by If-Range that ours is the beginning of another one."""
    async with FileHost(full_response(truncate_at=1000)) as host:
        host.content = OTHER
        content = await fetched(host, sessions, to)

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
async def test_a_range_that_lies_is_not_believed(
    sessions: FileSessions, to: Path, headers: dict[str, str]
) -> None:
    """A 206 that does not go on exactly where ours ends, in the same file: all of it anew."""
    body = OTHER[1000:]
    lie = Response(status=206, headers=headers | {"Content-Length": str(len(body))}, body=body)
    async with FileHost(full_response(truncate_at=1000), lie) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 1000, 0]


async def test_a_range_that_nobody_asked_for_is_not_taken(sessions: FileSessions, to: Path) -> None:
    """Neither the beginning nor the end of a file is the file."""
    span = {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}", "Content-Length": str(SIZE)}
    async with FileHost(Response(status=206, headers=span, body=MOVIE)) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 0]


async def test_a_range_without_the_whole_size_is_enough(sessions: FileSessions, to: Path) -> None:
    """`bytes 1000-2999/*` continues a file whose size the first answer told."""
    span = {"Content-Range": f"bytes 1000-{SIZE - 1}/*", "Content-Length": str(SIZE - 1000)}
    async with FileHost(
        full_response(truncate_at=1000), Response(status=206, headers=span, body=MOVIE[1000:])
    ) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 1000]


@pytest.mark.parametrize("span", [{"Content-Range": f"bytes */{SIZE}"}, {}])
async def test_nothing_left_to_send_means_whole(
    sessions: FileSessions, to: Path, span: dict[str, str]
) -> None:
    """Row 25: 416 after a break behind the last byte, with or without the size it is about."""
    length = {"Content-Range": f"bytes 100-{SIZE - 1}/{SIZE}", "ETag": TAG}
    unended = Response(
        status=206,
        headers=length | {"Transfer-Encoding": "chunked"},
        body=chunked(MOVIE[100:])[:-5],
        truncate_at=len(chunked(MOVIE[100:])) - 5,
        received=SIZE,
    )
    async with FileHost(
        full_response(truncate_at=100), unended, Response(status=416, headers=span)
    ) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 100, SIZE]


async def test_a_shorter_file_than_ours_is_another_one(sessions: FileSessions, to: Path) -> None:
    """Row 25: 416 where bytes should be missing is fetched anew."""
    gone = Response(status=416, headers={"Content-Range": "bytes */500", "Content-Length": "0"})
    async with FileHost(full_response(truncate_at=1000), gone) as host:
        content = await fetched(host, sessions, to)

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
async def test_only_what_tells_versions_apart_joins_them(
    sessions: FileSessions, to: Path, headers: dict[str, str], validator: str | None
) -> None:
    """A strong tag or a strong date, as RFC 9110 has it; without one the file starts anew."""
    first = full_response(truncate_at=1000, **headers)

    def second(asked: Any) -> Response:
        if asked.headers.get("if-range") is None:
            return full_response()
        span = f"bytes 1000-{SIZE - 1}/{SIZE}"
        return Response(status=206, headers={"Content-Range": span}, body=MOVIE[1000:])

    async with FileHost(first, second) as host:
        content = await fetched(host, sessions, to)

    expected = (f"bytes={1000}-", validator) if validator else (None, None)
    assert content == MOVIE
    assert ranges(host) == [(None, None), expected]


async def test_a_file_without_a_length_is_whole_at_its_end(
    sessions: FileSessions, to: Path
) -> None:
    """In chunked coding, or up to the end of the connection."""
    by_chunks = Response(
        headers={"Transfer-Encoding": "chunked"}, body=chunked(MOVIE[:99], MOVIE[99:])
    )
    async with FileHost(by_chunks, Response(body=MOVIE)) as host:
        first = await fetched(host, sessions, to)
        second = await fetched(host, sessions, to)

    assert first == second == MOVIE
    assert {total for _, total in host.progress_reports} == {None}


@pytest.mark.parametrize("size", [28, 144, 500])
async def test_a_file_without_a_length_that_was_cut_is_noticed(
    sessions: FileSessions, to: Path, size: int
) -> None:
    """Row 26, by its boxes: after the first, after the second, within the last."""
    async with FileHost(*[Response(body=MOVIE[:size])] * 4) as host:
        why = await refused(host, sessions, to)

    assert why.endswith(": The MP4 is cut short. Gave up after 4 attempts in a row.")
    assert host.offsets == [0, 0, 0, 0]


async def test_a_cut_in_the_chunks_is_noticed(sessions: FileSessions, to: Path) -> None:
    """And continued where it can be."""
    broken = Response(
        headers={"Transfer-Encoding": "chunked", "ETag": TAG},
        body=chunked(MOVIE[:500], MOVIE[500:]),
        truncate_at=len(chunked(MOVIE[:500])) - 5,
        received=500,
    )
    async with FileHost(broken) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 500]


NO_MP4 = b"<!doctype html><title>Sorry</title>"


@pytest.mark.parametrize(
    ("says", "why"),
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
            Response(headers={"Content-Encoding": "br"}, body=MOVIE),
            "The host sent the file in an encoding: br",
        ),
        (full_response(MOVIE[:-1]), "The MP4 is cut short"),
    ],
    ids="html untyped hostile text empty nothing gzip brotli short".split(),
)
async def test_what_is_no_mp4_is_not_kept(
    sessions: FileSessions, to: Path, says: Response, why: str
) -> None:
    """Row 26: three more tries, then one sentence; the older file stays."""
    async with FileHost(*[says] * 4) as host:
        problem = await refused(host, sessions, to)

    assert problem == f"Cannot download from 127.0.0.1: {why}. Gave up after 4 attempts in a row."


async def test_a_wrong_answer_may_be_followed_by_the_right_one(
    sessions: FileSessions, to: Path
) -> None:
    """Some hosts say 200 to an error page, and know better a moment later."""
    page = Response(body=NO_MP4)
    async with FileHost(
        page, full_response(MOVIE[:-1]), Response(headers={"Content-Length": "0"})
    ) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE


async def test_a_continued_file_that_grows_too_long_is_fetched_anew(
    sessions: FileSessions, to: Path
) -> None:
    """Row 26, more than the host had announced: what came before is not to be trusted either."""
    span = {"Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE}", "Transfer-Encoding": "chunked"}
    too_long = Response(status=206, headers=span, body=chunked(MOVIE[1000:], b"more"))
    async with FileHost(full_response(truncate_at=1000), too_long) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE
    assert host.offsets == [0, 1000, 0]


@pytest.mark.looptime
async def test_a_body_without_an_end_is_left_at_the_announced_one(
    sessions: FileSessions, to: Path
) -> None:
    """At the first byte too many, without waiting for more."""
    clock = asyncio.get_running_loop().time
    span = {"Content-Range": f"bytes 1000-{SIZE - 1}/{SIZE}", "Transfer-Encoding": "chunked"}
    body = chunked(MOVIE[1000:], b"more")[:-5]
    endless = Response(
        status=206, headers=span, body=body, truncate_at=len(body), received=0, hang=1e6
    )
    async with FileHost(full_response(truncate_at=1000), endless) as host:
        start = clock()
        content = await fetched(host, sessions, to)
        spent = clock() - start

    assert content == MOVIE
    assert spent < 10


async def test_what_follows_the_announced_length_is_not_the_file(
    sessions: FileSessions, to: Path
) -> None:
    """A host that says 3000 bytes and sends more."""
    async with FileHost(Response(headers=full_response().headers, body=MOVIE + b"more")) as host:
        content = await fetched(host, sessions, to)

    assert content == MOVIE


async def test_a_trickling_beginning_is_no_wrong_file(sessions: FileSessions, to: Path) -> None:
    """The first bytes are judged once there are enough of them."""
    small = tiny_mp4("small", 200)
    async with FileHost(
        Response(headers=full_response(small).headers, body=small, byte_delay=1e-5)
    ) as host:
        content = await fetched(host, sessions, to)

    assert content == small


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (full_response(), f"The file is too large: {SIZE} bytes, more than the 2000 allowed."),
        (Response(body=MOVIE), "The file is too large: more than the 2000 bytes allowed."),
    ],
)
async def test_a_file_beyond_the_cap_is_not_kept(
    sessions: FileSessions, to: Path, says: Response, why: str
) -> None:
    """Whether the host told its length or not; at once, since it will not shrink."""
    rules = DownloadLimits(allow_private=True, retry=IMMEDIATE_RETRY, max_bytes=2000)
    async with FileHost(says) as host:
        problem = await refused(host, sessions, to, limits=rules)

    assert problem == why
    assert len(host.requests) == 1


@pytest.mark.parametrize("status", [400, 402, 405, 451, 204, 304, 501])
async def test_an_answer_that_stays_ends_the_download(
    sessions: FileSessions, to: Path, status: int
) -> None:
    """No second try where it cannot help."""
    async with FileHost(Response(status=status, headers={"Content-Length": "0"})) as host:
        why = await refused(host, sessions, to)

    assert why == f"The host refused the file: 127.0.0.1 answered {status}."
    assert len(host.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_expired_link_without_another_is_told(
    sessions: FileSessions, to: Path, status: int
) -> None:
    """As what it is, so that a caller can get a new one."""
    async with FileHost(*[Response(status=status)] * 2) as host:
        why = await refused(host, sessions, to)
        with pytest.raises(ExpiredLinkError):
            await download(host, sessions).save(to)

    assert why.startswith("The link has expired or is wrong, or ")
    assert f"127.0.0.1 answered {status}." in why


async def test_an_expired_link_is_renewed_in_the_middle_of_a_file(
    sessions: FileSessions, to: Path
) -> None:
    """Row 24: the new link goes on where the old one ended, if it is the same file."""
    async with FileHost(full_response(truncate_at=1000), Response(status=410)) as host:

        async def renew() -> str:
            return f"{host.url}&renewed"

        content = await fetched(host, sessions, to, refresh_url=renew)

    assert content == MOVIE
    assert host.offsets == [0, 1000, 1000]
    assert [asked.line.endswith("renewed HTTP/1.1") for asked in host.requests] == [
        False,
        False,
        True,
    ]


async def test_a_link_is_renewed_once(sessions: FileSessions, to: Path) -> None:
    """Not for ever, where every link is dead."""
    renewed = []
    async with FileHost(*[Response(status=404)] * 3) as host:

        async def renew() -> str:
            renewed.append(True)
            return host.url

        await refused(host, sessions, to, refresh_url=renew)

    assert len(renewed) == 1
    assert len(host.requests) == 2


async def test_a_renewal_that_fails_is_a_failed_download(sessions: FileSessions, to: Path) -> None:
    """Both reasons are told."""

    async def renew() -> str:
        raise ConfigurationError("No such API.")

    async with FileHost(Response(status=403)) as host:
        why = await refused(host, sessions, to, refresh_url=renew)

    assert "The link has expired" in why
    assert why.endswith(" No new link was found: No such API.")


async def test_a_renewed_link_is_checked_like_any_other(sessions: FileSessions, to: Path) -> None:
    """The API's word opens no file of this machine."""

    async def renew() -> str:
        return "file:///etc/passwd"

    async with FileHost(Response(status=403)) as host:
        why = await refused(host, sessions, to, refresh_url=renew)

    assert why == "The video's link is not an http(s) URL. Pass a Video or its whole URL."


@pytest.mark.looptime
async def test_a_host_may_be_down_for_minutes(sessions: FileSessions, to: Path) -> None:
    """5xx and 429 for four minutes: waits that grow up to a cap, and then the file."""
    clock = asyncio.get_running_loop().time
    waited: list[float] = []

    def answer(asked: Any) -> Response:
        up = clock() - start > 240
        return range_response(asked) if up else Response(status=[503, 500, 429][len(waited) % 3])

    async with FileHost(*[answer] * 500) as host:
        start = clock()
        rules = DownloadLimits(allow_private=True, retry=Retry())
        content = await fetched(
            host, sessions, to, limits=rules, on_retry=lambda _, seconds: waited.append(seconds)
        )

    assert content == MOVIE
    assert 10 < len(waited) < 60
    assert max(waited) <= 30


@pytest.mark.looptime
async def test_a_host_that_stays_down_is_given_up(sessions: FileSessions, to: Path) -> None:
    """After the budget of `Retry`, saying what it answered last."""
    clock = asyncio.get_running_loop().time
    async with FileHost(*[Response(status=503)] * 500) as host:
        start = clock()
        why = await refused(
            host, sessions, to, limits=DownloadLimits(allow_private=True, retry=Retry(timeout=100))
        )
        spent = clock() - start

    assert why.startswith("Cannot download from 127.0.0.1: The host answered 503. Gave up after ")
    assert 60 < spent <= 100


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "77"}, 77), ({"Date": OLD, "Retry-After": http_date(1_000_055)}, 55)],
)
async def test_a_host_may_say_when_to_come_back(
    sessions: FileSessions, to: Path, headers: dict[str, str], seconds: float
) -> None:
    """`Retry-After` in seconds or as a date is the least that is waited."""
    waited: list[float] = []
    async with FileHost(Response(status=503, headers=headers)) as host:
        await fetched(host, sessions, to, on_retry=lambda _, wait: waited.append(wait))

    assert waited == [seconds]


async def test_a_host_that_wants_too_much_patience_is_given_up(
    sessions: FileSessions, to: Path
) -> None:
    """Beyond the budget there is nothing to wait for."""
    async with FileHost(Response(status=503, headers={"Retry-After": "3600"})) as host:
        why = await refused(host, sessions, to)

    assert why == "Cannot download from 127.0.0.1: The host answered 503. Gave up."


@pytest.mark.looptime
@pytest.mark.parametrize("cut", [None, 0, 1000], ids=["no head", "no body", "half a body"])
async def test_a_silent_host_is_left_after_a_minute(
    sessions: FileSessions, to: Path, cut: int | None
) -> None:
    """And asked again, for what is missing."""
    clock = asyncio.get_running_loop().time
    silent = Response(headers=full_response().headers, body=MOVIE, truncate_at=cut, hang=1e6)
    failures: list[str] = []
    async with FileHost(silent) as host:
        start = clock()
        rules = DownloadLimits(allow_private=True)
        content = await fetched(
            host, sessions, to, limits=rules, on_retry=lambda e, _: failures.append(str(e))
        )
        spent = clock() - start

    assert content == MOVIE
    assert failures == [
        f"Cannot download from 127.0.0.1: No {'answer' if cut is None else 'byte'} for 60 s."
    ]
    assert 60 <= spent < 62
    assert host.offsets == [0, cut or 0]


@pytest.mark.looptime
async def test_a_trickle_is_no_stream(sessions: FileSessions, to: Path) -> None:
    """A byte now and then would keep a download alive for years."""
    clock = asyncio.get_running_loop().time
    trickle = Response(headers=full_response().headers, body=MOVIE, byte_delay=10.0)
    failures: list[str] = []
    async with FileHost(trickle) as host:
        start = clock()
        rules = DownloadLimits(allow_private=True)
        content = await fetched(
            host, sessions, to, limits=rules, on_retry=lambda e, _: failures.append(str(e))
        )
        spent = clock() - start

    assert content == MOVIE
    assert failures == ["Cannot download from 127.0.0.1: Fewer than 1024 bytes a second."]
    assert spent < 75


@pytest.mark.looptime
async def test_a_host_that_only_trickles_is_given_up(sessions: FileSessions, to: Path) -> None:
    """A little more with each try is not enough to go on for ever."""
    clock = asyncio.get_running_loop().time

    def trickle(asked: Any) -> Response:
        says = range_response(asked)
        return Response(status=says.status, headers=says.headers, body=says.body, byte_delay=10.0)

    async with FileHost(*[trickle] * 100) as host:
        start = clock()
        why = await refused(host, sessions, to, limits=DownloadLimits(allow_private=True))
        spent = clock() - start

    assert why.startswith(
        "Cannot download from 127.0.0.1: Fewer than 1024 bytes a second. Gave up after "
    )
    assert spent < 400


@pytest.mark.looptime
async def test_a_slow_but_steady_host_is_fine(sessions: FileSessions, to: Path) -> None:
    """No limit of time for the whole file."""
    clock = asyncio.get_running_loop().time
    content = tiny_mp4("slow", 1000)
    slow = Response(headers=full_response(content).headers, body=content, byte_delay=1.0)
    async with FileHost(slow) as host:
        start = clock()
        rules = DownloadLimits(allow_private=True, min_bytes_per_second=0.5)
        got = await fetched(host, sessions, to, limits=rules)
        spent = clock() - start

    assert got == content
    assert spent >= 999
    assert len(host.requests) == 1


@pytest.mark.looptime
async def test_a_file_that_grows_regains_its_patience(sessions: FileSessions, to: Path) -> None:
    """A host that cuts a large file again and again ends no download that gets further."""
    content = tiny_mp4("large", 40 << 17)

    def piece(asked: Any) -> Response:
        says = range_response(asked, content)
        return Response(
            status=says.status, headers=says.headers, body=says.body, truncate_at=1 << 17
        )

    failures: list[float] = []
    async with FileHost(*[piece] * 40) as host:
        host.content = content
        rules = DownloadLimits(allow_private=True, retry=Retry(timeout=1.0))
        got = await fetched(
            host, sessions, to, limits=rules, on_retry=lambda _, wait: failures.append(wait)
        )

    assert got == content
    assert len(failures) == 39
    assert max(failures) <= 0.5


@pytest.mark.parametrize("error", [KeyError, OSError, TimeoutError, asyncio.CancelledError])
async def test_what_on_progress_raises_ends_the_download(
    sessions: FileSessions, to: Path, error: type[BaseException]
) -> None:
    """As it is, also where it looks like trouble of the network; nothing is left."""

    def tell(_: int, __: int | None) -> None:
        raise error

    async with FileHost() as host:
        with pytest.raises(error):
            await download(host, sessions, on_progress=tell).save(to)

    assert names_in(to.parent) == []
    assert len(host.requests) == 1


async def test_a_full_disk_ends_the_download(sessions: FileSessions, to: Path) -> None:
    """Row 23: at once, saying what to do, and giving back the room that was taken."""
    content = tiny_mp4("large", 2 << 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with FileHost(full_response(content)) as host:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            why = await refused(host, sessions, to)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert why.startswith(f"Cannot write {to}: File too large. Raise `ulimit -f`")
    assert len(host.requests) == 1


async def test_two_downloads_of_one_target_are_told_apart(sessions: FileSessions, to: Path) -> None:
    """The second is refused at once; the first goes on."""
    async with FileHost(full_response(truncate_at=100)) as host:
        first = asyncio.create_task(download(host, sessions).save(to))
        await host.wait_for_progress(100)
        with pytest.raises(DownloadError, match="Another download is writing the same file"):
            await download(host, sessions).save(to)
        await first

    assert to.read_bytes() == MOVIE


@pytest.mark.parametrize(
    "says",
    [
        Response(headers=full_response().headers, body=MOVIE, truncate_at=100, hang=100),
        Response(hang=100),
        Response(status=503, headers={"Retry-After": "100"}),
    ],
    ids=["body", "head", "pause"],
)
async def test_a_closed_client_ends_its_downloads_at_once(
    sessions: FileSessions, to: Path, says: Response
) -> None:
    """Wherever they are, with one clear sentence; later ones do not start."""
    waits = asyncio.Event()
    async with FileHost(says) as host:
        given = {
            "limits": DownloadLimits(allow_private=True),
            "on_retry": lambda _, __: waits.set(),
        }
        task = asyncio.create_task(download(host, sessions, **given).save(to))
        await host.wait_for_requests()
        if says.truncate_at:
            await host.wait_for_progress(says.truncate_at)
        if says.status == 503:
            await waits.wait()
        await sessions.aclose()
        with pytest.raises(ConfigurationError, match="This client is closed"):
            await task
        with pytest.raises(ConfigurationError, match="This client is closed"):
            await download(host, sessions).save(to)

    assert names_in(to.parent) == []


async def test_sessions_belong_to_one_loop(sessions: FileSessions, to: Path) -> None:
    """Told in one sentence rather than by a hang."""

    def elsewhere() -> None:
        with pytest.raises(ConfigurationError, match="belongs to another event loop"):
            asyncio.run(download(host, sessions).save(to))

    async with FileHost() as host:
        await fetched(host, sessions, to)
        await asyncio.to_thread(elsewhere)


OF_THE_HOST = {"FileHost._handle_connection", "BaseSelectorEventLoop._accept_connection2"}


async def test_a_cancel_anywhere_leaves_nothing(to: Path) -> None:
    """Row 40: cancelled at its k-th suspension for every k: no task, no socket, no file."""
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
            task = asyncio.create_task(download(host, sessions).save(to))
            outcome = await _cancelled_at(task, k)
            left = {t.get_coro().__qualname__ for t in asyncio.all_tasks() - tasks}

        assert left <= OF_THE_HOST, k
        assert await open_files_after_close(before) == before, k
        assert names_in(to.parent) in ([], ["movie.mp4"]), k
        ends.add(outcome)
        if outcome == "done":
            break
        if to.exists():
            assert to.read_bytes() == MOVIE
            to.unlink()

    assert ends == {"cancelled", "done"}
    assert k > 10


async def _cancelled_at(task: asyncio.Task[Path], k: int) -> str:
    """Cancel when the task has been woken `k` times, as seen by what it waits for."""
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


async def test_memory_stays_flat(sessions: FileSessions, to: Path) -> None:
    """A large file needs no more of it than a small one: a few chunks."""
    content = tiny_mp4("large", 24 << 20)
    async with FileHost(full_response(content)) as host:
        tracemalloc.start()
        try:
            await download(host, sessions, on_progress=None).save(to)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert to.stat().st_size == len(content)
    assert peak < 4 << 20
