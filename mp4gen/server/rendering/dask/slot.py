"""Renders one job at a time on one worker of a cluster: the server's side."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import Coroutine
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import attrs
from distributed import KilledWorker
from distributed.client import FutureCancelledError

from mp4gen.server.data_dir import random_token
from mp4gen.server.rendering.job_files import files_of
from mp4gen.server.rendering.pool import WorkerDiedError
from mp4gen.server.rendering.worker import RenderedVideo, RenderJob, check_inside
from mp4gen.server.rendering.worker_channel import WorkerChannel
from mp4gen.server.troubles import TransientError, WorkerLostError

from . import job as worker_side
from .session import CHUNK_BYTES, Session, SessionEndedError, open_session

if TYPE_CHECKING:
    from .connection import Cluster, ClusterWorker

_CHECK_INTERVAL = 0.2
_CONNECT_TIMEOUT = 10.0
_URGENT = 10


class DaskSlot:
    """A thread of one worker.

    Args:
        cluster: The connection to the scheduler.
        worker: The worker.
        memory_limit: Maximum bytes of address space of the render's process; 0 for no limit.
        urgent: Whether its task goes before others that wait for the worker.

    Attributes:
        worker: The worker.
        has_lost_worker: Whether the connection to the worker ended during a render.
        wanted_helpers: How many helpers are worth it for the render that runs.
        useless_helpers: The addresses of workers whose helpers failed.
    """

    def __init__(
        self, cluster: Cluster, worker: ClusterWorker, *, memory_limit: int, urgent: bool
    ) -> None:
        self._cluster, self.worker = cluster, worker
        self._memory_limit = memory_limit
        self._priority = _URGENT if urgent else 0
        self._rendering: asyncio.Future[RenderedVideo] | None = None
        self._killed = False
        self._cpu_seconds = 0.0
        self._token = ""
        self.has_lost_worker = False
        self.wanted_helpers = 0
        self.useless_helpers: set[str] = set()

    def help_arguments(self) -> tuple[str, str, int, float]:
        """Return what a helper needs to find the render, and its limits."""
        return self.worker.address, self._token, self._memory_limit, self._cpu_seconds

    async def render(self, job: RenderJob) -> RenderedVideo:
        """Render `job` on the worker, and fetch the video into its folder.

        Raises:
            WorkerDiedError: The process of the render ended, or `kill` was called.
            WorkerLostError: The worker, or the scheduler, is gone.
            TransientError: The worker cannot be reached.
        """
        self._killed = False
        self._rendering = asyncio.ensure_future(self._render(job))
        try:
            return await self._rendering
        except asyncio.CancelledError:
            if self._killed:
                raise WorkerDiedError("The render was ended.") from None
            raise
        except SessionEndedError as error:
            self.has_lost_worker = True
            text = f"The connection to the Dask worker {self.worker.name} was lost."
            raise WorkerLostError(text) from error

    def kill(self) -> None:
        """End the render immediately; the worker ends its process by itself."""
        if self._rendering is not None and not self._rendering.done():
            self._killed = True
            self._rendering.cancel()

    async def _render(self, job: RenderJob) -> RenderedVideo:
        token = self._token = f"mp4gen-{random_token()}"
        self._cpu_seconds = job.cpu_seconds
        mirror = _Mirror(WorkerChannel(job.folder))

        def receive(message: dict[str, Any]) -> None:
            self.wanted_helpers = message["helpers"]
            mirror.receive(message)

        with self._cluster.receiving(token, receive):
            future = self._cluster.submit(
                worker_side.hold_thread,
                token,
                key=token,
                workers=[self.worker.address],
                priority=self._priority,
            )
            try:
                using = self._use_session(job, token, mirror)
                video: RenderedVideo = await _first(
                    using, _failure_of(future, mirror), mirror.watch(future)
                )
                return video
            finally:
                self.wanted_helpers = 0
                future.release()

    async def _use_session(self, job: RenderJob, token: str, mirror: _Mirror) -> RenderedVideo:
        async with contextlib.AsyncExitStack() as stack:
            try:
                session = await stack.enter_async_context(
                    open_session(
                        self.worker.address,
                        token,
                        self._cluster.connection_args,
                        timeout=_CONNECT_TIMEOUT,
                    )
                )
            except OSError as error:
                raise TransientError(
                    f"The server cannot connect to the Dask worker {self.worker.name} at "
                    f"{self.worker.address}. Let the server reach the ports of the workers."
                ) from error
            await session.call("begin")
            paths = await self._cluster.in_thread(_checked_files, job)
            for path, name in paths.items():
                await self._send(session, path, name, mirror)
            joined = attrs.evolve(job, may_be_joined=True)
            request = pickle.dumps((joined, paths, self._memory_limit))
            answer = await session.call("render", job=request)
            await self._fetch(session, job.video, mirror)
            video: RenderedVideo = pickle.loads(answer["result"])  # noqa: S301 - as in Dask
            return video

    async def _send(
        self, session: Session, path: Path, name: PurePosixPath, mirror: _Mirror
    ) -> None:
        file = await self._cluster.in_thread(path.open, "rb")
        try:
            # An empty file is sent, too.
            chunk = await self._cluster.in_thread(file.read, CHUNK_BYTES)
            await session.call("put", name=str(name), data=chunk)
            while chunk:
                mirror.show_life()
                chunk = await self._cluster.in_thread(file.read, CHUNK_BYTES)
                await session.call("put", name=str(name), data=chunk)
        finally:
            self._cluster.close_later(file)

    async def _fetch(self, session: Session, video: Path, mirror: _Mirror) -> None:
        with video.open("wb") as file:
            offset = 0
            while data := (await session.call("get", offset=offset))["data"]:
                await asyncio.to_thread(file.write, data)
                offset += len(data)
                mirror.show_life()


async def _first(*coroutines: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of the one that ends first, and end the others."""
    running = [asyncio.ensure_future(one) for one in coroutines]
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        return next(one for one in running if one in done).result()
    finally:
        for one in running:
            one.cancel()
        await asyncio.wait(running)


