"""Callbacks: sent as documented, within a minute, and never into the private network.

Failure mode 31.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web

from mp4gen.api import callbacks
from mp4gen.server.callbacks.http_post import DeliveryError, parse_target, post, wants_callback
from mp4gen.server.callbacks.sender import CallbackSender
from mp4gen.server.config import ServerConfig
from mp4gen.server.counters import Counters
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState

from .conftest import Serve, Visitor, write_song

DONE = Task(
    task_id="task-1",
    account="",
    music_task_id="album",
    audio_id="one",
    filename="video.mp4",
    base_url="http://here",
    state=TaskState.DONE,
    callback=CallbackState.DUE,
    created_at=1.0,
    completed_at=2.0,
)


class Receiver:
    """Records callbacks and answers with scripted statuses, after a delay in seconds."""

    def __init__(self) -> None:
        self.received: list[tuple[float, Any, Any]] = []
        self.statuses: list[int] = []
        self.called = asyncio.Event()
        self.delay = 0.0
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        self.received.append((now, request.headers.copy(), await request.json()))
        self.called.set()
        await asyncio.sleep(self.delay)
        status = self.statuses.pop(0) if self.statuses else 200
        headers = {"Location": self.url} if 300 <= status < 400 else {}
        return web.json_response({"status": "received"}, status=status, headers=headers)


async def resolve_to_loopback(_: str, port: int, **__: Any) -> list[Any]:
    return [(2, 1, 6, "", ("127.0.0.1", port))]


@contextlib.asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Let a receiver listen on a free port."""
    app = web.Application()
    app.add_routes([web.post("/callback", receiver.receive)])
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path / "tasks.sqlite")
    yield store
    store.close()


async def send_due(store: Store, **settings: Any) -> None:
    """Start a sender, as a server does, and wait until it has nothing more to send."""
    config = ServerConfig(music=".", **{"allow_local_callbacks": True, **settings})
    sender = CallbackSender(config, store, lambda task: task.base_url, Counters())
    sender.start()
    await asyncio.gather(*sender._sending)


async def send(store: Store, task: Task, **settings: Any) -> Task:
    """Return the stored task after its callback was delivered or has failed."""
    await store.add(task)
    await send_due(store, **settings)
    return store.get(task.task_id)


async def test_success_callback_has_documented_body(store: Store, receiver: Receiver) -> None:
    """The body has the documented names and the video's URL, and is sent once."""
    expected = {
        "code": 200,
        "msg": "MP4 generated successfully.",
        "data": {"task_id": "task-1", "video_url": "http://here/files/video.mp4"},
    }

    after = await send(store, attrs.evolve(DONE, callback_url=receiver.url))

    assert [body for _, _, body in receiver.received] == [expected]
    headers = receiver.received[0][1]
    assert headers["Content-Type"] == "application/json"
    assert "X-Webhook-Signature" not in headers
    assert after.callback is CallbackState.SENT
    assert after.status == "SUCCESS"


async def test_failure_callback_has_error_code(store: Store, receiver: Receiver) -> None:
    """A failed task has no URL and the code of its failure."""
    task = attrs.evolve(DONE, state=TaskState.FAILED, error_code=400, callback_url=receiver.url)
    expected = {
        "code": 400,
        "msg": "Music video generation failed",
        "data": {"task_id": "task-1", "video_url": None},
    }

    await send(store, task)

    assert receiver.received[0][2] == expected


async def test_callback_is_signed_with_secret(store: Store, receiver: Receiver) -> None:
    """With a secret the two documented headers are sent, made for the time of sending."""
    task = attrs.evolve(DONE, callback_url=receiver.url)

    await send(store, task, callback_secret="shared secret")

    headers = receiver.received[0][1]
    sent = int(headers["X-Webhook-Timestamp"])
    expected = callbacks.sign_callback("task-1", "shared secret", sent)
    assert headers["X-Webhook-Signature"] == expected["X-Webhook-Signature"]


@pytest.mark.looptime
async def test_callback_fails_after_three_retries(store: Store, receiver: Receiver) -> None:
    """Four attempts with growing delays; then the status says so and the video is still there."""
    receiver.statuses = [500, 404, 302, 503, 200]

    after = await send(store, attrs.evolve(DONE, callback_url=receiver.url))

    times = [time for time, _, _ in receiver.received]
    assert [round(b - a) for a, b in itertools.pairwise(times)] == [1, 4, 15]
    assert after.status == "CALLBACK_EXCEPTION"
    assert after.video_url("http://x") == "http://x/files/video.mp4"


