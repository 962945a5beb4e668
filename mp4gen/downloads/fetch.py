"""Send one GET to a file host, without key, cookies or a way into a private network.

It does not retry and does not check the file; it distinguishes temporary from permanent failures.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import attrs

from mp4gen.addresses import PrivateAddressError, public_socket
from mp4gen.errors import DownloadError
from mp4gen.options import Retry
from mp4gen.transport.http import MAX_HEADER_BYTES, MAX_HEADERS, user_agent
from mp4gen.transport.network import Network
from mp4gen.transport.network_errors import (
    PROXY_AUTH_REQUIRED,
    PROXY_REFUSALS,
    describe_network_error,
    proxy_refusal,
)
from mp4gen.transport.proxies import Proxy, request_options
from mp4gen.transport.rate_limit import Priority
from mp4gen.transport.sleeper import Sleeper, require_running_loop

from .hosts import Attempt, FileHosts
from .links import INVALID_LINK, exact_url, private_address_error, redirect_target, validate_url
from .partial_file import ResumableFile
from .retry_budget import MIN_PROGRESS_BYTES, RetryableError, RetryBudget

MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CONNECT_TIMEOUT: Final = 30.0
_CHUNK_SIZE: Final = 1 << 18


@attrs.frozen
class DownloadLimits:
    """What a download may do.

    Attributes:
        allow_private: Whether files on loopback and private addresses may be fetched.
        max_bytes: The largest file.
        retry: How long to retry after temporary failures.
        read_timeout: The seconds without a single byte after which an attempt ends.
        min_bytes_per_second: The throughput over `read_timeout` below which an attempt ends.
        priority: Whether it belongs to a bulk run, which has slots of its own.
    """

    allow_private: bool = False
    max_bytes: int = 8 << 30
    retry: Retry = attrs.field(factory=Retry)
    read_timeout: float = 60.0
    min_bytes_per_second: float = 1024.0
    priority: Priority = Priority.INTERACTIVE


class FileSessions:
    """The connections to file hosts, opened by the first download on its loop.

    They carry no key, no cookies and no password of ~/.netrc, and decompress nothing. They refuse
    private addresses at connect time, except that of a proxy. `hosts` is what they know of the
    file hosts.

    Args:
        network: The proxy and the TLS settings.
    """

    def __init__(self, network: Network = Network()) -> None:
        self._network = network
        # Whether a file host has answered.
        self.has_sent = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._sleeper = Sleeper()
        self.hosts = FileHosts(self._sleeper)
        # The files of downloads that wait for their next attempt.
        self.kept_files: set[ResumableFile] = set()

    async def aclose(self) -> None:
        """End all downloads and close all connections; a second call does nothing."""
        # aiohttp would not wake a reader that waits for a body.
        self._sleeper.close()
        for session in self._sessions.values():
            await session.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Let the block use the connections, and end it as soon as they are closed.

        Raises:
            ConfigurationError: The client is closed, or belongs to another loop.
        """
        self._loop = require_running_loop(self._loop)
        async with self._sleeper.cancel_on_close():
            yield

    def session_for(
        self, url: str, *, allow_private: bool
    ) -> tuple[aiohttp.ClientSession, Proxy | None]:
        """Return the session and the proxy for `url`, for use inside `opened`.

        Raises:
            ConfigurationError: The environment's proxy is not an HTTP proxy.
        """
        proxy = self._network.proxy_for(url)
        unchecked = allow_private or proxy is not None
        if unchecked not in self._sessions:
            self._sessions[unchecked] = _session(self._network, unchecked=unchecked)
        return self._sessions[unchecked], proxy


