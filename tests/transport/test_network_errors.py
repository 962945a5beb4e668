"""The failures of a network in words: of the system or ours, never of a library."""

import errno

import aiohttp
import pytest

from mp4gen.transport.network_errors import (
    UnexpectedResendError,
    describe_network_error,
    proxy_refusal,
)

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.9', 80)")
START = "connection refused. Start `mp4gen serve`, or check the port"


@pytest.mark.parametrize(
    ("error", "host", "text"),
    [
        (REFUSED, "localhost", START),
        (REFUSED, "127.0.0.1", START),
        (REFUSED, "10.0.0.9", "connection refused. Check the port"),
        (REFUSED, None, "connection refused. Check the port"),
        (OSError(errno.ENETUNREACH, "x"), None, "no usable connection (Network is unreachable)"),
        (OSError("some words"), None, "no usable connection (OSError)"),
        (aiohttp.ClientError("x"), None, "no usable connection (ClientError)"),
        (aiohttp.ClientPayloadError("x"), None, "the response was cut off"),
        (UnexpectedResendError(), None, "the server closed the connection without a response"),
    ],
)
def test_describe_network_error_uses_plain_words(
    error: Exception, host: str | None, text: str
) -> None:
    """The hint to start the server is only for this machine."""
    assert describe_network_error(error, host) == text


def test_proxy_refusal_says_what_to_do() -> None:
    """407 needs a password, 403 the operator."""
    assert proxy_refusal(407, "api.example") == (
        "Refused by the proxy: it requires a user and a password (407). "
        "Use http://user:password@host:port as its URL."
    )
    assert proxy_refusal(403, "api.example") == (
        "Refused by the proxy: it does not connect to api.example (403). "
        "Ask its operator, or exclude the host with NO_PROXY."
    )
