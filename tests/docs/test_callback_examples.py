"""The callback examples run as written, on each framework's own server."""

import asyncio
import gzip
import http.client
import json
import runpy
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
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
from mp4gen.testing import CallbackBehavior, FakeService

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


@attrs.frozen
class Conversion:
    """A conversion that waits for its callback."""

    work: asyncio.Task[mp4gen.Video]
    task_id: str
    url: str

    @property
    def path(self) -> str:
        """The path of its callback URL."""
        return urlsplit(self.url).path


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """Run the API without a rate limit; it sends no callbacks itself."""
    async with FakeService(rate_limit=None, callbacks=CallbackBehavior(loss_rate=1)) as running:
        yield running


Convert = Callable[..., Coroutine[Any, Any, Conversion]]


@pytest.fixture
async def convert(served: Served, service: FakeService) -> AsyncIterator[Convert]:
    """Return a function that submits a track with a callback URL of the example."""
    limit = mp4gen.RateLimit(1000, per=0.001)
    started: list[asyncio.Task[mp4gen.Video]] = []

    async with service.client(callbacks=served.receiver, rate_limit=limit) as client:

        async def start(audio_id: str = "track") -> Conversion:
            submitted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            request = mp4gen.VideoRequest("music", audio_id)
            work = asyncio.create_task(client.convert(request, on_submitted=submitted.set_result))
            started.append(work)
            task_id = await submitted
            return Conversion(work, task_id, service.tasks[task_id].request.callback_url or "")

        yield start
        for work in started:
            work.cancel()
        await asyncio.gather(*started, return_exceptions=True)


# --- the tests ---------------------------------------------------------------------------------


async def test_callback_ends_its_conversion(
    served: Served, service: FakeService, convert: Convert
) -> None:
    """The client returns the video at the callback, a minute before its next poll."""
    conversion = await convert()
    callback = conversion.path, callback_body(conversion.task_id)

    response = await asyncio.to_thread(served.request, *callback)
    video = await conversion.work
    again = await asyncio.to_thread(served.request, *callback)

    assert conversion.url.startswith("https://bot.example.com/mp4gen/")
    assert response == again == (200, b'{"status":"received"}')
    assert video.url == service.file_url(conversion.task_id)
    assert service.count() == 2


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


async def test_invalid_callbacks_are_rejected(
    served: Served, service: FakeService, convert: Convert
) -> None:
    """Each rejection has its own status, causes no poll, and leaves the URL valid."""
    conversion = await convert()

    found = {
        name: (await asyncio.to_thread(served.request, **{"path": conversion.path, **arguments}))[0]
        for name, arguments, _ in REJECTIONS
    }
    polls = service.count("details")
    callback = conversion.path, callback_body(conversion.task_id)
    status, _ = await asyncio.to_thread(served.request, *callback)
    video = await conversion.work

    assert found == {name: expected for name, _, expected in REJECTIONS}
    assert polls == 0
    assert status == 200
    assert video.task_id == conversion.task_id


async def test_endless_body_is_rejected_after_64_kib(served: Served, convert: Convert) -> None:
    """The server responds after 64 KiB, of 10 GiB that the request announces."""
    conversion = await convert()
    head = f"POST {conversion.path} HTTP/1.1\r\nHost: here\r\nContent-Length: {10 << 30}\r\n\r\n"

    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with closing(writer):
        writer.write(head.encode() + bytes(LIMIT + 1))
        response = await asyncio.wait_for(reader.readline(), 10)

    assert int(response.split()[1]) == 413


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_body_in_pieces_is_joined(served: Served, convert: Convert, *, chunked: bool) -> None:
    """A body may arrive in any number of packets and chunks."""
    conversion = await convert()
    body = callback_body(conversion.task_id)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = f"POST {conversion.path} HTTP/1.1\r\nHost: here\r\n{framing}\r\n\r\n"
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
    video = await asyncio.wait_for(conversion.work, 10)

    assert int(response.split()[1]) == 200
    assert video.task_id == conversion.task_id


async def test_concurrent_callbacks_end_their_own_conversions(
    served: Served, service: FakeService, convert: Convert
) -> None:
    """Callbacks from eight threads at once reach the waits of their own tasks."""
    conversions = [await convert(f"track-{number}") for number in range(24)]

    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        responses = await asyncio.gather(
            *(
                loop.run_in_executor(threads, served.request, one.path, callback_body(one.task_id))
                for one in conversions
            )
        )
    videos = await asyncio.wait_for(asyncio.gather(*(one.work for one in conversions)), 10)

    assert {status for status, _ in responses} == {200}
    assert [video.task_id for video in videos] == [one.task_id for one in conversions]
    assert service.count() == 48