@pytest.mark.looptime
async def test_callback_is_sent_after_a_retry(store: Store, receiver: Receiver) -> None:
    """One successful response is enough."""
    receiver.statuses = [500, 200]

    after = await send(store, attrs.evolve(DONE, callback_url=receiver.url))

    assert len(receiver.received) == 2
    assert after.callback is CallbackState.SENT


@pytest.mark.looptime
async def test_callback_attempts_end_within_a_minute(store: Store, receiver: Receiver) -> None:
    """A receiver that never responds gets 15 s an attempt, and at most 60 s in total."""
    receiver.delay = 1000.0
    start = asyncio.get_running_loop().time()

    after = await send(store, attrs.evolve(DONE, callback_url=receiver.url))

    times = [round(time - start) for time, _, _ in receiver.received]
    assert times == [0, 16, 35, 55]
    assert asyncio.get_running_loop().time() - start <= 60.5
    assert after.callback is CallbackState.FAILED


@pytest.mark.looptime
@pytest.mark.parametrize("hosts", ["one host", "many hosts"])
async def test_dead_receivers_delay_no_healthy_callback(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    """40 callbacks of receivers that never respond hold up another one for 5 s at most.

    Failure mode 62.
    """
    dead = Receiver()
    dead.delay = 1000.0
    async with listening(dead):
        port = dead.url.rpartition(":")[2].partition("/")[0]
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve_to_loopback)
        for number in range(40):
            host = f"dead{number if hosts == 'many hosts' else ''}.example"
            name = f"dead-{number}"
            unique = {"task_id": name, "render_variant": name, "filename": name}
            url = f"http://{host}:{port}/callback"
            await store.add(attrs.evolve(DONE, **unique, callback_url=url))
        await store.add(attrs.evolve(DONE, callback_url=receiver.url))
        start = asyncio.get_running_loop().time()

        config = ServerConfig(music=".", allow_local_callbacks=True)
        sender = CallbackSender(config, store, lambda task: task.base_url, Counters())
        sender.start()
        await receiver.called.wait()
        waited = asyncio.get_running_loop().time() - start
        await sender.stop()

    assert waited <= 5.0
    assert 0 < len(dead.received) <= 40


