"""One GET from a file host, without key, cookies or a way into a private network.

It neither tries again nor knows what is in a file; it says which failures may pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import attrs

from mp4gen.addresses import PrivateAddressError, is_public, parse_http_url, public_socket
from mp4gen.errors import ConfigurationError, DownloadError
from mp4gen.options import Retry
from mp4gen.transport.http import describe_network_error, proxy_from_env, user_agent
from mp4gen.transport.sleeper import Sleeper

MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONNECT_TIMEOUT: Final = 30.0
_CHUNK_SIZE: Final = 1 << 18


class RetryableError(Exception):
    """A failure that may pass.

    Attributes:
        retry_after: seconds after which the host wants to be asked again, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@attrs.frozen
class DownloadLimits:
    """What a download may do.

    Attributes:
        allow_private: whether files on loopback and private addresses may be fetched.
        max_bytes: the largest file.
        retry: how long to go on after failures that may pass.
        read_timeout: seconds without a single byte until a try is given up.
        min_bytes_per_second: bytes a second, over `read_timeout` seconds, below which a try is given up.
    """

    allow_private: bool = False
    max_bytes: int = 8 << 30
    retry: Retry = attrs.field(factory=Retry)
    read_timeout: float = 60.0
    min_bytes_per_second: float = 1024.0


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
        self._sleeper = Sleeper()

    async def aclose(self) -> None:
        """End what runs and close all connections; a second call does nothing."""
        # Not left to aiohttp: it forgets those who wait for a body that it closes.
        self._sleeper.close()
        for session in self._sessions.values():
            await session.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
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
        async with self._sleeper.cancel_on_close():
            yield

    def session_for(
        self, url: str, *, allow_private: bool
    ) -> tuple[aiohttp.ClientSession, str | None]:
        """The session and the proxy for `url`; for use inside `in_use`.

        Raises:
            ConfigurationError: the proxy is none that HTTP can be spoken to.
        """
        proxy = self._proxy or (proxy_from_env(url) if self._trust_env else None)
        if proxy is not None and not proxy.lower().startswith(("http://", "https://")):
            # Not shown: it can hold a password.
            raise ConfigurationError("the proxy must be given as http://host:port")
        unchecked = allow_private or proxy is not None
        if unchecked not in self._sessions:
            self._sessions[unchecked] = _session(unchecked=unchecked)
        return self._sessions[unchecked], proxy


@attrs.frozen
class FileResponse:
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
    _limits: DownloadLimits
    _throughput: _ThroughputMonitor

    async def read(self) -> bytes:
        """The next bytes, at most 256 KiB; none at the end.

        Raises:
            TryAgainError: the body broke off, or comes too slowly.
        """
        with _translate_errors(self.host, f"no byte for {self._limits.read_timeout:g} s"):
            chunk = await self._content.read(_CHUNK_SIZE)
        self._throughput.add(len(chunk), self._limits)
        return chunk


@attrs.define
class _ThroughputMonitor:
    """The speed of one body; a trickle would otherwise last for ever without ever stalling."""

    window_start: float
    received: int = 0

    def add(self, size: int, limits: DownloadLimits) -> None:
        now = asyncio.get_running_loop().time()
        self.received += size
        if size and now - self.window_start >= limits.read_timeout:
            if self.received < limits.min_bytes_per_second * (now - self.window_start):
                raise RetryableError(f"fewer than {limits.min_bytes_per_second:g} bytes a second")
            self.window_start, self.received = now, 0


@asynccontextmanager
async def open_response(
    sessions: FileSessions, url: str, headers: Mapping[str, str], limits: DownloadLimits
) -> AsyncIterator[FileResponse]:
    """The answer to a GET of `url` with `headers`, after a few redirects at most.

    Raises:
        DownloadError: the way leads where it must not.
        TryAgainError: no usable connection this time.
    """
    for _ in range(MAX_REDIRECTS + 1):
        host = validate_url(url, allow_private=limits.allow_private)
        async with await _get(sessions, url, host, headers, limits) as response:
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                throughput = _ThroughputMonitor(asyncio.get_running_loop().time())
                yield FileResponse(
                    response.status, response.headers, host, response.content, limits, throughput
                )
                return
        url = _redirect_target(url, location, host)
    raise DownloadError(f"{host} redirects more than {MAX_REDIRECTS} times")


def validate_url(url: str, *, allow_private: bool) -> str:
    """The host of `url`; refuses what is not an http(s) address, or private by its very text.

    Raises:
        DownloadError: says which.
    """
    parts = parse_http_url(url)
    if parts is None:
        raise DownloadError("the video's link is not an http(s) address")
    host = parts.hostname or ""
    if not allow_private and is_public(host) is False:
        raise _private_address_error(host)
    return host


def _private_address_error(host: str) -> DownloadError:
    return DownloadError(
        f"the video's link leads to a private address ({host}); such are fetched only where "
        "base_url is private too"
    )


def _redirect_target(url: str, location: str, host: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError:
        raise DownloadError(f"{host} redirects to something that is no address") from None
    if urlsplit(url).scheme == "https" and not target.lower().startswith("https:"):
        raise DownloadError(f"{host} redirects from https to an unsafe address; not followed")
    return target


async def _get(
    sessions: FileSessions,
    url: str,
    host: str,
    headers: Mapping[str, str],
    download_limits: DownloadLimits,
) -> aiohttp.ClientResponse:
    session, proxy = sessions.session_for(url, allow_private=download_limits.allow_private)
    timeout = aiohttp.ClientTimeout(
        sock_connect=_CONNECT_TIMEOUT, sock_read=download_limits.read_timeout
    )
    default_headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
    with _translate_errors(host, f"no answer for {download_limits.read_timeout:g} s"):
        # The head of an answer can trickle too, and no single byte of it is late.
        async with asyncio.timeout(_CONNECT_TIMEOUT + download_limits.read_timeout):
            return await session.get(
                url,
                headers=default_headers | dict(headers),
                allow_redirects=False,
                timeout=timeout,
                proxy=proxy,
            )


@contextmanager
def _translate_errors(host: str, timeout_message: str) -> Iterator[None]:
    """Say in our own words what aiohttp met, and whether it may pass."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise RetryableError(f"no connection within {_CONNECT_TIMEOUT:g} s") from None
    except TimeoutError:
        raise RetryableError(timeout_message) from None
    except aiohttp.ClientConnectorCertificateError:
        raise DownloadError(f"{host} has no valid TLS certificate; not fetched") from None
    except (aiohttp.InvalidURL, UnicodeError):
        raise DownloadError("the video's link is not an http(s) address") from None
    except aiohttp.ClientConnectorDNSError:
        raise RetryableError("the host name is not known, or the network is down") from None
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(getattr(error, "os_error", None), PrivateAddressError):
            raise _private_address_error(host) from None
        raise RetryableError(describe_network_error(error)) from None


def _session(*, unchecked: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=None if unchecked else public_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # True would also send the password that ~/.netrc has for a host, or for any.
        trust_env=False,
    )
