"""Callers are told about the end: as documented, within a minute, and never inside the network.

Row 31 of the list of faults.
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

from mp4gen.api import protocol
from mp4gen.server.callbacks.http_post import DeliveryError, post
from mp4gen.server.callbacks.sender import CallbackSender
from mp4gen.server.callbacks.target import parse_target, wants_callback
from mp4gen.server.config import ServerConfig
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState

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
    """Somebody who takes callbacks, in the way it is told to."""

    def __init__(self) -> None:
        self.came: list[tuple[float, Any, Any]] = []
        self.answers: list[int] = []
        self.hold = 0.0
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        self.came.append((now, request.headers.copy(), await request.json()))
        await asyncio.sleep(self.hold)
        status = self.answers.pop(0) if self.answers else 200
        headers = {"Location": self.url} if 300 <= status < 400 else {}
        return web.json_response({"status": "received"}, status=status, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.add_routes([web.post("/told", receiver.take)])
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/told"
    yield receiver
    await runner.cleanup()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path / "tasks.sqlite")
    yield store
    store.close()


async def told(store: Store, task: Task, **settings: Any) -> Task:
    """Send one callback to its end; the task as it is stored after that."""
    config = ServerConfig(music=".", **{"allow_local_callbacks": True, **settings})
    sender = CallbackSender(config, store, lambda task: task.base_url)
    await store.add(task)
    sender.start()
    await sender.wait()
    return store.get(task.task_id)


async def test_a_success_is_told_as_documented(store: Store, receiver: Receiver) -> None:
    """The body has the documented names and the video's URL, and comes once."""
    expected = {
        "code": 200,
        "msg": "MP4 generated successfully.",
        "data": {"task_id": "task-1", "video_url": "http://here/files/video.mp4"},
    }

    after = await told(store, attrs.evolve(DONE, callback_url=receiver.url))

    assert [body for _, _, body in receiver.came] == [expected]
    headers = receiver.came[0][1]
    assert headers["Content-Type"] == "application/json"
    assert "X-Webhook-Signature" not in headers
    assert after.callback is CallbackState.SENT
    assert after.status == "SUCCESS"


async def test_a_failure_is_told_with_its_code(store: Store, receiver: Receiver) -> None:
    """A task that failed has no URL and the code of its failure."""
    task = attrs.evolve(DONE, state=TaskState.FAILED, error_code=400, callback_url=receiver.url)
    expected = {
        "code": 400,
        "msg": "Music video generation failed",
        "data": {"task_id": "task-1", "video_url": None},
    }

    await told(store, task)

    assert receiver.came[0][2] == expected


async def test_a_secret_signs_the_callback(store: Store, receiver: Receiver) -> None:
    """With a secret the two documented headers come along, made for the time of sending."""
    task = attrs.evolve(DONE, callback_url=receiver.url)

    await told(store, task, callback_secret="shared secret")

    headers = receiver.came[0][1]
    sent = int(headers["X-Webhook-Timestamp"])
    expected = protocol.sign_callback("task-1", "shared secret", sent)
    assert headers["X-Webhook-Signature"] == expected["X-Webhook-Signature"]


@pytest.mark.looptime
async def test_three_retries_then_a_callback_exception(store: Store, receiver: Receiver) -> None:
    """Four tries with growing waits, then the status says so and the video is still there."""
    receiver.answers = [500, 404, 302, 503, 200]

    after = await told(store, attrs.evolve(DONE, callback_url=receiver.url))

    times = [time for time, _, _ in receiver.came]
    assert [round(b - a) for a, b in itertools.pairwise(times)] == [1, 4, 15]
    assert after.status == "CALLBACK_EXCEPTION"
    assert after.video_url("http://x") == "http://x/files/video.mp4"


@pytest.mark.looptime
async def test_a_retry_that_succeeds_ends_it(store: Store, receiver: Receiver) -> None:
    """One good answer is enough."""
    receiver.answers = [500, 200]

    after = await told(store, attrs.evolve(DONE, callback_url=receiver.url))

    assert len(receiver.came) == 2
    assert after.callback is CallbackState.SENT


@pytest.mark.looptime
async def test_it_all_ends_within_a_minute(store: Store, receiver: Receiver) -> None:
    """A receiver that never answers gets 15 s each time, and no more than 60 s in all."""
    receiver.hold = 1000.0
    start = asyncio.get_running_loop().time()

    after = await told(store, attrs.evolve(DONE, callback_url=receiver.url))

    times = [round(time - start) for time, _, _ in receiver.came]
    assert times == [0, 16, 35, 55]
    assert asyncio.get_running_loop().time() - start <= 60.5
    assert after.callback is CallbackState.FAILED


async def test_a_forbidden_target_is_not_even_connected_to(
    store: Store, receiver: Receiver
) -> None:
    """By default nothing inside the network is told anything, and nothing is tried again."""
    task = attrs.evolve(DONE, callback_url=receiver.url)

    after = await told(store, task, allow_local_callbacks=False)

    assert receiver.came == []
    assert after.status == "CALLBACK_EXCEPTION"


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
async def test_no_form_of_a_local_address_is_connected_to(url: str) -> None:
    """However an address inside is written, the socket is never made."""
    met = asyncio.Event()
    server = await asyncio.start_server(lambda *_: met.set(), "127.0.0.1", 0)
    target = parse_target(url.format(port=server.sockets[0].getsockname()[1]))
    assert target is not None

    with pytest.raises(DeliveryError, match=r"not a public one|no such host") as caught:
        await post(target, b"{}", {}, allow_local=False)

    assert caught.value.permanent or "no such host" in str(caught.value)
    assert not met.is_set()
    server.close()


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%lo"]],
)
async def test_a_name_that_leads_inside_is_refused(
    found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name is judged by every address it resolves to, and connected to by that address alone."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    target = parse_target("https://rebinding.example/x")
    assert target is not None

    with pytest.raises(DeliveryError, match="not a public one"):
        await post(target, b"{}", {}, allow_local=False)

    assert asked == ["rebinding.example"]


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http://", "http://user:pw@x/", "http://x/a b", "http://x:99999/", "x", ""]
)
def test_what_is_no_target_is_told_apart(url: str) -> None:
    """Addresses that nothing can be sent to, or that carry a password, are refused."""
    assert parse_target(url) is None


def test_a_target_is_sent_to_as_it_is_written() -> None:
    """The path keeps its query, names become ASCII, odd ports are told."""
    target = parse_target("http://bücher.example:8080/cb?x=1")

    assert target is not None
    assert target.host == "xn--bcher-kva.example"
    assert target.host_header == "xn--bcher-kva.example:8080"
    assert target.path == "/cb?x=1"
    assert not wants_callback("https://mp4gen.invalid/none")
    assert wants_callback("https://music.example.com/none")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1", b"garbage\r\n", b"x" * 5000, b"HTTP/1.1 2\n"])
async def test_an_answer_that_is_not_http_is_a_failure(said: bytes) -> None:
    """Whatever a receiver says, it is a status or a failure to be tried again."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    target = parse_target(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert target is not None

    with pytest.raises(DeliveryError) as caught:
        await post(target, b"{}", {}, allow_local=True)

    assert not caught.value.permanent
    server.close()