async def _failure_of(future: Any, mirror: _Mirror) -> None:
    """Raise the error with which a task ended; if it has none, the session says what happened.

    Raises:
        WorkerLostError: The scheduler is gone.
        TransientError: The task failed.
    """
    try:
        await future
    except FutureCancelledError as error:
        if not mirror.is_cancelled:
            text = "The connection to the Dask scheduler was lost."
            raise WorkerLostError(text) from error
    except KilledWorker as error:
        raise WorkerLostError("The Dask worker ended during a render.") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise TransientError(f"The Dask worker cannot render: {reason}.") from error
    await asyncio.Event().wait()


def _checked_files(job: RenderJob) -> dict[Path, PurePosixPath]:
    check_inside(job)
    return files_of(job)


class _Mirror:
    """Makes the channel in the render's folder agree with the one on the worker."""

    def __init__(self, channel: WorkerChannel) -> None:
        self._channel = channel
        self._done, self._total = 0.0, 0.0
        self._signs_of_life = 0
        self.is_cancelled = False

    def receive(self, message: dict[str, Any]) -> None:
        """Take over a report of the worker."""
        self._channel.report_begin()
        if message["progress"]:
            self._done, self._total, _ = message["progress"]
        self.show_life()

    def show_life(self) -> None:
        """Report that the job makes progress."""
        self._signs_of_life += 1
        self._channel.report_progress(self._done, self._total, self._signs_of_life)

    async def watch(self, future: Any) -> None:
        """Cancel the task when the server asks for it."""
        while not self._channel.cancelled:
            if future.status == "pending" and not self._channel.has_begun:
                # It may wait for a thread that another server uses.
                self.show_life()
            await asyncio.sleep(_CHECK_INTERVAL)
        self.is_cancelled = True
        await future.cancel()
        # The session tells how the render ended.
        await asyncio.Event().wait()
