"""The failures of a network in words: what failed, and what to check."""

import errno
import os

import aiohttp

from mp4gen.addresses import is_loopback

PROXY_AUTH_REQUIRED = 407
# A proxy that answers one of these to CONNECT has refused it for good.
PROXY_REFUSALS = frozenset({403, PROXY_AUTH_REQUIRED})


class UnexpectedResendError(aiohttp.ClientError):
    """Raised before aiohttp sends a GET a second time by itself."""


# Some are of two kinds: the first one counts.
_TEXTS: dict[tuple[type[BaseException], ...], str] = {
    (aiohttp.ClientConnectorDNSError,): (
        "the host name is unknown; check base_url and the network"
    ),
    (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError): (
        "no secure connection could be made (TLS)"
    ),
    (aiohttp.ServerDisconnectedError, UnexpectedResendError): (
        "the server closed the connection without a response"
    ),
    (aiohttp.ClientPayloadError,): "the response was cut off",
    # Also headers beyond the limits are unreadable.
    (aiohttp.ClientResponseError,): "the response is not readable HTTP",
}


def proxy_refusal(status: int, host: str | None) -> str:
    """Return the text for a proxy that answered 403 or 407 itself; another try does not help."""
    if status == PROXY_AUTH_REQUIRED:
        return (
            "Refused by the proxy: it requires a user and a password (407). "
            "Use http://user:password@host:port as its URL."
        )
    return (
        f"Refused by the proxy: it does not connect to {host} ({status}). "
        "Ask its operator, or exclude the host with NO_PROXY."
    )


def describe_network_error(error: BaseException, host: str | None = None) -> str:
    """Return a network failure of a request to `host` in words; its own text may show the key."""
    if isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        return _describe_proxy_error(error)
    text = next((text for kinds, text in _TEXTS.items() if isinstance(error, kinds)), None)
    if text is not None:
        return text
    if getattr(error, "errno", None) == errno.ECONNREFUSED:
        hint = "Start `mp4gen serve`, or check the" if is_loopback(host) else "Check the"
        return f"connection refused. {hint} port"
    return f"no usable connection ({_reason(error)})"


def _describe_proxy_error(
    error: aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError,
) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    return f"the proxy cannot be reached ({_reason(error.os_error)})"


def _reason(error: BaseException) -> str:
    """Return the system's words for an error; asyncio's own are for developers."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else type(error).__name__
