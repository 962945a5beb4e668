"""One aiohttp call: bytes out, bytes in, capped; retries nothing and understands nothing.

It knows whether a byte of the request may have left, and keeps the key out of everything that can
be printed: each call gets it by itself, and no aiohttp error ever leaves this module.
"""

from __future__ import annotations

import asyncio
import functools
import os
import zlib
from collections.abc import Callable
from typing import Any, TypeGuard
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs

from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import MAX_BODY_BYTES, HttpResponse
from mp4gen.errors import ConfigurationError, ProtocolError, TransportError
from mp4gen.version import package_version

from .sleeper import client_closed_error

_CONNECT_TIMEOUT = 10.0
_MIN_REDACTABLE_LENGTH = 8


class Secret(str):
    """A text that goes over the wire as it is, and into every log and traceback as stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@attrs.define
class _RequestTrace:
    """Whether the request's head was handed to the socket."""

    headers_sent: bool = False


class Transport:
    """The client's connections to one API host; opened by the first call, on that call's loop.

    Args:
        base_url: scheme, host and perhaps a path prefix.
        get_key: gives the current key, or None for a host without keys.
        proxy: an http:// proxy, or None.
        trust_env: whether proxies are read from the environment.
    """

    def __init__(
        self,
        base_url: str,
        get_key: Callable[[], Secret | None],
        *,
        proxy: str | None = None,
        trust_env: bool = False,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._get_key = get_key
        # Read here and not by aiohttp, which would also read netrc and then refuse our header.
        self._proxy = proxy_from_env(base_url) if trust_env and proxy is None else proxy
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poll_session: aiohttp.ClientSession | None = None
        self._submit_session: aiohttp.ClientSession | None = None
        self._open_responses: set[aiohttp.ClientResponse] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    async def send(self, request: ApiRequest, timeout: float) -> HttpResponse:
        """The answer to `request`, with the key taken out of it.

        Args:
            request: what to send.
            timeout: seconds for all of it.

        Raises:
            TransportError: no answer; `.sent` says whether the call may have arrived.
            ProtocolError: an answer too large to be the API's.
            ConfigurationError: the client is closed, belongs to another loop, or has a bad key; or
                the server's certificate is not valid.
        """
        session = self._session_for(request)
        key = validate_api_key(self._get_key())
        request_trace = _RequestTrace()
        problem = ""
        try:
            return await self._request(session, request, key, timeout, request_trace)
        except aiohttp.ConnectionTimeoutError:
            problem = f"no connection within {min(timeout, _CONNECT_TIMEOUT):g} s"
        except TimeoutError:
            problem = f"no answer within {timeout:g} s"
        except aiohttp.ClientConnectorCertificateError as error:
            # Trying again makes no certificate valid, and no connection was there to send by.
            raise ConfigurationError(self._certificate_message(error)) from None
        except (aiohttp.ClientError, OSError, zlib.error) as error:
            problem = describe_network_error(error)
        # Raised out here so that no aiohttp error, which holds the headers, is its context.
        raise TransportError(f"{self._host}: {problem}", sent=request_trace.headers_sent)

    async def aclose(self) -> None:
        """Close all connections; a second call does nothing."""
        self._closed = True
        for response in self._open_responses:
            # aiohttp would let whoever reads a body wait on after its connection is closed.
            response.content.set_exception(aiohttp.ClientConnectionError())
        for session in (self._poll_session, self._submit_session):
            if session is not None:
                await session.close()

    @property
    def _host(self) -> str:
        return f"{urlsplit(self._base_url).hostname}"

    def _certificate_message(self, error: aiohttp.ClientConnectorCertificateError) -> str:
        reason = getattr(error.certificate_error, "verify_message", "") or "not valid"
        return (
            f"{self._host}: its TLS certificate is refused ({reason.rstrip('.')}); check "
            "base_url, this machine's clock, and the authorities that it trusts (SSL_CERT_FILE)"
        )

    async def _request(
        self,
        session: aiohttp.ClientSession,
        request: ApiRequest,
        key: Secret | None,
        timeout: float,
        request_trace: _RequestTrace,
    ) -> HttpResponse:
        response = await session.request(
            request.method,
            self._base_url + request.path,
            data=request.body,
            headers=_headers(request, key),
            timeout=_client_timeout(timeout),
            allow_redirects=False,
            proxy=self._proxy,
            trace_request_ctx=request_trace,
        )
        self._open_responses.add(response)
        try:
            body = await _read_body(response)
        except BaseException:
            response.close()
            raise
        finally:
            self._open_responses.discard(response)
        # From here to the caller nothing is awaited, so that no cancel can lose an answer.
        response.release()
        headers = {name.lower(): _redact(value, key) for name, value in response.headers.items()}
        return HttpResponse(response.status, headers, _redact_bytes(body, key))

    def _session_for(self, request: ApiRequest) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise client_closed_error()
        if self._loop not in (None, loop):
            raise ConfigurationError(
                "this client belongs to another event loop; make one client for each loop"
            )
        self._loop = loop
        if request.is_submit:
            # A fresh connection each time: on a kept one that the server has just dropped, nobody
            # could tell whether the submit had arrived.
            self._submit_session = self._submit_session or self._open_session(force_close=True)
            return self._submit_session
        self._poll_session = self._poll_session or self._open_session(force_close=False)
        return self._poll_session

    def _open_session(self, *, force_close: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_on_headers_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=force_close, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
        )


def user_agent() -> str:
    """Return the name that the client gives itself to every server."""
    return f"mp4gen/{package_version()}"


def validate_api_key(key: Secret | None) -> Secret | None:
    """`key`, if a header can carry it.

    Raises:
        ConfigurationError: it cannot; the text does not show it.
    """
    if key is None:
        return None
    if not key.strip() or not key.isascii() or not key.isprintable():
        raise ConfigurationError(
            "the API key is empty or holds spaces, line breaks or non-ASCII characters at a place "
            "where none can be; copy it again"
        )
    return key


def proxy_from_env(url: str) -> str | None:
    """The proxy that the environment names for `url`, as curl and others would use it."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def describe_network_error(error: BaseException) -> str:
    """A failure of the connection in plain words; never the error's own text, which may tell."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name is not known; check base_url and the network"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "no secure connection could be made (TLS)"
    if isinstance(error, aiohttp.ServerDisconnectedError | _UnexpectedResendError):
        return "the server closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else None
    return f"no usable connection ({reason or type(error).__name__})"


def _headers(request: ApiRequest, key: Secret | None) -> dict[str, str]:
    # docs.kie.ai's firewall and file host refuse some default user agents.
    headers = {"User-Agent": user_agent(), "Accept": "application/json", "Accept-Encoding": "gzip"}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if key is not None:
        headers["Authorization"] = Secret(f"Bearer {key!s}")
    return headers


@functools.lru_cache(maxsize=64)
def _client_timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, _CONNECT_TIMEOUT))


