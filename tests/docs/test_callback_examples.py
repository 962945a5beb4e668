"""The callback examples run as written, on each framework's own server."""

import asyncio
import gzip
import http.client
import json
import runpy
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from werkzeug.serving import make_server

import mp4gen
from mp4gen.testing import FakeService

EXAMPLES = Path(__file__).parents[2] / ".docs" / "examples"
LIMIT = 64 * 1024


def example(name: str) -> dict[str, Any]:
    """Return what the example defines."""
    return runpy.run_path(str(EXAMPLES / f"callbacks_{name}.py"), run_name="app")


# --- each framework's own server, in a thread --------------------------------------------------


@contextmanager
def on_uvicorn(app: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, ws="none", lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


@contextmanager
def on_werkzeug(app: Any) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def on_aiohttp(app: web.Application) -> Iterator[int]:
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield runner.addresses[0][1]
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@attrs.frozen
class Served:
    """A running example: its receiver and the port of its server."""

    receiver: mp4gen.CallbackReceiver
    port: int

    def request(
        self, path: str, body: bytes = b"", *, method: str = "POST", **headers: str
    ) -> tuple[int, bytes]:
        """Send a request; return the status and the body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def aiohttp_app() -> tuple[mp4gen.CallbackReceiver, AbstractContextManager[int]]:
    receiver = mp4gen.CallbackReceiver("https://bot.example.com/mp4gen")
    app = web.Application()
    app.add_routes(receiver.routes())
    return receiver, on_aiohttp(app)


def starlette_app() -> tuple[mp4gen.CallbackReceiver, AbstractContextManager[int]]:
    names = example("starlette")
    return names["receiver"], on_uvicorn(names["app"])


def fastapi_app() -> tuple[mp4gen.CallbackReceiver, AbstractContextManager[int]]:
    """Serve the routes of the Starlette example, as its comment says."""
    names = example("starlette")
    return names["receiver"], on_uvicorn(FastAPI(routes=names["routes"]))


def flask_app() -> tuple[mp4gen.CallbackReceiver, AbstractContextManager[int]]:
    names = example("flask")
    return names["receiver"], on_werkzeug(names["app"])


APPS: list[Callable[[], tuple[mp4gen.CallbackReceiver, AbstractContextManager[int]]]] = [
    aiohttp_app,
    starlette_app,
    fastapi_app,
    flask_app,
]


@pytest.fixture(params=APPS, ids=lambda make: make.__name__)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    receiver, server = request.param()
    with server as port:
        yield Served(receiver, port)


def callback_body(task_id: str) -> bytes:
    """Return a callback as in docs.sunoapi.org, "Music Video Generation Callbacks"."""
    data = {"task_id": task_id, "video_url": "https://files.example.com/video.mp4"}
    return json.dumps({"code": 200, "msg": "MP4 generated", "data": data}).encode()


# --- the tests ---------------------------------------------------------------------------------


async def test_callback_ends_its_conversion(served: Served, mp4gen_service: FakeService) -> None:
    """The client returns the video at the callback, a minute before its next poll."""
    submitted = asyncio.Event()
    async with mp4gen_service.client(callbacks=served.receiver) as client:
        track = mp4gen.VideoRequest("music", "track")
        work = asyncio.create_task(client.convert(track, on_submitted=lambda _: submitted.set()))
        await submitted.wait()
        (task,) = mp4gen_service.tasks.values()
        address = urlsplit(task.request.callback_url or "")
        callback = address.path, callback_body(task.task_id)
        response = await asyncio.to_thread(served.request, *callback)
        video = await work
        again = await asyncio.to_thread(served.request, *callback)

    assert address.hostname == "bot.example.com"
    assert response == again == (200, b'{"status":"received"}')
    assert video.url == mp4gen_service.file_url(task.task_id)
    assert mp4gen_service.count() == 2


REJECTIONS: list[tuple[str, dict[str, Any], int]] = [
    ("unknown token", {"path": "/mp4gen/unknown", "body": callback_body("task")}, 404),
    ("no token", {"path": "/mp4gen", "body": callback_body("task")}, 404),
    ("GET", {"method": "GET"}, 405),
    ("PUT", {"method": "PUT", "body": callback_body("task")}, 405),
    ("oversized", {"body": b" " * LIMIT + callback_body("task")}, 413),
    ("compressed", {"body": gzip.compress(callback_body("task")), "Content-Encoding": "gzip"}, 415),
    ("malformed", {"body": b'{"code": 200, "data"'}, 400),
    ("empty", {}, 400),
    ("no task", {"body": b'{"code": 200, "msg": "MP4 generated", "data": null}'}, 400),
    ("wrong task", {"body": callback_body("another")}, 403),
]


async def test_invalid_callbacks_are_rejected(served: Served) -> None:
    """Each rejection has its own status, wakes no wait, and leaves the URL valid."""
    subscription = served.receiver._subscribe()
    subscription.task_id = "task"
    path = urlsplit(subscription.new_url()).path

    found = {
        name: (await asyncio.to_thread(served.request, **{"path": path, **arguments}))[0]
        for name, arguments, _ in REJECTIONS
    }
    woken = await subscription.wait(0.0)
    status, _ = await asyncio.to_thread(served.request, path, callback_body("task"))

    assert found == {name: expected for name, _, expected in REJECTIONS}
    assert not woken
    assert status == 200
    assert await subscription.wait(10.0)


async def test_endless_body_is_rejected_after_64_kib(served: Served) -> None:
    """The server responds after 64 KiB, of 10 GiB that the request announces."""
    path = urlsplit(served.receiver._subscribe().new_url()).path
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {10 << 30}\r\n\r\n"

    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with closing(writer):
        writer.write(head.encode() + bytes(LIMIT + 1))
        response = await asyncio.wait_for(reader.readline(), 10)

    assert int(response.split()[1]) == 413


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_body_in_pieces_is_joined(served: Served, *, chunked: bool) -> None:
    """A body may arrive in any number of packets and chunks."""
    subscription = served.receiver._subscribe()
    path = urlsplit(subscription.new_url()).path
    body = callback_body("task")
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\n{framing}\r\n\r\n"
    pieces = [body[start : start + 40] for start in range(0, len(body), 40)]
    if chunked:
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""]]

    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with closing(writer):
        for piece in [head.encode(), *pieces]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        response = await asyncio.wait_for(reader.readline(), 10)

    assert int(response.split()[1]) == 200
    assert await subscription.wait(10.0)
    assert subscription.last_callback is not None
    assert subscription.last_callback.task_id == "task"


async def test_concurrent_callbacks_wake_their_own_waits(served: Served) -> None:
    """Callbacks from eight threads at once reach the waits of their own tasks."""
    names = [f"task-{number}" for number in range(24)]
    subscriptions = [served.receiver._subscribe() for _ in names]
    posts = [
        (urlsplit(subscription.new_url()).path, callback_body(name))
        for name, subscription in zip(names, subscriptions, strict=True)
    ]
    waits = [asyncio.create_task(subscription.wait(10.0)) for subscription in subscriptions]

    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        responses = await asyncio.gather(
            *(loop.run_in_executor(threads, served.request, *post) for post in posts)
        )
    callbacks = [subscription.last_callback for subscription in subscriptions]

    assert {status for status, _ in responses} == {200}
    assert await asyncio.gather(*waits) == [True] * 24
    assert [callback and callback.task_id for callback in callbacks] == names
