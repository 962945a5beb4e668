"""A TCP proxy on loopback that breaks connections where a test wants it; reads no HTTP."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import attrs

_CHUNK = 1 << 16


@attrs.frozen(kw_only=True)
class Cut:
    """Where one connection breaks, and how.

    Attributes:
        after_up: bytes from the client that get through; None for all.
        after_down: bytes from the server that get through; None for all.
        how: "reset" or "close" the client's side, or "stall": let nothing through any more.
        delay: seconds until the first byte gets through.
        drip: seconds between one byte from the server and the next; 0 for all at once.
    """

    after_up: int | None = None
    after_down: int | None = None
    how: Literal["reset", "close", "stall"] = "reset"
    delay: float = 0.0
    drip: float = 0.0


class FaultProxy:
    """Stands between a client and a server, both in this loop.

        async with FaultProxy(service.url) as proxy:
            proxy.script(Cut(after_up=100), None)       # the first breaks, the second does not
            client = mp4gen.Client(base_url=proxy.url)

    Args:
        to: the server's base URL.
        host: the address to listen on, and to be reached at.
        port: where to listen; 0 for any free port.

    Attributes:
        url: the base URL to use instead.
        connections: how many were opened.
    """

    def __init__(self, to: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        parts = urlsplit(to)
        self._listen = host, port
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._cuts: deque[Cut | None] = deque()
        self._server: asyncio.Server | None = None
        # In their order: a simulated run shall be the same each time.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self.url = ""
        self.connections = 0

    def script(self, *cuts: Cut | None) -> None:
        """Treat the next connections so, one each, in order; None leaves one alone."""
        self._cuts.extend(cuts)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, *self._listen)
        # A simulated network has no sockets to ask, and no free port to choose either.
        sockets = self._server.sockets
        host, port = sockets[0].getsockname()[:2] if sockets else self._listen
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        cut = (self._cuts.popleft() if self._cuts else None) or Cut()
        try:
            await self._connect(cut, reader, writer)
        except (OSError, asyncio.CancelledError):
            # Either side may go away at any time, and so may the proxy.
            pass
        finally:
            writer.close()
            self._tasks.pop(task, None)

    async def _connect(
        self, cut: Cut, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if cut.after_up == 0 and cut.how == "reset":
            return _reset(writer)
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        try:
            await asyncio.sleep(cut.delay)
            up = asyncio.create_task(_pump(reader, up_writer, cut.after_up))
            down = asyncio.create_task(_pump(up_reader, writer, cut.after_down, cut.drip))
            await _first_cut(up, down)
            if cut.how == "stall" and _was_cut(up, down):
                await reader.read()
            if cut.how == "reset" and _was_cut(up, down):
                _reset(writer)
        finally:
            up_writer.close()
        return None


async def _first_cut(*pumps: asyncio.Task[bool]) -> None:
    """Return when one pump was cut, or both are through; leave none behind."""
    try:
        waiting = set(pumps)
        while waiting and not _was_cut(*pumps):
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if pumps[1].done():
                # A server that is through has nothing left to hear.
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
    most: int | None,
    drip: float = 0.0,
) -> bool:
    """Pass bytes on; True once `most` are through and another one came, False at the end."""
    left = most
    while chunk := await reader.read(1 if drip else _CHUNK):
        if left is not None and len(chunk) > left:
            writer.write(chunk[:left])
            await writer.drain()
            return True
        writer.write(chunk)
        await writer.drain()
        left = left if left is None else left - len(chunk)
        if drip:
            await asyncio.sleep(drip)
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
