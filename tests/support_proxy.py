"""Loopback addresses that break or never finish connections, and a proxy that refuses."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Literal, Self
from urllib.parse import urlsplit

import attrs

_CHUNK_SIZE = 1 << 16

# Below the range from which the system gives ports to other programs meanwhile.
_PORTS = itertools.count(16_000 + os.getpid() * 397 % 14_000)


def free_port() -> int:
    """Return a port at which no server listens; each call returns another one."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@contextmanager
def full_backlog() -> Iterator[str]:
    """Yield the URL of a listener to which every connection stays in its handshake (Linux)."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # The kernel finishes this handshake by itself, and no other one until it is accepted.
        sockets.enter_context(socket.create_connection(listener.getsockname()))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@attrs.frozen(kw_only=True)
class ConnectionFault:
    """Where and how one connection breaks.

    Attributes:
        upstream_bytes: The bytes from the client that pass; None for all.
        downstream_bytes: The bytes from the server that pass; None for all.
        kind: "reset" or "close" the client's side, or "hang" to pass nothing more.
        delay: The seconds until the first byte passes.
        byte_delay: The seconds between two bytes from the server; 0 for all at once.
    """

    upstream_bytes: int | None = None
    downstream_bytes: int | None = None
    kind: Literal["reset", "close", "hang"] = "reset"
    delay: float = 0.0
    byte_delay: float = 0.0


class FaultProxy:
    """Stands between a client and a server, both in this loop.

        async with FaultProxy(service.url) as proxy:
            proxy.script(ConnectionFault(upstream_bytes=100), None)  # the second does not break
            client = mp4gen.Client(base_url=proxy.url)

    Args:
        upstream_url: The server's base URL.
        host: The address to listen on.
        port: The port to listen on; 0 for any free port.

    Attributes:
        url: The base URL to use instead.
        connections: The number of connections so far.
    """

    def __init__(self, upstream_url: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        parts = urlsplit(upstream_url)
        self._listen = host, port
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._faults: deque[ConnectionFault | None] = deque()
        self._server: asyncio.Server | None = None
        # In order, so that a simulated run is the same each time.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self.url = ""
        self.connections = 0

    def script(self, *faults: ConnectionFault | None) -> None:
        """Give each of the next connections one fault, in order; None for no fault."""
        self._faults.extend(faults)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, *self._listen)
        # A simulated network has neither sockets nor free ports.
        sockets = self._server.sockets
        host, port = sockets[0].getsockname()[:2] if sockets else self._listen
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._tasks[task] = None
        self.connections += 1
        fault = (self._faults.popleft() if self._faults else None) or ConnectionFault()
        try:
            await self._connect(fault, reader, writer)
        except (OSError, asyncio.CancelledError):
            # Either side or the proxy may end at any time.
            pass
        finally:
            writer.close()
            self._tasks.pop(task, None)

    async def _connect(
        self, fault: ConnectionFault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if fault.upstream_bytes == 0 and fault.kind == "reset":
            return _reset(writer)
        upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
        try:
            await asyncio.sleep(fault.delay)
            upstream = asyncio.create_task(_pump(reader, upstream_writer, fault.upstream_bytes))
            downstream = asyncio.create_task(
                _pump(upstream_reader, writer, fault.downstream_bytes, fault.byte_delay)
            )
            await _wait_for_cut(upstream, downstream)
            if fault.kind == "hang" and _was_cut(upstream, downstream):
                await reader.read()
            if fault.kind == "reset" and _was_cut(upstream, downstream):
                _reset(writer)
        finally:
            upstream_writer.close()
        return None


class RefusingProxy:
    """An HTTP proxy, in this loop, that answers every request and every CONNECT with one status.

    Args:
        status: The status.

    Attributes:
        url: Its URL.
        heads: The first line of each request so far.
    """

    def __init__(self, status: int) -> None:
        self._status = status
        self._server: asyncio.Server | None = None
        self.url = ""
        self.heads: list[str] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head.partition("\r\n")[0])
        writer.write(f"HTTP/1.1 {self._status} No\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


async def _wait_for_cut(*pumps: asyncio.Task[bool]) -> None:
    """Wait until one pump was cut or both have ended; leave none behind."""
    try:
        running = set(pumps)
        while running and not _was_cut(*pumps):
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if pumps[1].done():
                # The server has closed its side, so it reads nothing more.
                return
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


def _was_cut(*pumps: asyncio.Task[bool]) -> bool:
    return any(
        pump.done() and not pump.cancelled() and pump.exception() is None and pump.result()
        for pump in pumps
    )


async def _pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    max_bytes: int | None,
    byte_delay: float = 0.0,
) -> bool:
    """Pass bytes on; return True if more than `max_bytes` came, False at the end."""
    remaining = max_bytes
    while chunk := await reader.read(1 if byte_delay else _CHUNK_SIZE):
        if remaining is not None and len(chunk) > remaining:
            writer.write(chunk[:remaining])
            await writer.drain()
            return True
        writer.write(chunk)
        await writer.drain()
        remaining = remaining if remaining is None else remaining - len(chunk)
        if byte_delay:
            await asyncio.sleep(byte_delay)
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
