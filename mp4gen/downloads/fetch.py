"""One GET from a file host, without key, cookies or a way into a private network.

It neither tries again nor knows what is in a file; it says which failures may pass.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import attrs

from mp4gen.addresses import is_public
from mp4gen.errors import ConfigurationError, DownloadError
from mp4gen.options import Retry
from mp4gen.transport.http import describe_network_error, proxy_from_env, user_agent
from mp4gen.transport.sleeper import Sleeper

MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONNECT: Final = 30.0
_CHUNK: Final = 1 << 18


class TryAgainError(Exception):
    """A failure that may pass.

    Attributes:
        after: seconds after which the host wants to be asked again, or None.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class _PrivateAddressError(OSError):
    """The one text for all of them lets aiohttp give it back unchanged after several addresses."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "a private address")


@attrs.frozen
class Rules:
    """What a download may do.

    Attributes:
        private: whether files on loopback and private addresses may be fetched.
        max_bytes: the largest file.
        retry: how long to go on after failures that may pass.
        stall: seconds without a single byte until a try is given up.
        slowest: bytes a second, over `stall` seconds, below which a try is given up.
    """

    private: bool = False
    max_bytes: int = 8 << 30
    retry: Retry = attrs.field(factory=Retry)
    stall: float = 60.0
    slowest: float = 1024.0


class FileSessions:
    """The connections to file hosts; opened by the first download, on its loop.

    They carry neither key nor cookies, nor what ~/.netrc has for a host, and inflate nothing.
    Behind a proxy the address that we connect to is the proxy's, which may well be private; all
    other connections refuse private addresses, whatever a name resolved to a moment ago.

    Args:
        proxy: an http:// proxy, or None.
        trust_env: whether proxies are read from the environment.
    """

    def __init__(self, *, proxy: str | None = None, trust_env: bool = False) -> None:
        self._proxy = proxy
        self._trust_env = trust_env
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._pauses = Sleeper()

    async def aclose(self) -> None:
        """End what runs and close all connections; a second call does nothing."""
        # Not left to aiohttp: it forgets those who wait for a body that it closes.
        self._pauses.close()
        for session in self._sessions.values():
            await session.close()

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """A block that uses the connections, and ends at once when they are closed.

        Raises:
            ConfigurationError: the client is closed, or belongs to another loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise ConfigurationError(
                "this client belongs to another event loop; make one client for each loop"
            )
        self._loop = loop
        with self._pauses.cancel_on_close():
            yield

    def route(self, url: str, *, private: bool) -> tuple[aiohttp.ClientSession, str | None]:
        """The session and the proxy for `url`; for use inside `in_use`.

        Raises:
            ConfigurationError: the proxy is none that HTTP can be spoken to.
        """
        proxy = self._proxy or (proxy_from_env(url) if self._trust_env else None)
        if proxy is not None and not proxy.lower().startswith(("http://", "https://")):
            # Not shown: it can hold a password.
            raise ConfigurationError("the proxy must be given as http://host:port")
        unchecked = private or proxy is not None
        if unchecked not in self._sessions:
            self._sessions[unchecked] = _session(unchecked=unchecked)
        return self._sessions[unchecked], proxy


@attrs.frozen
class FileAnswer:
    """What a host answered, its body still to come.

    Attributes:
        status: the HTTP status.
        headers: by their names in any case.
        host: who answered.
    """

    status: int
    headers: Mapping[str, str]
    host: str
    _content: aiohttp.StreamReader
    _rules: Rules
    _meter: _Meter

    async def read(self) -> bytes:
        """The next bytes, at most 256 KiB; none at the end.

        Raises:
            TryAgainError: the body broke off, or comes too slowly.
        """
        with _network(self.host, f"no byte for {self._rules.stall:g} s"):
            chunk = await self._content.read(_CHUNK)
        self._meter.count(len(chunk), self._rules)
        return chunk


