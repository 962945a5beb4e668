"""Receive callbacks in Starlette or FastAPI: `uvicorn callbacks_starlette:app --no-access-log`."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

import mp4gen

receiver = mp4gen.CallbackReceiver("https://bot.example.com/mp4gen")


async def callback(request: Request) -> Response:
    """Answer one callback; read no more than needed, and not for longer than ten seconds."""
    body = bytearray()
    try:
        async with asyncio.timeout(10):
            async for chunk in request.stream():
                body += chunk
                if len(body) > 64 * 1024:
                    break
    except (TimeoutError, ClientDisconnect):
        return Response(status_code=408)
    status, answer = receiver.handle(request.method, request.url.path, request.headers, bytes(body))
    return Response(answer, status, media_type="application/json")


routes = [Route("/mp4gen/{token}", callback, methods=["POST"])]
app = Starlette(routes=routes)  # or FastAPI(routes=routes)
