"""Send the fake service's responses, complete or broken, as a test scripted them."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from .scripted_response import ScriptedResponse


async def send(
    request: web.Request,
    scripted: ScriptedResponse,
    default: web.Response,
    api_headers: Mapping[str, str],
) -> web.StreamResponse:
    """Send the `default` response as `scripted` changes it, the API's with `api_headers`."""
    if scripted.delay:
        await asyncio.sleep(scripted.delay)
    response = default if scripted.is_default else _build_response(scripted)
    if response.content_type == "application/json":
        response.headers.update(api_headers)
    if (
        scripted.raw_bytes is None
        and scripted.truncate_at is None
        and scripted.connection == "keep"
        and not scripted.byte_delay
    ):
        return response
    await _send_raw(request, scripted, _serialize(scripted, response))
    return response


def _build_response(scripted: ScriptedResponse) -> web.Response:
    headers = {"Content-Type": "application/json", **scripted.headers}
    return web.Response(status=scripted.status, body=scripted.body, headers=headers)


def _serialize(scripted: ScriptedResponse, response: web.Response) -> bytes:
    if scripted.raw_bytes is not None:
        return scripted.raw_bytes
    body = response.body if isinstance(response.body, bytes) else b""
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if "Content-Length" not in response.headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def _send_raw(request: web.Request, scripted: ScriptedResponse, data: bytes) -> None:
    transport = request.transport
    if transport is None:
        return
    data = data[: scripted.truncate_at] if scripted.truncate_at is not None else data
    for piece in [data[i : i + 1] for i in range(len(data))] if scripted.byte_delay else [data]:
        transport.write(piece)
        await asyncio.sleep(scripted.byte_delay)
    if scripted.connection == "hang":
        # Until the client disconnects or the service stops.
        await asyncio.get_running_loop().create_future()
    if scripted.connection == "reset":
        # Without lingering, the connection ends with an RST instead of a FIN.
        no_linger = struct.pack("ii", 1, 0)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        transport.abort()
    transport.close()
