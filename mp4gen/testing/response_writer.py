"""How an answer leaves the fake service: whole, or as badly as a test wants it; decides nothing."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus

from aiohttp import web

from .faults import Reply


async def send(request: web.Request, reply: Reply, usual: web.Response) -> web.StreamResponse:
    """Send what `reply` makes of the `usual` answer."""
    if reply.delay:
        await asyncio.sleep(reply.delay)
    answer = usual if reply.usual else _scripted(reply)
    if reply.raw is None and reply.sent is None and reply.then == "keep" and not reply.drip:
        return answer
    await _send_raw(request, reply, _bytes_of(reply, answer))
    return answer


def _scripted(reply: Reply) -> web.Response:
    headers = {"Content-Type": "application/json", **reply.headers}
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def _bytes_of(reply: Reply, answer: web.Response) -> bytes:
    if reply.raw is not None:
        return reply.raw
    body = answer.body if isinstance(answer.body, bytes) else b""
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines += ["" if "Content-Length" in answer.headers else f"Content-Length: {len(body)}"]
    head = "\r\n".join(line for line in lines if line)
    return head.encode("latin-1") + b"\r\n\r\n" + body


async def _send_raw(request: web.Request, reply: Reply, data: bytes) -> None:
    transport = request.transport
    if transport is None:
        return
    data = data[: reply.sent] if reply.sent is not None else data
    for piece in [data[i : i + 1] for i in range(len(data))] if reply.drip else [data]:
        transport.write(piece)
        await asyncio.sleep(reply.drip)
    if reply.then == "stall":
        # Until the client goes away, or the service stops.
        await asyncio.get_running_loop().create_future()
    if reply.then == "reset":
        _reset_on_close(transport)
        transport.abort()
    transport.close()


def _reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Let the end of the connection be an RST, not a FIN."""
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
