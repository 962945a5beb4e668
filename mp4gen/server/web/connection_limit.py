"""Bounds how many connections are open at once; knows nothing of what is asked over them.

Each connection is an open file, and what is sent over it is often another. Where a process may open
no more, it can neither let anybody in nor read its own files, so the last ones are told to come
back before that.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

from aiohttp import web

from mp4gen.api import protocol
from mp4gen.errors import ApiError

# For the database, the workers' pipes and callbacks.
_RESERVED_FDS = 128
_FDS_PER_CONNECTION = 2
_MIN_CONNECTIONS, _MAX_CONNECTIONS = 32, 10_000
_RETRY_AFTER = 10


def raise_fd_limit() -> int:
    """Let this process open as many files as the system allows; how many connections that is."""
    if sys.platform == "win32":
        return _MAX_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _RESERVED_FDS + _FDS_PER_CONNECTION * _MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    else:
        soft = needed
    return min(
        _MAX_CONNECTIONS, max(_MIN_CONNECTIONS, (soft - _RESERVED_FDS) // _FDS_PER_CONNECTION)
    )


class ConnectionLimit:
    """Makes the protocol of each new connection: the server's own, while there is room.

    Args:
        server: what answers.
        max_connections: connections at once.
    """

    def __init__(self, server: web.Server, max_connections: int) -> None:
        self._server, self._max_connections = server, max_connections

    def __call__(self) -> asyncio.Protocol:
        """The protocol of the next connection."""
        if len(self._server.connections) < self._max_connections:
            return self._server()
        return _BusyProtocol()


class _BusyProtocol(asyncio.Protocol):
    """Says at once that there is no room, in a way that callers of the API understand too."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything was asked, and leave."""
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