@pytest.mark.looptime
async def test_address_that_says_nothing_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that accepts the connection and is silent leaves its turn after 3 s.

    Failure mode 62.
    """
    loop = asyncio.get_running_loop()
    connected: list[tuple[str, float]] = []
    connections: list[asyncio.Task[Any] | None] = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.current_task())
        connected.append((writer.get_extra_info("sockname")[0], loop.time()))
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
        writer.close()

    # All addresses of this machine, so that both have the same port.
    server = await asyncio.start_server(say_nothing, "0.0.0.0", 0)  # noqa: S104 - for an instant
    port = server.sockets[0].getsockname()[1]

    async def resolve(_: str, port: int, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    start = loop.time()

    with pytest.raises(DeliveryError, match="No connection within 3 s"):
        await post(f"https://x.example:{port}/", b"", {}, allow_local=True, connect_timeout=3.0)

    assert [(address, round(at - start)) for address, at in connected] == [
        ("127.0.0.2", 0),
        ("127.0.0.1", 3),
    ]
    server.close()
    await asyncio.wait([one for one in connections if one is not None])


async def test_private_target_is_refused_by_default(store: Store, receiver: Receiver) -> None:
    """By default nothing is sent into the private network, and nothing is retried."""
    task = attrs.evolve(DONE, callback_url=receiver.url)

    after = await send(store, task, allow_local_callbacks=False)

    assert receiver.received == []
    assert after.status == "CALLBACK_EXCEPTION"


async def test_invalid_callback_url_ends_the_callback(store: Store) -> None:
    """A URL that no client can parse fails its callback, which must not stay due for ever."""
    task = attrs.evolve(DONE, callback_url="http://x\\y/")

    after = await send(store, task)

    assert after.callback is CallbackState.FAILED
    assert store.callbacks_due() == []


async def test_start_sends_only_due_callbacks_of_finished_tasks(
    store: Store, receiver: Receiver
) -> None:
    """After a restart, a callback that was sent, or whose task is unfinished, is not sent."""
    task = attrs.evolve(DONE, callback_url=receiver.url)
    states = [
        (TaskState.DONE, CallbackState.DUE),
        (TaskState.FAILED, CallbackState.DUE),
        (TaskState.QUEUED, CallbackState.DUE),
        (TaskState.RENDERING, CallbackState.DUE),
        (TaskState.DONE, CallbackState.SENT),
        (TaskState.DONE, CallbackState.FAILED),
        (TaskState.DONE, CallbackState.NONE),
    ]
    for i, (state, callback) in enumerate(states):
        name = f"task-{i}"
        unique = {"task_id": name, "render_variant": name, "filename": name}
        await store.add(attrs.evolve(task, **unique, state=state, callback=callback))

    await send_due(store)
    await send_due(store)

    received = sorted(body["data"]["task_id"] for _, _, body in receiver.received)
    assert received == ["task-0", "task-1"]


@pytest.mark.slow
async def test_deleted_task_sends_no_callback(
    serve: Serve, music: Path, receiver: Receiver
) -> None:
    """A task that is deleted while it renders sends no callback; a finished one sends one."""
    write_song(music / "album" / "long.wav", 90.0)
    caller = await serve(allow_local_callbacks=True)
    visitor = Visitor(caller.url)
    await visitor.open()

    created = await caller.generate("album", "long", callBackUrl=receiver.url)
    deleted = await visitor.ask("DELETE", f"/page/videos/{created['data']['taskId']}")
    other = await caller.create_and_wait("album", "one", callBackUrl=receiver.url)
    await visitor.session.close()

    assert deleted[0] == 200
    async with asyncio.timeout(100):
        await receiver.called.wait()
    assert [body["data"]["task_id"] for _, _, body in receiver.received] == [other["taskId"]]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    """A redirect is a response like any other: it could lead into the private network."""
    receiver.statuses = [status]

    assert await post(receiver.url, b"{}", {}, allow_local=True, connect_timeout=3.0) == status
    assert len(receiver.received) == 1


FORBIDDEN = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::]:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]:{port}/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://[fc00::1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[::127.0.0.1]/",
    "http://224.0.0.1/",
    "http://100.64.0.1/",
]


@pytest.mark.parametrize("url", FORBIDDEN)
async def test_private_address_is_refused_in_any_spelling(url: str) -> None:
    """However a private address is written, no connection is made."""
    connected = asyncio.Event()
    server = await asyncio.start_server(lambda *_: connected.set(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    with pytest.raises(DeliveryError, match=r"address is not public|URL is invalid") as caught:
        await post(url.format(port=port), b"{}", {}, allow_local=False, connect_timeout=3.0)

    assert caught.value.permanent
    assert not connected.is_set()
    server.close()


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%lo"]],
)
async def test_name_with_a_private_address_is_refused(
    found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One private address among those of a name refuses it; the name is resolved once."""
    loop = asyncio.get_running_loop()
    resolved: list[str] = []
    connected: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        resolved.append(host)
        return [(2, 1, 6, "", (address, port)) for address in found]

    async def connect(_: object, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "sock_connect", connect)

    with pytest.raises(DeliveryError, match="address is not public"):
        await post("https://rebinding.example/x", b"{}", {}, allow_local=False, connect_timeout=3.0)

    assert resolved == ["rebinding.example"]
    assert connected == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "http://",
        "http://user:pw@x/",
        "http://x/a b",
        "http://x:99999/",
        "http://x\\y/",
        "x",
        "",
    ],
)
def test_parse_target_rejects_unusable_urls(url: str) -> None:
    """URLs that nothing can be sent to, or that contain a password, are rejected."""
    assert parse_target(url) is None


async def test_target_is_requested_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path and the query stay as they are, names become ASCII, other ports are in `Host`."""
    requests: list[bytes] = []
    resolved: list[str] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        resolved.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    url = f"http://bücher.example:{port}/cb/%7e?x=1&%41"

    assert await post(url, b"{}", {}, allow_local=True, connect_timeout=3.0) == 204

    server.close()
    lines = requests[0].decode().split("\r\n")
    assert lines[0] == "POST /cb/%7e?x=1&%41 HTTP/1.1"
    assert f"Host: xn--bcher-kva.example:{port}" in lines
    assert "User-Agent: mp4gen" in lines
    assert "Content-Length: 2" in lines
    assert "Connection: close" in lines
    assert resolved == ["xn--bcher-kva.example"]


def test_wants_callback_ignores_placeholder_hosts() -> None:
    """Names below `.invalid` never exist, so no callback is sent there."""
    assert not wants_callback("https://mp4gen.invalid/none")
    assert not wants_callback("https://INVALID./none")
    assert wants_callback("https://music.example.com/none")
    assert wants_callback("https://notinvalid/none")


@pytest.mark.parametrize(
    "response", [b"", b"HTTP/1.1", b"garbage\r\n", b"x" * 5000, b"HTTP/1.1 2\n"]
)
async def test_invalid_http_response_can_be_retried(response: bytes) -> None:
    """A response without a status is a temporary failure."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    with pytest.raises(DeliveryError) as caught:
        await post(f"http://127.0.0.1:{port}/", b"{}", {}, allow_local=True, connect_timeout=3.0)

    assert not caught.value.permanent
    server.close()
