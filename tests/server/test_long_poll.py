"""Polls of a running render are held until its end, for some seconds and up to a number."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from mp4gen.errors import RenderError
from mp4gen.server import Server
from mp4gen.server.rendering.eta import RenderProgress, RenderSpeed
from mp4gen.server.rendering.pool import WorkerSlot
from mp4gen.server.rendering.supervisor import LONG_POLL_SECONDS, SupervisedRender
from mp4gen.server.rendering.worker import RenderJob
from mp4gen.server.rendering.worker_channel import WorkerChannel

from .conftest import Caller, Serve

MAX_WAITERS = 16
DETAILS = "/api/v1/mp4/record-info"


class Worker(Executor):
    """Reports a duration of one minute, and fails on demand."""

    def __init__(self) -> None:
        self.job: Future[Any] = Future()

    def submit(self, _: Any, job: RenderJob) -> Future[Any]:  # type: ignore[override]
        WorkerChannel(job.folder).report_progress(0.0, 60.0)
        return self.job

    def fail(self) -> None:
        """End the render."""
        if not self.job.done():
            self.job.set_exception(RenderError("It failed."))

    def shutdown(self, *_: Any, **__: Any) -> None:
        self.fail()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.fail()


async def start_render(caller: Caller, server: Server) -> str:
    """Return the id of a task whose render reported its duration."""
    task_id = (await caller.generate("album", "one"))["data"]["taskId"]
    while server.progress(task_id) is None:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.01)
    return str(task_id)


async def hold_polls(caller: Caller, task_id: str) -> set[asyncio.Task[Any]]:
    """Return as many polls as are held at a time; one more is answered immediately."""
    polls = [caller.get_response(DETAILS, taskId=task_id) for _ in range(MAX_WAITERS + 1)]
    tasks = [asyncio.create_task(poll) for poll in polls]
    first = asyncio.FIRST_COMPLETED
    answered, held = await asyncio.wait(tasks, timeout=LONG_POLL_SECONDS / 2, return_when=first)

    assert [status(task) for task in answered] == ["PENDING"]
    return held


def status(poll: asyncio.Task[Any]) -> str:
    """Return the status of the task; a pending one comes with `Retry-After`."""
    _, headers, body = poll.result()
    assert ("Retry-After" in headers) == (body["data"]["successFlag"] == "PENDING")
    return str(body["data"]["successFlag"])


async def test_poll_is_answered_at_the_end(serve: Serve, worker: Worker) -> None:
    """Held polls return the finished task; beyond the maximum, a poll returns at once."""
    caller = await serve(executor=lambda: worker)
    task_id = await start_render(caller, caller.server)

    polls = await hold_polls(caller, task_id)
    worker.fail()
    await asyncio.wait(polls)

    assert {status(poll) for poll in polls} == {"GENERATE_MP4_FAILED"}


async def test_poll_is_released_when_the_server_stops(serve: Serve, worker: Worker) -> None:
    """A stop does not wait for the end of the render."""
    caller = await serve(executor=lambda: worker)
    task_id = await start_render(caller, caller.server)

    polls = await hold_polls(caller, task_id)
    await caller.server.__aexit__(None, None, None)
    await asyncio.wait(polls)

    assert {status(poll) for poll in polls} == {"PENDING"}


@pytest.mark.looptime
async def test_poll_is_released_after_some_seconds(worker: Worker) -> None:
    """A poll is held for a limited time, by far less than the client's request timeout."""
    render = supervised(worker)
    loop = asyncio.get_running_loop()
    began = loop.time()

    assert await render.wait_for_end()
    assert loop.time() == pytest.approx(began + LONG_POLL_SECONDS)
    assert LONG_POLL_SECONDS < 5


@pytest.mark.looptime
async def test_poll_is_released_when_the_task_is_deleted(worker: Worker) -> None:
    """A stopped render holds no poll, although its worker may need a moment to end."""
    render = supervised(worker)
    poll = asyncio.create_task(render.wait_for_end())
    await asyncio.sleep(1.0)

    render.stop()

    assert await asyncio.wait_for(poll, 0.1)


def supervised(worker: Worker) -> SupervisedRender:
    progress = RenderProgress(asyncio.get_running_loop().time(), 60.0, RenderSpeed())
    return SupervisedRender(
        WorkerSlot(lambda: worker), progress, timeout=9, progress_timeout=9, on_change=lambda: None
    )
