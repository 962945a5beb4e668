"""Whoever looks just before the end of a render is held until it, within bounds."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from mp4gen.errors import RenderError
from mp4gen.server import Server
from mp4gen.server.rendering.eta import LONG_POLL_SECONDS, RenderProgress, RenderSpeed
from mp4gen.server.rendering.pool import WorkerSlot
from mp4gen.server.rendering.supervisor import SupervisedRender
from mp4gen.server.rendering.worker import RenderJob
from mp4gen.server.rendering.worker_channel import WorkerChannel

from .conftest import Caller, Serve

HELD_AT_MOST = 16
DETAILS = "/api/v1/mp4/record-info"


class Worker(Executor):
    """Tells of `seconds` of music, and fails when it is told to."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.job: Future[Any] = Future()

    def submit(self, _: Any, job: RenderJob) -> Future[Any]:  # type: ignore[override]
        WorkerChannel(job.folder).report_progress(0.0, self.seconds)
        return self.job

    def fail(self) -> None:
        """End the render."""
        if not self.job.done():
            self.job.set_exception(RenderError("no more"))

    def shutdown(self, *_: Any, **__: Any) -> None:
        self.fail()


@pytest.fixture
def short() -> Iterator[Worker]:
    """One whose render will be over in no time, as far as anybody can tell."""
    worker = Worker(0.1)
    yield worker
    worker.fail()


async def begun(caller: Caller, server: Server) -> str:
    """The id of a task whose render has told its length."""
    task_id = (await caller.generate("album", "one"))["data"]["taskId"]
    while server.progress(task_id) is None:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    return str(task_id)


async def held(caller: Caller, task_id: str) -> set[asyncio.Task[Any]]:
    """As many looks as are held at a time; the one too many was answered at once."""
    looks = [caller.get_response(DETAILS, taskId=task_id) for _ in range(HELD_AT_MOST + 1)]
    tasks = [asyncio.create_task(look) for look in looks]
    answered, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    assert [flag(task) for task in answered] == ["PENDING"]
    return waiting


def flag(look: asyncio.Task[Any]) -> str:
    """What a look said of the task."""
    _, headers, body = look.result()
    assert ("Retry-After" in headers) == (body["data"]["successFlag"] == "PENDING")
    return str(body["data"]["successFlag"])


async def test_a_look_just_before_the_end_is_answered_at_the_end(
    serve: Serve, short: Worker
) -> None:
    """The answer is that of the ended task; beyond some, callers are told to come again."""
    caller = await serve(executor=lambda: short)
    task_id = await begun(caller, caller.server)

    looks = await held(caller, task_id)
    short.fail()
    await asyncio.wait(looks)

    assert {flag(look) for look in looks} == {"GENERATE_MP4_FAILED"}


async def test_a_look_long_before_the_end_is_answered_at_once(serve: Serve) -> None:
    """Only the last moments are worth a wait."""
    worker = Worker(600.0)
    caller = await serve(executor=lambda: worker)
    task_id = await begun(caller, caller.server)

    _, headers, body = await caller.get_response(DETAILS, taskId=task_id)
    worker.fail()

    assert body["data"]["successFlag"] == "PENDING"
    assert int(headers["Retry-After"]) > 10


async def test_a_server_that_stops_holds_nobody(serve: Serve, short: Worker) -> None:
    """Its end does not wait for the render's."""
    caller = await serve(executor=lambda: short)
    task_id = await begun(caller, caller.server)

    looks = await held(caller, task_id)
    await caller.server.__aexit__(None, None, None)
    await asyncio.wait(looks)

    assert {flag(look) for look in looks} == {"PENDING"}


@pytest.mark.looptime
async def test_nobody_is_held_for_long(short: Worker) -> None:
    """A render that goes on for longer than it seemed lets its callers go, and new ones wait."""
    loop = asyncio.get_running_loop()
    progress = RenderProgress(loop.time(), 0.1, RenderSpeed())
    render = SupervisedRender(
        WorkerSlot(lambda: short), progress, timeout=9, progress_timeout=9, on_change=lambda: None
    )

    began = loop.time()
    assert await render.wait_for_end()
    assert loop.time() == pytest.approx(began + LONG_POLL_SECONDS)
    assert await render.wait_for_end()
