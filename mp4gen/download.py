"""One file, whole or not at all: fetched with resumed tries, checked, then put in its place.

It neither knows the API nor its key: the session that it is given carries neither key nor cookies.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import attrs

from .addresses import is_public
from .errors import DownloadError
from .models import Retry
from .part_file import PartFile, part_file
from .retry import waits
from .transport import USER_AGENT, describe

Progress = Callable[[int, int | None], object]
Renew = Callable[[], Awaitable[str | None]]

_CHUNK = 1 << 18
_MAX_REDIRECTS = 3
_MAX_BROKEN = 3
_EXPIRED = frozenset({401, 403, 404, 410})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class ExpiredLinkError(DownloadError):
    """The host does not have the file under this link (any more); a newer link may work."""


class _BrokenError(Exception):
    """A try that ended early or brought the wrong bytes; the next one may do better."""


@attrs.frozen
class Rules:
    """What a download may do.

    Attributes:
        private: whether files on loopback and private addresses may be fetched.
        max_bytes: the largest file.
        retry: waits between tries.
        stall: seconds without a single byte until a try is given up.
        proxy: an http:// proxy, or None.
    """

    private: bool = False
    max_bytes: int = 8 << 30
    retry: Retry = attrs.field(factory=Retry)
    stall: float = 60.0
    proxy: str | None = None


def open_session(*, private: bool, trust_env: bool = False) -> aiohttp.ClientSession:
    """A session for files: no key, no cookies, no inflating, and no way into a private network."""
    connector = aiohttp.TCPConnector(socket_factory=None if private else _public_socket)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=trust_env,
    )


def _public_socket(info: Any) -> socket.socket:
    """A socket for an address that was resolved, and is about to be connected to."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise OSError(errno.EACCES, f"the private address {address[0]}")
    return socket.socket(family, kind, protocol)


