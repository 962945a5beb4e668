"""One aiohttp request: bytes out, bytes in, capped. It retries and interprets nothing.

The module knows whether a byte of the request may have been sent. It keeps the key out of all that
can be printed: no aiohttp error, which holds the request headers, leaves this module.
"""

import asyncio
import functools
import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import attrs

from mp4gen.addresses import PublicAddressError, is_loopback, private_socket
from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import MAX_BODY_BYTES, HttpResponse
from mp4gen.errors import ConfigurationError, Mp4GenError, ProtocolError, TransportError
from mp4gen.secret import HiddenHeader, Secret
from mp4gen.version import UNKNOWN, package_version

from .network import Network
from .network_errors import (
    PROXY_AUTH_REQUIRED,
    PROXY_REFUSALS,
    UnexpectedResendError,
    describe_network_error,
    proxy_refusal,
)
from .proxies import request_options
from .sleeper import Deadlines, client_closed_error, require_running_loop

_CONNECT_TIMEOUT = 10.0
# aiohttp's limits of 8,190 bytes and 128 headers are below what some hosts send.
MAX_HEADER_BYTES: Final = 1 << 16
MAX_HEADERS: Final = 1024


@attrs.define(eq=False, repr=False)
class Delivery:
    """How far one request got; true however its call ends: by an error, a cancel or a close.

    Attributes:
        head_sent: Whether the request's head was handed to a connection, so that the request may
            have arrived.
        cannot_arrive: Whether it can arrive no more: the host responded or closed the connection.
        latest_arrival: The loop time until which it can arrive, unless `cannot_arrive` is set.
    """

    head_sent: bool = False
    cannot_arrive: bool = False
    latest_arrival: float = 0.0


# aiohttp passes nothing of the caller's on to its request object.
_delivery: ContextVar[Delivery] = ContextVar("delivery")


class _Request(aiohttp.ClientRequest):
    """A request that records that it is sent; aiohttp's own traces cost a tenth of a call."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Send the request; called once for each connection that it is tried on."""
        delivery = _delivery.get()
        # No limiter has counted a second request.
        if delivery.head_sent:
            raise UnexpectedResendError
        delivery.head_sent = True
        return await super().send(conn)


