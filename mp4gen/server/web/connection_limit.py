"""Limits the number of open connections; knows nothing of the requests.

Each connection is an open file, and the file sent over it is another. A process at its limit of
open files can neither accept connections nor read its own files. Excess connections are answered
with 503 before the process reaches that limit.
"""

import asyncio
from typing import cast

from aiohttp import web

from mp4gen.api import protocol
from mp4gen.errors import ApiError, ConfigurationError
from mp4gen.server.process_limits import open_files, set_limit

# For the database, the workers' pipes and callbacks.
_RESERVED_FDS = 128
_FDS_PER_CONNECTION = 2
_MIN_CONNECTIONS, _MAX_CONNECTIONS = 32, 10_000
_RETRY_AFTER = 10
# What macOS allows at most, even if it names no limit.
_MACOS_FDS = 10_240


def check_fd_limit() -> None:
    """Check that the process may open enough files for a server.

    Raises:
        ConfigurationError: It may not.
    """
    needed = _RESERVED_FDS + _FDS_PER_CONNECTION * _MIN_CONNECTIONS
    _, hard = open_files()
    if hard is not None and hard < needed:
        raise ConfigurationError(
            f"Too few files may be open: {hard}. Allow at least {needed}, with ulimit -n or "
            "LimitNOFILE."
        )


def raise_fd_limit() -> int:
    """Raise the limit of open files as far as allowed; return the maximum number of connections."""
    needed = _RESERVED_FDS + _FDS_PER_CONNECTION * _MAX_CONNECTIONS
    soft, _ = open_files()
    for wanted in (needed, _MACOS_FDS):
        if soft is None or soft >= wanted or set_limit("RLIMIT_NOFILE", wanted):
            break
    soft, _ = open_files()
    allowed = needed if soft is None else soft
    return min(
        _MAX_CONNECTIONS, max(_MIN_CONNECTIONS, (allowed - _RESERVED_FDS) // _FDS_PER_CONNECTION)
    )


class ConnectionLimit:
    """Creates the protocol of each new connection: the server's own, up to the limit.

    Args:
        server: Answers the requests.
        max_connections: Maximum number of open connections.
    """

    def __init__(self, server: web.Server, max_connections: int) -> None:
        self._server, self._max_connections = server, max_connections

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of the next connection."""
        if len(self._server.connections) < self._max_connections:
            return self._server()
        return _BusyProtocol()


class _BusyProtocol(asyncio.Protocol):
    """Answers 503 immediately, with the API's code for too many requests."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer without reading the request, and close."""
        message = "Too many connections are open. Please try again later."
        body = protocol.build_error_response(ApiError(message, code=430))
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
            f"Retry-After: {_RETRY_AFTER}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        out = cast("asyncio.Transport", transport)
        out.write(head.encode() + body)
        out.close()