@attrs.define
class FileResponse:
    """The head of a response, and its body as a stream.

    Attributes:
        status: The HTTP status.
        headers: The headers; names in any case.
        host: The host that answered.
    """

    status: int
    headers: Mapping[str, str]
    host: str
    _content: aiohttp.StreamReader
    _limits: DownloadLimits
    _attempt: Attempt
    _window_start: float
    _window_bytes: int = 0
    _received: int = 0

    async def read(self) -> bytes:
        """Return the next bytes, at most 256 KiB; none at the end.

        Raises:
            RetryableError: The body broke off, or is too slow.
        """
        with _translate_errors(self.host, f"No byte for {self._limits.read_timeout:g} s."):
            chunk = await self._content.read(_CHUNK_SIZE)
        self._check_throughput(len(chunk))
        self._received += len(chunk)
        if self._received >= MIN_PROGRESS_BYTES and not self._attempt.succeeded:
            self._attempt.succeed()
        return chunk

    def _check_throughput(self, size: int) -> None:
        # Single bytes at long intervals would never time out.
        now, limits = asyncio.get_running_loop().time(), self._limits
        elapsed = now - self._window_start
        self._window_bytes += size
        if size and elapsed >= limits.read_timeout:
            if self._window_bytes < limits.min_bytes_per_second * elapsed:
                raise RetryableError(f"Fewer than {limits.min_bytes_per_second:g} bytes a second.")
            self._window_start, self._window_bytes = now, 0


@asynccontextmanager
async def open_response(
    sessions: FileSessions,
    url: str,
    headers: Mapping[str, str],
    limits: DownloadLimits,
    budget: RetryBudget,
) -> AsyncIterator[FileResponse]:
    """Yield the response to a GET of `url` with `headers`, after at most `MAX_REDIRECTS`.

    Each request waits for a slot of its host. A `RetryableError` of the block is a failure of the
    host that sent the response.

    Raises:
        DownloadError: The URL or a redirect is refused.
        RetryableError: The connection failed, or the host is down.
    """
    for _ in range(MAX_REDIRECTS + 1):
        host = validate_url(url, allow_private=limits.allow_private)
        async with (
            sessions.hosts.attempt(_authority(url), budget, limits.priority) as attempt,
            await _get(sessions, url, host, headers, limits) as response,
        ):
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                now = asyncio.get_running_loop().time()
                yield FileResponse(
                    response.status, response.headers, host, response.content, limits, attempt, now
                )
                return
        url = redirect_target(url, location, host)
    raise DownloadError(f"Too many redirects: {host} redirects more than {MAX_REDIRECTS} times.")


def _authority(url: str) -> str:
    """Return the host and port of a URL, without its password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower()


async def _get(
    sessions: FileSessions, url: str, host: str, headers: Mapping[str, str], limits: DownloadLimits
) -> aiohttp.ClientResponse:
    session, proxy = sessions.session_for(url, allow_private=limits.allow_private)
    timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_TIMEOUT, sock_read=limits.read_timeout)
    default_headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
    with _translate_errors(host, f"No response for {limits.read_timeout:g} s."):
        # A slow host can send the headers byte by byte without exceeding the read timeout.
        async with asyncio.timeout(_CONNECT_TIMEOUT + limits.read_timeout):
            options = request_options(proxy, url, default_headers | dict(headers))
            response = await session.get(
                exact_url(url), allow_redirects=False, timeout=timeout, **options
            )
    sessions.has_sent = True
    if proxy is not None and response.status == PROXY_AUTH_REQUIRED:
        response.close()
        raise DownloadError(proxy_refusal(response.status, host))
    return response


@contextmanager
def _translate_errors(host: str, timeout_message: str) -> Iterator[None]:
    """Translate aiohttp's errors to temporary or permanent ones, with texts of our own."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:
        raise RetryableError(f"No connection within {_CONNECT_TIMEOUT:g} s.") from None
    except TimeoutError:
        raise RetryableError(timeout_message) from None
    except aiohttp.ClientConnectorCertificateError:
        raise DownloadError(
            f"Invalid TLS certificate: {host}. Check the clock and the certificates here."
        ) from None
    except aiohttp.ClientHttpProxyError as error:
        if error.status in PROXY_REFUSALS:
            raise DownloadError(proxy_refusal(error.status, host)) from None
        raise RetryableError(f"Network error: {describe_network_error(error)}.") from None
    except (aiohttp.InvalidURL, UnicodeError):
        raise DownloadError(INVALID_LINK) from None
    except aiohttp.ClientConnectorDNSError:
        raise RetryableError("The host name is unknown, or the network is down.") from None
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(getattr(error, "os_error", None), PrivateAddressError):
            raise private_address_error(host) from None
        raise RetryableError(f"Network error: {describe_network_error(error, host)}.") from None


def _session(network: Network, *, unchecked: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=network.tls, socket_factory=None if unchecked else public_socket
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # True would also send the passwords of ~/.netrc.
        trust_env=False,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )
