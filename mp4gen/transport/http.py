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

from .sleeper import closed

_MAX_CONNECT = 10.0
_SHORTEST_KEY = 8


class Secret(str):
    """A text that goes over the wire as it is, and into every log and traceback as stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@attrs.define
class _Sent:
    """Whether the request's head was handed to the socket."""

    yes: bool = False


class Transport:
    """The client's connections to one API host; opened by the first call, on that call's loop.

    Args:
        base_url: scheme, host and perhaps a path prefix.
        key: gives the current key, or None for a host without keys.
        proxy: an http:// proxy, or None.
        trust_env: whether proxies are read from the environment.
    """

    def __init__(
        self,
        base_url: str,
        key: Callable[[], Secret | None],
        *,
        proxy: str | None = None,
        trust_env: bool = False,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        # Read here and not by aiohttp, which would also read netrc and then refuse our header.
        self._proxy = proxy_of_environment(base_url) if trust_env and proxy is None else proxy
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looks: aiohttp.ClientSession | None = None
        self._submits: aiohttp.ClientSession | None = None
        self._reading: set[aiohttp.ClientResponse] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    async def send(self, call: ApiRequest, timeout: float) -> HttpResponse:
        """The answer to `call`, with the key taken out of it.

        Args:
            call: what to send.
            timeout: seconds for all of it.

        Raises:
            TransportError: no answer; `.sent` says whether the call may have arrived.
            ProtocolError: an answer too large to be the API's.
            ConfigurationError: the client is closed, belongs to another loop, or has a bad key; or
                the server's certificate is not valid.
        """
        session = self._session(call)
        key = checked_key(self._key())
        sent = _Sent()
        problem = ""
        try:
            return await self._exchange(session, call, key, timeout, sent)
        except aiohttp.ConnectionTimeoutError:
            problem = f"no connection within {min(timeout, _MAX_CONNECT):g} s"
        except TimeoutError:
            problem = f"no answer within {timeout:g} s"
        except aiohttp.ClientConnectorCertificateError as error:
            # Trying again makes no certificate valid, and no connection was there to send by.
            raise ConfigurationError(self._distrusted(error)) from None
        except (aiohttp.ClientError, OSError, zlib.error) as error:
            problem = describe(error)
        # Raised out here so that no aiohttp error, which holds the headers, is its context.
        raise TransportError(f"{self._where}: {problem}", sent=sent.yes)

    async def aclose(self) -> None:
        """Close all connections; a second call does nothing."""
        self._closed = True
        for response in self._reading:
            # aiohttp would let whoever reads a body wait on after its connection is closed.
            response.content.set_exception(aiohttp.ClientConnectionError())
        for session in (self._looks, self._submits):
            if session is not None:
                await session.close()

    @property
    def _where(self) -> str:
        return f"{urlsplit(self._base_url).hostname}"

    def _distrusted(self, error: aiohttp.ClientConnectorCertificateError) -> str:
        reason = getattr(error.certificate_error, "verify_message", "") or "not valid"
        return (
            f"{self._where}: its TLS certificate is refused ({reason.rstrip('.')}); check "
            "base_url, this machine's clock, and the authorities that it trusts (SSL_CERT_FILE)"
        )

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        call: ApiRequest,
        key: Secret | None,
        timeout: float,
        sent: _Sent,
    ) -> HttpResponse:
        response = await session.request(
            call.method,
            self._base_url + call.path,
            data=call.body,
            headers=_headers(call, key),
            timeout=_limits(timeout),
            allow_redirects=False,
            proxy=self._proxy,
            trace_request_ctx=sent,
        )
        self._reading.add(response)
        try:
            body = await _read(response)
        except BaseException:
            response.close()
            raise
        finally:
            self._reading.discard(response)
        # From here to the caller nothing is awaited, so that no cancel can lose an answer.
        response.release()
        headers = {name.lower(): _without(value, key) for name, value in response.headers.items()}
        return HttpResponse(response.status, headers, _without_bytes(body, key))

    def _session(self, call: ApiRequest) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise closed()
        if self._loop not in (None, loop):
            raise ConfigurationError(
                "this client belongs to another event loop; make one client for each loop"
            )
        self._loop = loop
        if call.is_submit:
            # A fresh connection each time: on a kept one that the server has just dropped, nobody
            # could tell whether the submit had arrived.
            self._submits = self._submits or self._open(force_close=True)
            return self._submits
        self._looks = self._looks or self._open(force_close=False)
        return self._looks

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=force_close, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[trace],
        )


@functools.cache
def user_agent() -> str:
    """How we name ourselves to every server."""
    # Looking a version up loads more than the rest of this module; the first call pays for it.
    from importlib.metadata import version

    return f"mp4gen/{version('mp4gen')}"


def checked_key(key: Secret | None) -> Secret | None:
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


def proxy_of_environment(url: str) -> str | None:
    """The proxy that the environment names for `url`, as curl and others would use it."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def describe(error: BaseException) -> str:
    """A failure of the connection in plain words; never the error's own text, which may tell."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name is not known; check base_url and the network"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "no secure connection could be made (TLS)"
    if isinstance(error, aiohttp.ServerDisconnectedError | _ResentError):
        return "the server closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else None
    return f"no usable connection ({reason or type(error).__name__})"


def _headers(call: ApiRequest, key: Secret | None) -> dict[str, str]:
    # docs.kie.ai's firewall and file host refuse some default user agents.
    headers = {"User-Agent": user_agent(), "Accept": "application/json", "Accept-Encoding": "gzip"}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if key is not None:
        headers["Authorization"] = Secret(f"Bearer {key!s}")
    return headers


@functools.lru_cache(maxsize=64)
def _limits(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, _MAX_CONNECT))


class _ResentError(aiohttp.ClientError):
    """aiohttp was about to send a GET again by itself."""


async def _note_sent(_: Any, context: Any, __: Any) -> None:
    # A second sending would be a call that no limiter has counted.
    if context.trace_request_ctx.yes:
        raise _ResentError
    context.trace_request_ctx.yes = True


async def _read(response: aiohttp.ClientResponse) -> bytes:
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


def _without(text: str, key: Secret | None) -> str:
    return text.replace(key, "***") if _tells(key) else text


def _without_bytes(body: bytes, key: Secret | None) -> bytes:
    return body.replace(key.encode(), b"***") if _tells(key) else body


def _tells(key: Secret | None) -> TypeGuard[Secret]:
    """Whether finding `key` in an answer means something; a word of a few letters is anywhere."""
    return key is not None and len(key) >= _SHORTEST_KEY
