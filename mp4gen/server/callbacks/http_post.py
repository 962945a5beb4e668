"""One HTTP POST to an address that was checked: nothing else is ever connected to.

A callback's address is chosen by a caller, so it could name what only this machine can reach. It
is resolved once, every address found is judged, and the connection is made to that very address:
a name that points elsewhere a moment later changes nothing. No redirect is followed, and of the
answer no more than its status line is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Mapping

from mp4gen.addresses import is_public

from .target import Target

_AGENT = "mp4gen"
_STATUS_LINE = 1024


class DeliveryError(Exception):
    """The POST was not delivered.

    Attributes:
        permanent: whether another try would end the same way.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


async def post(
    target: Target, body: bytes, headers: Mapping[str, str], *, allow_local: bool
) -> int:
    """Send JSON to `target`.

    Args:
        target: where to.
        body: the JSON.
        headers: more headers; their values must be plain text.
        allow_local: whether loopback and private addresses may be connected to.

    Returns:
        The HTTP status of the answer.

    Raises:
        PostError: a forbidden address, no connection, or no HTTP answer.
    """
    addresses = await _resolve(target, allow_local=allow_local)
    reader, writer = await _connect(target, addresses)
    try:
        writer.write(_build_request(target, body, headers))
        await writer.drain()
        return _status(await reader.readuntil(b"\n"))
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise DeliveryError(f"no HTTP answer: {_reason(error)}") from error
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _connect(
    target: Target, addresses: list[str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of `addresses` that takes one."""
    trust = ssl.create_default_context() if target.secure else None
    name = target.host if target.secure else None
    problem: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(
                address, target.port, ssl=trust, server_hostname=name, limit=_STATUS_LINE
            )
        except OSError as error:
            problem = error
    raise DeliveryError(f"no connection: {_reason(problem)}") from problem


async def _resolve(target: Target, *, allow_local: bool) -> list[str]:
    """The addresses to connect to, judged.

    One forbidden address among several makes the name forbidden: it is no honest one.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DeliveryError(f"no such host: {_reason(error)}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not allow_local and not all(map(is_public, addresses)):
        raise DeliveryError("its address is not a public one", permanent=True)
    return addresses


def _build_request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = {
        "Host": target.host_header,
        "User-Agent": _AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not status.isdigit():
        raise DeliveryError("the answer is not HTTP")
    return int(status)


def _reason(error: Exception | None) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