@attrs.define
class _Meter:
    """The speed of one body; a trickle would otherwise last for ever without ever stalling."""

    since: float
    got: int = 0

    def count(self, size: int, rules: Rules) -> None:
        now = asyncio.get_running_loop().time()
        self.got += size
        if size and now - self.since >= rules.stall:
            if self.got < rules.slowest * (now - self.since):
                raise TryAgainError(f"fewer than {rules.slowest:g} bytes a second")
            self.since, self.got = now, 0


@asynccontextmanager
async def opened(
    sessions: FileSessions, url: str, headers: Mapping[str, str], rules: Rules
) -> AsyncIterator[FileAnswer]:
    """The answer to a GET of `url` with `headers`, after a few redirects at most.

    Raises:
        DownloadError: the way leads where it must not.
        TryAgainError: no usable connection this time.
    """
    for _ in range(MAX_REDIRECTS + 1):
        host = checked_host(url, private=rules.private)
        async with await _get(sessions, url, host, headers, rules) as response:
            target = response.headers.get("Location")
            if response.status not in _REDIRECTS or not target:
                meter = _Meter(asyncio.get_running_loop().time())
                yield FileAnswer(
                    response.status, response.headers, host, response.content, rules, meter
                )
                return
        url = _redirected(url, target, host)
    raise DownloadError(f"{host} redirects more than {MAX_REDIRECTS} times")


def checked_host(url: str, *, private: bool) -> str:
    """The host of `url`; refuses what is not an http(s) address, or private by its very text.

    Raises:
        DownloadError: says which.
    """
    try:
        parts = urlsplit(url)
        host, usable = parts.hostname or "", parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        host, usable = "", False
    if not host or not usable or not url.isprintable():
        raise DownloadError("the video's link is not an http(s) address")
    if not private and is_public(host) is False:
        raise _not_fetched(host)
    return host


def _not_fetched(host: str) -> DownloadError:
    return DownloadError(
        f"the video's link leads to a private address ({host}); such are fetched only where "
        "base_url is private too"
    )


def _redirected(url: str, location: str, host: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError:
        raise DownloadError(f"{host} redirects to something that is no address") from None
    if urlsplit(url).scheme == "https" and not target.lower().startswith("https:"):
        raise DownloadError(f"{host} redirects from https to an unsafe address; not followed")
    return target


async def _get(
    sessions: FileSessions, url: str, host: str, headers: Mapping[str, str], rules: Rules
) -> aiohttp.ClientResponse:
    session, proxy = sessions.route(url, private=rules.private)
    limits = aiohttp.ClientTimeout(sock_connect=_CONNECT, sock_read=rules.stall)
    own = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
    with _network(host, f"no answer for {rules.stall:g} s"):
        # The head of an answer can trickle too, and no single byte of it is late.
        async with asyncio.timeout(_CONNECT + rules.stall):
            return await session.get(
                url, headers=own | dict(headers), allow_redirects=False, timeout=limits, proxy=proxy
            )


@contextmanager
def _network(host: str, late: str) -> Iterator[None]:
    """Say in our own words what aiohttp met, and whether it may pass."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise TryAgainError(f"no connection within {_CONNECT:g} s") from None
    except TimeoutError:
        raise TryAgainError(late) from None
    except aiohttp.ClientConnectorCertificateError:
        raise DownloadError(f"{host} has no valid TLS certificate; not fetched") from None
    except (aiohttp.InvalidURL, UnicodeError):
        raise DownloadError("the video's link is not an http(s) address") from None
    except aiohttp.ClientConnectorDNSError:
        raise TryAgainError("the host name is not known, or the network is down") from None
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(getattr(error, "os_error", None), _PrivateAddressError):
            raise _not_fetched(host) from None
        raise TryAgainError(describe_network_error(error)) from None


def _session(*, unchecked: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=None if unchecked else _public_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # True would also send the password that ~/.netrc has for a host, or for any.
        trust_env=False,
    )


def _public_socket(info: Any) -> socket.socket:
    """A socket for an address that was resolved, and is about to be connected to."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise _PrivateAddressError
    return socket.socket(family, kind, protocol)