class _UnexpectedResendError(aiohttp.ClientError):
    """aiohttp was about to send a GET again by itself."""


async def _on_headers_sent(_: Any, context: Any, __: Any) -> None:
    # A second sending would be a call that no limiter has counted.
    if context.trace_request_ctx.headers_sent:
        raise _UnexpectedResendError
    context.trace_request_ctx.headers_sent = True


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """The body, inflated by ourselves: aiohttp would let a small one grow a thousandfold."""
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ProtocolError(f"an answer of more than {MAX_BODY_BYTES} bytes is not the API's")
    if response.headers.get("Content-Encoding", "").lower() not in {"gzip", "deflate"}:
        return bytes(body)
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
    inflated = inflater.decompress(bytes(body), MAX_BODY_BYTES)
    if inflater.unconsumed_tail:
        raise ProtocolError(
            f"an answer that inflates to over {MAX_BODY_BYTES} bytes is not the API's"
        )
    return inflated


def _redact(text: str, key: Secret | None) -> str:
    return text.replace(key, "***") if _can_redact(key) else text


def _redact_bytes(body: bytes, key: Secret | None) -> bytes:
    return body.replace(key.encode(), b"***") if _can_redact(key) else body


def _can_redact(key: Secret | None) -> TypeGuard[Secret]:
    """Whether finding `key` in an answer means something; a word of a few letters is anywhere."""
    return key is not None and len(key) >= _MIN_REDACTABLE_LENGTH
