"""The examples for callbacks, run as written on each framework's own server."""

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
    """An example that runs: its receiver, and the port of its server."""

    receiver: mp4gen.CallbackReceiver
    port: int

    def ask(
        self, path: str, body: bytes = b"", *, method: str = "POST", **headers: str
    ) -> tuple[int, bytes]:
        """One real request; the status and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
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
    """As the example's comment says."""
    names = example("starlette")
    return names["receiver"], on_uvicorn(FastAPI(routes=names["routes"]))


def flask_app() -> tuple[mp4gen.CallbackReceiver, AbstractContextManager[int]]:
    names = example("flask")
    return names["receiver"], on_werkzeug(names["app"])


MAKERS: list[Callable[[], tuple[mp4gen.CallbackReceiver, AbstractContextManager[int]]]] = [
    aiohttp_app,
    starlette_app,
    fastapi_app,
    flask_app,
]


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    receiver, server = request.param()
    with server as port:
        yield Served(receiver, port)


def told(task_id: str) -> bytes:
    """A callback as docs.sunoapi.org, "Music Video Generation Callbacks", has it."""
    data = {"task_id": task_id, "video_url": "https://files.example.com/video.mp4"}
    return json.dumps({"code": 200, "msg": "MP4 generated", "data": data}).encode()


# --- the tests ---------------------------------------------------------------------------------


async def test_a_callback_ends_its_conversion(served: Served, mp4gen_service: FakeService) -> None:
    """A client that would look in a minute has its video as soon as the service calls back."""
    submitted = asyncio.Event()
    async with mp4gen_service.client(callbacks=served.receiver) as client:
        track = mp4gen.VideoRequest("music", "track")
        work = asyncio.create_task(client.convert(track, on_submitted=lambda _: submitted.set()))
        await submitted.wait()
        (task,) = mp4gen_service.tasks.values()
        address = urlsplit(task.request.callback_url or "")
        answer = await asyncio.to_thread(served.ask, address.path, told(task.task_id))
        video = await work
        again = await asyncio.to_thread(served.ask, address.path, told(task.task_id))

    assert address.hostname == "bot.example.com"
    assert answer == again == (200, b'{"status":"received"}')
    assert video.url == mp4gen_service.file_url(task.task_id)
    assert mp4gen_service.count() == 2


REFUSALS: list[tuple[str, dict[str, Any], int]] = [
    ("unknown token", {"path": "/mp4gen/nobody", "body": told("task")}, 404),
    ("no token", {"path": "/mp4gen", "body": told("task")}, 404),
    ("GET", {"method": "GET"}, 405),
    ("PUT", {"method": "PUT", "body": told("task")}, 405),
    ("oversized", {"body": b" " * LIMIT + told("task")}, 413),
    ("compressed", {"body": gzip.compress(told("task")), "Content-Encoding": "gzip"}, 415),
    ("malformed", {"body": b'{"code": 200, "data"'}, 400),
    ("empty", {}, 400),
    ("no task", {"body": b'{"code": 200, "msg": "MP4 generated", "data": null}'}, 400),
    ("wrong task", {"body": told("another")}, 403),
]


async def test_what_is_no_callback_is_refused(served: Served) -> None:
    """Every refusal has its status, wakes nobody, and leaves the address as good as it was."""
    ticket = served.receiver._subscribe()
    ticket.task_id = "task"
    path = urlsplit(ticket.new_url()).path

    found = {
        name: (await asyncio.to_thread(served.ask, **{"path": path, **asked}))[0]
        for name, asked, _ in REFUSALS
    }
    woken = await ticket.wait(0.0)
    status, _ = await asyncio.to_thread(served.ask, path, told("task"))

    assert found == {name: expected for name, _, expected in REFUSALS}
    assert not woken
    assert status == 200
    assert await ticket.wait(10.0)


async def test_a_body_without_end_is_not_read_to_its_end(served: Served) -> None:
    """The refusal comes after 64 KiB at most, of the gigabytes that were announced."""
    path = urlsplit(served.receiver._subscribe().new_url()).path
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {10 << 30}\r\n\r\n"

    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with closing(writer):
        writer.write(head.encode() + bytes(LIMIT + 1))
        answer = await asyncio.wait_for(reader.readline(), 10)

    assert int(answer.split()[1]) == 413


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_body_in_pieces_is_put_together(served: Served, *, chunked: bool) -> None:
    """A body may come in as many packets, and as many chunks, as the network likes."""
    ticket = served.receiver._subscribe()
    body = told("task")
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = f"POST {urlsplit(ticket.new_url()).path} HTTP/1.1\r\nHost: here\r\n{framing}\r\n\r\n"
    pieces = [body[start : start + 40] for start in range(0, len(body), 40)]
    if chunked:
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""]]

    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with closing(writer):
        for piece in [head.encode(), *pieces]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        answer = await asyncio.wait_for(reader.readline(), 10)

    assert int(answer.split()[1]) == 200
    assert await ticket.wait(10.0)
    assert ticket.last_callback is not None
    assert ticket.last_callback.task_id == "task"


async def test_many_at_once_wake_each_its_own(served: Served) -> None:
    """Callbacks that arrive together, from eight threads, reach the waits that they belong to."""
    tickets = {f"task-{number}": served.receiver._subscribe() for number in range(24)}
    posts = [(urlsplit(ticket.new_url()).path, told(name)) for name, ticket in tickets.items()]
    waits = [asyncio.create_task(ticket.wait(10.0)) for ticket in tickets.values()]

    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        answers = await asyncio.gather(
            *(loop.run_in_executor(threads, served.ask, *post) for post in posts)
        )

    assert {status for status, _ in answers} == {200}
    assert await asyncio.gather(*waits) == [True] * 24
    assert [
        ticket.last_callback and ticket.last_callback.task_id for ticket in tickets.values()
    ] == [*tickets]