class Transport:
    """The client's connections to one API host. The first call opens them on its own event loop.

    Args:
        base_url: Scheme, host and optionally a path prefix.
        get_key: Returns the current key, or None for a host without keys.
        network: The proxy and the TLS settings.

    Raises:
        ConfigurationError: The environment's proxy is not an HTTP proxy.
    """

    def __init__(
        self,
        base_url: str,
        get_key: Callable[[], Secret | None],
        network: Network = Network(),
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._host, self._network = urlsplit(base_url).hostname, network
        self._address = urlsplit(base_url).netloc
        self._get_key = get_key
        # aiohttp would also read netrc, and then refuse our Authorization header.
        self._proxy = network.proxy_for(base_url)
        self._options = request_options(self._proxy, base_url, {})
        # Made here: without a free file descriptor, the first call could not read the version.
        self._headers = {**_headers(), **self._options.pop("headers")}
        self._valid_key: Secret | None = None
        self._key_header: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        # By whether they are for submits.
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        # Ended by `aclose`: aiohttp wakes neither a call that connects nor a reader of a body.
        self._deadlines = Deadlines()
        self._closed = False
        # Whether a request may have reached the host.
        self.has_sent = False

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    async def send(
        self, request: ApiRequest, timeout: float, delivery: Delivery | None = None
    ) -> HttpResponse:
        """Send `request` and return the response, with the key removed from it.

        Args:
            request: The request to send.
            timeout: Maximum seconds from connecting to the last byte.
            delivery: A new one, which records whether the request may have arrived.

        Raises:
            TransportError: No response; `.sent` says whether the request may have arrived.
            ProtocolError: The response is too large.
            ConfigurationError: The client is closed, belongs to another event loop or has an
                invalid key, or the server's certificate is invalid.
        """
        session = self._session_for(request)
        key = self._get_key()
        if key is not self._valid_key:
            self._valid_key = validate_api_key(key)
            self._key_header = (
                {"Authorization": HiddenHeader(f"Bearer {key.reveal()}")} if key else {}
            )
        delivery = delivery or Delivery()
        _delivery.set(delivery)
        failure: Mp4GenError
        # It also ends the call when the client closes. aiohttp's own total would be a second timer.
        until = self._deadlines.start(timeout)
        try:
            async with until:
                return await self._request(session, request, key, timeout, delivery)
        except aiohttp.ConnectionTimeoutError:
            failure = self._failure(
                f"no connection within {min(timeout, _CONNECT_TIMEOUT):g} s. Check the network, "
                "the firewall and the proxy",
                delivery,
            )
        except TimeoutError:
            problem = f"no response within {timeout:g} s"
            failure = self._failure("the client was closed" if self._closed else problem, delivery)
        except (aiohttp.ClientError, OSError, zlib.error) as error:
            delivery.cannot_arrive = delivery.head_sent and not self._closed
            failure = self._permanent_failure(error) or self._failure(
                describe_network_error(error, self._host), delivery
            )
        finally:
            self._deadlines.forget(until)
            self.has_sent = self.has_sent or delivery.head_sent
        # Raised outside of the handlers: an aiohttp error as context would show the headers.
        raise failure

    async def aclose(self) -> None:
        """Close all connections. A second call does nothing."""
        self._closed = True
        self._deadlines.close()
        for session in self._sessions.values():
            await session.close()

    def _failure(self, problem: str, delivery: Delivery) -> TransportError:
        text = f"Request to {self._address} failed: {problem}."
        return TransportError(text, sent=delivery.head_sent)

    def _permanent_failure(self, error: Exception) -> ConfigurationError | None:
        """Return the error of a request that no retry can send, or None for other failures."""
        match error:
            case aiohttp.ClientConnectorCertificateError():
                reason = getattr(error.certificate_error, "verify_message", "") or "not valid"
                return ConfigurationError(
                    f"Invalid TLS certificate of {self._host}: {reason.rstrip('.')}. Check "
                    "base_url, this machine's clock and the authorities that it trusts "
                    "(ssl_context, --ca-file)."
                )
            case aiohttp.ClientHttpProxyError() if error.status in PROXY_REFUSALS:
                return ConfigurationError(proxy_refusal(error.status, self._host))
            case aiohttp.ClientConnectorError(os_error=PublicAddressError()):
                return ConfigurationError(
                    f"The key would be sent unencrypted to a public address: {self._host}. "
                    "Use https://."
                )
        return None

    async def _request(
        self,
        session: aiohttp.ClientSession,
        request: ApiRequest,
        key: Secret | None,
        timeout: float,
        delivery: Delivery,
    ) -> HttpResponse:
        headers = self._key_header
        if request.body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        response = await session.request(
            request.method,
            self._base_url + request.path,
            data=request.body,
            headers=headers,
            timeout=_connect_timeout(min(timeout, _CONNECT_TIMEOUT)),
            allow_redirects=False,
            **self._options,
        )
        delivery.cannot_arrive = True
        if self._proxy is not None and response.status == PROXY_AUTH_REQUIRED:
            response.close()
            raise ConfigurationError(proxy_refusal(response.status, self._host))
        try:
            body = await _read_body(response)
        except BaseException:
            response.close()
            raise
        # No await from here to the caller, so that no cancel can lose the response.
        response.release()
        if key is None:
            return HttpResponse(response.status, response.headers, body)
        return HttpResponse(response.status, _redact(key, response.headers), key.redact(body))

    def _session_for(self, request: ApiRequest) -> aiohttp.ClientSession:
        if self._closed:
            raise client_closed_error()
        self._loop = require_running_loop(self._loop)
        if request.is_submit not in self._sessions:
            self._sessions[request.is_submit] = aiohttp.ClientSession(
                # A new connection for each submit: if the server has just dropped a kept-alive
                # one, it is impossible to know whether the submit arrived.
                connector=self._connector(force_close=request.is_submit),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers=self._headers,
                request_class=_Request,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
        return self._sessions[request.is_submit]

    def _connector(self, *, force_close: bool) -> aiohttp.TCPConnector:
        unencrypted = self._base_url.startswith("http://") and not is_loopback(self._host)
        return aiohttp.TCPConnector(
            force_close=force_close,
            limit=0,
            ssl=self._network.tls,
            socket_factory=private_socket if unencrypted else None,
        )


def user_agent() -> str:
    """Return the name that the client gives itself to every server, with its version if known."""
    version = package_version()
    return "mp4gen" if version == UNKNOWN else f"mp4gen/{version}"


def validate_api_key(key: Secret | None) -> Secret | None:
    """Return `key` if a header can carry it, else raise a `ConfigurationError` without it."""
    if key is not None and not (key and key.reveal().isascii() and key.reveal().isprintable()):
        raise ConfigurationError(
            "Invalid API key: it is empty or contains line breaks or other characters that no "
            "header can carry. Copy it again."
        )
    return key


def _headers() -> dict[str, str]:
    # The firewall and file host of docs.kie.ai refuse some default user agents.
    return {"User-Agent": user_agent(), "Accept": "application/json", "Accept-Encoding": "gzip"}


@functools.lru_cache(maxsize=16)
def _connect_timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(sock_connect=seconds)


def _redact(key: Secret, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers without the key; few responses repeat it."""
    if not key.occurs_in("\n".join(headers.values())):
        return headers
    return {name.lower(): key.redact(value) for name, value in headers.items()}


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body. Inflate it here: aiohttp accepts one that grows a thousandfold."""
    body = bytearray()
    while not response.content.at_eof():
        body += await response.content.readany()
        if len(body) > MAX_BODY_BYTES:
            raise _too_large_error()
    if response.headers.get("Content-Encoding", "").lower() not in {"gzip", "deflate"}:
        return bytes(body)
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    inflated = inflater.decompress(bytes(body), MAX_BODY_BYTES)
    if inflater.unconsumed_tail:
        raise _too_large_error()
    return inflated


def _too_large_error() -> ProtocolError:
    return ProtocolError(f"Response too large: over {MAX_BODY_BYTES} bytes. Check base_url.")