@attrs.define
class Download:
    """One file on its way.

    Attributes:
        session: from `open_session`.
        url: where it is; http or https.
        rules: what is allowed.
        random: jitter of the waits between tries.
        on_progress: told the bytes so far and the bytes in all, or None where unknown.
        renew: gives one fresh link, or None, when the first has expired.
    """

    session: aiohttp.ClientSession
    url: str
    rules: Rules
    random: Random
    on_progress: Progress | None = None
    renew: Renew | None = None

    async def to(self, path: Path) -> Path:
        """Fetch the file into `path`, which is replaced only by a whole MP4.

        Raises:
            DownloadError: nothing was written to `path`; says why.
        """
        check_url(self.url, private=self.rules.private)
        with part_file(path) as part:
            await self._fill(part)
            await part.commit()
        return path

    async def _fill(self, part: PartFile) -> None:
        pauses = waits(self.rules.retry, self.random)
        broken = 0
        while True:
            before = part.done
            try:
                return await self._try(part)
            except ExpiredLinkError:
                if not await self._renewed():
                    raise
            except _BrokenError as error:
                # A try that got further is no reason to lose heart.
                broken = 1 if part.done > before else broken + 1
                if broken > _MAX_BROKEN:
                    problem = f"{self._host}: {error}; gave up after {broken} tries"
                    raise DownloadError(problem) from None
                await asyncio.sleep(next(pauses))

    async def _renewed(self) -> bool:
        fresh = await self.renew() if self.renew else None
        self.renew = None
        if fresh:
            check_url(fresh, private=self.rules.private)
            self.url = fresh
        return bool(fresh)

    async def _try(self, part: PartFile) -> None:
        try:
            await self._request(self.url, part, redirects=_MAX_REDIRECTS)
        except TimeoutError:
            raise _BrokenError(f"no byte for {self.rules.stall:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            if getattr(error, "errno", None) == errno.EACCES:
                raise DownloadError(
                    f"{self._host} leads to a private address; not fetched"
                ) from None
            raise _BrokenError(describe(error)) from None
        if problem := part.problem():
            # What is short can be continued; what is wrong in any other way cannot.
            if part.total is None or part.done >= part.total:
                part.restart()
            raise _BrokenError(problem)

    async def _request(self, url: str, part: PartFile, redirects: int) -> None:
        limits = aiohttp.ClientTimeout(sock_connect=30, sock_read=self.rules.stall)
        async with self.session.get(
            url,
            headers=_headers(part),
            allow_redirects=False,
            timeout=limits,
            proxy=self.rules.proxy,
        ) as response:
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or not location:
                return await self._receive(response, part)
        if not redirects:
            raise DownloadError(f"{self._host} redirects more than {_MAX_REDIRECTS} times")
        return await self._request(self._redirected(url, location), part, redirects - 1)

    def _redirected(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        check_url(target, private=self.rules.private)
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise DownloadError(f"{self._host} redirects from https to an unsafe address")
        return target

    async def _receive(self, response: aiohttp.ClientResponse, part: PartFile) -> None:
        if not _accept(response, part):
            return
        most = self.rules.max_bytes
        if (part.total or 0) > most:
            raise DownloadError(f"the file has {part.total} bytes, more than the {most} allowed")
        async for chunk in response.content.iter_chunked(_CHUNK):
            if part.done == 0 and chunk[4:8] != b"ftyp":
                raise _BrokenError(f"the host sent {response.content_type} instead of an MP4")
            part.write(chunk)
            if part.done > most:
                raise DownloadError(f"the file has more than the {most} bytes allowed")
            if self.on_progress:
                self.on_progress(part.done, part.total)

    @property
    def _host(self) -> str:
        return urlsplit(self.url).hostname or "the host"


def check_url(url: str, *, private: bool) -> None:
    """Refuse what is not an http(s) address, or is a private one by its very text.

    Raises:
        DownloadError: says which.
    """
    try:
        parts = urlsplit(url)
        host, usable = parts.hostname or "", parts.scheme in {"http", "https"}
    except ValueError:
        host, usable = "", False
    if not host or not usable:
        raise DownloadError("the video's link is not an http(s) address")
    if not private and is_public(host) is False:
        raise DownloadError(f"the video's link leads to the private address {host}; not fetched")


def _headers(part: PartFile) -> dict[str, str]:
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if part.done and part.validator:
        headers |= {"Range": f"bytes={part.done}-", "If-Range": part.validator}
    elif part.done:
        # Without a validator nobody could say that the rest belongs to the same file.
        part.restart()
    return headers


def _accept(response: aiohttp.ClientResponse, part: PartFile) -> bool:
    """Set `part` up for the bytes to come; False where it is complete already.

    Raises:
        DownloadError: the host does not give the file.
        _BrokenError: not this time.
    """
    match response.status:
        case 200:
            part.restart()
            part.total = response.content_length
            part.validator = _validator(response)
            return True
        case 206 if _continues(response, part):
            return True
        case 416 if part.done and part.done == part.total:
            return False
        case 206 | 416:
            part.restart()
            raise _BrokenError("the file changed while it was being fetched")
        case status if status in _EXPIRED:
            raise ExpiredLinkError(f"{response.url.host} answered {status}: the link has expired")
        case status if status in _PASSING:
            raise _BrokenError(f"HTTP {status}")
        case status:
            raise DownloadError(f"{response.url.host} answered {status} instead of the file")


def _continues(response: aiohttp.ClientResponse, part: PartFile) -> bool:
    """Whether the bytes to come go on exactly where ours end, in the same file."""
    span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if span is None or int(span[1]) != part.done:
        return False
    same_size = span[2] == "*" or part.total is None or int(span[2]) == part.total
    return same_size and _validator(response) in (None, part.validator)


def _validator(response: aiohttp.ClientResponse) -> str | None:
    """What `If-Range` may name: a strong ETag, else the date (RFC 9110, section 13.1.5)."""
    etag = response.headers.get("ETag")
    if etag is None:
        return response.headers.get("Last-Modified")
    return None if etag.startswith("W/") else etag
