"""Runs the jobs of servers in a Dask worker, each in a process of its own with limits.

Two things make a job: a Dask task holds a thread of the worker while the job runs, and a session
brings the files and takes the video. The job ends when either of them ends.
"""

import asyncio
import contextlib
import math
import multiprocessing
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
from distributed import get_worker
from distributed.core import Status

from mp4gen.server.rendering.job_files import relocated
from mp4gen.server.rendering.pool import WorkerSlot
from mp4gen.server.rendering.worker import PIECES, RenderedVideo, RenderJob
from mp4gen.server.rendering.worker_channel import WorkerChannel

from .environment import read_environment
from .idle_slots import idle_slot
from .pieces import OPERATION as PIECES_OPERATION
from .pieces import new_folder, serve_helper
from .session import CHUNK_BYTES, OPERATION, Answer, answer_requests
from .tasks import until_cancelled

# The topic of the scheduler's events that carries the progress of all jobs.
TOPIC = "mp4gen-progress"
# Seconds between two checks of a job, and between two reports of its progress.
_CHECK_INTERVAL, _REPORT_INTERVAL = 0.1, 0.5
# Seconds that a task holds its thread before the server's session begins.
_SESSION_TIMEOUT = 30.0
# Seconds that a cancelled render has to end by itself.
_KILL_AFTER = 3.0


def set_up(dask_worker: Any) -> dict[str, Any]:
    """Prepare a worker for jobs, and return the fields of its `Environment`."""
    # Renders run in processes of their own, which the worker of a nanny could not start otherwise.
    # They end with the worker.
    multiprocessing.current_process().daemon = False

    # Dask passes the connection to an argument of this name.
    async def serve_session(comm: Any, token: str) -> Status:
        return await _serve_session(dask_worker, comm, token)

    async def serve_pieces(comm: Any, token: str) -> Status:
        if token not in _jobs:
            comm.abort()
            return Status.dont_reply
        return await serve_helper(comm, _jobs[token].folder / PIECES)

    dask_worker.handlers.setdefault(OPERATION, serve_session)
    dask_worker.handlers.setdefault(PIECES_OPERATION, serve_pieces)
    return attrs.asdict(read_environment())


class _Job:
    """What the task and the session of one job know of each other."""

    def __init__(self) -> None:
        self.has_thread, self.has_session = asyncio.Event(), asyncio.Event()
        self.has_ended = asyncio.Event()
        self.is_cancelled = False
        self.folder = Path()
        self.users = 0


_jobs: dict[str, _Job] = {}


@contextlib.contextmanager
def _joined(token: str) -> Iterator[_Job]:
    """Yield the job that the task and the session share; whichever comes first makes it."""
    job = _jobs.setdefault(token, _Job())
    job.users += 1
    try:
        yield job
    finally:
        job.users -= 1
        if not job.users:
            del _jobs[token]


async def hold_thread(token: str) -> None:
    """Hold a thread of this worker for a job: the Dask task.

    Raises:
        TimeoutError: The server does not connect.
    """
    dask_worker = get_worker()
    with _joined(token) as job:
        job.has_thread.set()
        async with asyncio.timeout(_SESSION_TIMEOUT):
            await job.has_session.wait()
        ended = asyncio.ensure_future(job.has_ended.wait())
        await until_cancelled(dask_worker, token, ended)
        job.is_cancelled = not ended.done()
        await ended


async def _serve_session(dask_worker: Any, comm: Any, token: str) -> Status:
    folder = await asyncio.to_thread(new_folder, dask_worker.local_directory)
    with _joined(token) as job:
        job.folder = folder
        job.has_session.set()
        try:
            await answer_requests(comm, _JobSession(dask_worker, token, job, folder).handle)
        finally:
            job.has_ended.set()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return Status.dont_reply


class _JobSession:
    """Handles the requests of one job."""

    def __init__(self, dask_worker: Any, token: str, job: _Job, folder: Path) -> None:
        self._worker, self._token, self._job, self._folder = dask_worker, token, job, folder
        self._channel = WorkerChannel(folder)
        self._reported: dict[str, Any] = {}

    async def handle(self, request: dict[str, Any]) -> Answer:
        """Return the answer to one request."""
        match request["do"]:
            case "begin":
                await self._job.has_thread.wait()
                return {}
            case "put":
                await asyncio.to_thread(self._append, request["name"], request["data"])
                return {}
            case "render":
                job, paths, memory_limit = pickle.loads(request["job"])  # noqa: S301 - as in Dask
                video = await self._render(relocated(job, self._folder, paths), memory_limit)
                return {"result": pickle.dumps(video)}
            case "get":
                return {"data": await asyncio.to_thread(self._read, request["offset"])}
        raise ValueError(f"Unknown request: {request['do']!r}. Use the same version of mp4gen.")

    def _append(self, name: str, data: bytes) -> None:
        path = self._folder / "files" / PurePosixPath(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)

    def _read(self, offset: int) -> bytes:
        with (self._folder / "video.mp4").open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)

    async def _render(self, job: RenderJob, memory_limit: int) -> RenderedVideo:
        with idle_slot(memory_limit) as slot:
            rendering = asyncio.ensure_future(slot.render(job))
            try:
                await self._supervise(rendering, slot)
            finally:
                if not rendering.done():
                    slot.kill()
                await asyncio.wait({rendering})
            return rendering.result()

    async def _supervise(self, rendering: asyncio.Future[RenderedVideo], slot: WorkerSlot) -> None:
        """Report the progress until the render ends, and end it if the job is cancelled."""
        loop = asyncio.get_running_loop()
        next_report, kill_at = 0.0, math.inf
        while not (await asyncio.wait({rendering}, timeout=_CHECK_INTERVAL))[0]:
            now = loop.time()
            if now >= next_report:
                next_report = now + _REPORT_INTERVAL
                self._report()
            if self._job.is_cancelled and kill_at == math.inf:
                kill_at = now + _KILL_AFTER
                self._channel.cancel()
            if now > kill_at:
                slot.kill()
                kill_at = math.inf

    def _report(self) -> None:
        """Report by the scheduler how far the render is, if that has changed."""
        if not self._channel.has_begun:
            return
        helpers = self._channel.requested_helpers
        report = {"progress": self._channel.read_progress(), "helpers": helpers}
        if report != self._reported:
            self._reported = report
            self._worker.log_event(TOPIC, {"token": self._token, **report})
