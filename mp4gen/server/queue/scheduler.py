"""Assigns queued tasks to free slots and brings each render to its end; no HTTP, no SQL.

Every task ends in one of four ways: done, failed with a text, requeued because the server stops,
or deleted. A render that crashes, hangs or exceeds a limit fails its own task only. A failed task
is not retried: the same file would fail again, and the user can submit it again.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.library import Library
from mp4gen.server.rendering import worker
from mp4gen.server.rendering.aspect_ratio import style_for
from mp4gen.server.rendering.eta import RenderProgress, RenderSpeed, retry_after
from mp4gen.server.rendering.pool import ProcessExecutor, WorkerSlot
from mp4gen.server.rendering.supervisor import (
    NO_AUDIO,
    RenderFailedError,
    RenderInterruptedError,
    SupervisedRender,
)

from .fair_queue import FairQueue
from .fingerprint import Fingerprints
from .recovery import encode_record
from .store import Store
from .task import Task

log = logging.getLogger("mp4gen.server")

_SPEED_KEY = "render_speed"
_RETRY_DELAY = 10.0


class RenderScheduler:
    """The renders of one server.

    It calls `on_finished` with each task that ended, after it was stored, and `on_change` after
    every change of the queue or of a render's progress.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: Store,
        library: Library,
        data: DataDirectory,
        fingerprints: Fingerprints,
        *,
        on_finished: Callable[[Task], None],
        on_change: Callable[[], None],
    ) -> None:
        self._config, self._store, self._library, self._data = config, store, library, data
        self._fingerprints = fingerprints
        self._on_finished, self._on_change = on_finished, on_change
        self._queue = FairQueue()
        self._running: dict[str, SupervisedRender] = {}
        self._renders: set[asyncio.Task[None]] = set()
        executor = config.executor or partial(ProcessExecutor, config.worker_memory_bytes)
        self._free_slots = [WorkerSlot(executor) for _ in range(config.workers)]
        self._slots = tuple(self._free_slots)
        self._stopping = False
        self._render_speed = RenderSpeed()

    @property
    def queued(self) -> int:
        """The number of queued tasks."""
        return len(self._queue)

    @property
    def rendering(self) -> int:
        """The number of running renders."""
        return len(self._running)

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of all workers."""
        return [pid for slot in self._slots for pid in slot.pids]

    def start(self) -> None:
        """Queue the unfinished tasks of the last server, and start rendering."""
        if measured := self._store.get_metadata(_SPEED_KEY):
            self._render_speed = RenderSpeed(float(measured), measured=True)
        for task in self._store.unfinished():
            self._queue.put(task.account, task.task_id)
        self._start_next()

    def submit(self, task: Task) -> None:
        """Queue a stored task."""
        self._queue.put(task.account, task.task_id)
        self._on_change()
        self._start_next()

    def cancel(self, task_id: str) -> None:
        """Remove a deleted task from the queue, or stop its render."""
        self._queue.remove(task_id)
        if running := self._running.get(task_id):
            running.stop()

    def progress(self, task_id: str) -> RenderProgress | None:
        """Return the progress of a render; None if it is not running."""
        running = self._running.get(task_id)
        return running.progress if running else None

    def retry_after(self, task: Task) -> int:
        """Return the seconds until the next poll of an unfinished task."""
        now = asyncio.get_running_loop().time()
        if running := self._running.get(task.task_id):
            return running.progress.retry_after(now)
        return retry_after(self._seconds_until_done(task, now))

    async def wait_for_end(self, task_id: str) -> bool:
        """Wait for the end of a render if it runs, for `LONG_POLL_SECONDS` seconds at most.

        Returns:
            Whether it waited, so that the task may have changed.
        """
        running = self._running.get(task_id)
        return running is not None and await running.wait_for_end()

    def release_waiters(self) -> None:
        """Answer all held polls immediately, because the server is stopping."""
        for running in self._running.values():
            running.release_waiters()

    def estimate_render_time(self, duration: float) -> float:
        """Estimate the seconds that a render of `duration` seconds of music takes."""
        return self._render_speed.estimate(duration)

    async def stop(self, grace_period: float) -> None:
        """Let renders finish for `grace_period` seconds, then requeue them and end the workers."""
        self._stopping = True
        if self._renders:
            await asyncio.wait(self._renders, timeout=grace_period)
        for running in self._running.values():
            running.stop()
        if self._renders:
            await asyncio.wait(self._renders)
        await asyncio.gather(*(slot.close() for slot in self._slots))

    def _start_next(self) -> None:
        while self._free_slots and not self._stopping:
            task_id = self._queue.get()
            if task_id is None:
                return
            task = self._store.get(task_id)
            if task is None:
                self._queue.task_done(task_id)
                continue
            # The last used slot has a process already; the others may never need one.
            render = asyncio.create_task(self._run(task, self._free_slots.pop()))
            self._renders.add(render)
            render.add_done_callback(self._renders.discard)

    async def _run(self, task: Task, slot: WorkerSlot) -> None:
        now = asyncio.get_running_loop().time()
        render = SupervisedRender(
            slot,
            RenderProgress(now, task.estimated_duration, self._render_speed),
            timeout=self._config.render_timeout,
            progress_timeout=self._config.progress_timeout,
            on_change=self._on_change,
        )
        self._running[task.task_id] = render
        try:
            await self._render(task, render)
        except Exception:
            # Most likely a full disk. The video is kept, so that a retry costs little.
            log.exception("task %s could not be recorded", task.task_id)
            asyncio.get_running_loop().call_later(_RETRY_DELAY, self.submit, task)
        finally:
            del self._running[task.task_id]
            render.release_waiters()
            self._queue.task_done(task.task_id)
            self._free_slots.append(slot)
            self._on_change()
            self._start_next()

    async def _render(self, task: Task, render: SupervisedRender) -> None:
        if await asyncio.to_thread(self._already_rendered, task):
            await self._finish(task, render, None, None)
            return
        folder = self._data.render_folder(task.filename)
        try:
            job = await asyncio.to_thread(self._prepare, task, folder)
            # The music may have changed since the task was accepted.
            fingerprint = await asyncio.to_thread(self._fingerprints.of, task, job.audio)
            await self._store.mark_started(task.task_id, time.time(), fingerprint)
            self._on_change()
            duration = await render.run(job)
            await self._finish(task, render, job.video, duration)
        except RenderInterruptedError:
            # This does nothing if the task was deleted.
            await self._store.requeue(task.task_id)
        except RenderFailedError as error:
            await self._store.mark_failed(task.task_id, error.code, str(error), time.time())
            self._notify_finished(task, render)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _already_rendered(self, task: Task) -> bool:
        """Return whether the last server published the video before it was killed."""
        return (self._data.videos / task.filename).is_file()

    def _prepare(self, task: Task, folder: Path) -> worker.RenderJob:
        track = self._library.find(task.music_task_id, task.audio_id)
        if track is None:
            message = "The music file is not in the music folder any more."
            raise RenderFailedError(NO_AUDIO, message)
        folder.mkdir(mode=0o700)
        style = style_for(self._config.style, task.aspect_ratio, threads=self._encoder_threads())
        return worker.RenderJob(
            audio=track.path,
            root=self._library.root,
            folder=folder,
            author=task.author,
            domain_name=task.domain_name,
            style=style,
            audio_mode=task.audio_mode,
            max_duration=self._config.max_duration,
            cpu_seconds=self._config.render_timeout * len(self._slots),
        )

    def _encoder_threads(self) -> int | None:
        """Return one thread per job, which wastes the least; None for a job that runs alone."""
        alone = len(self._running) <= 1 and not len(self._queue)
        return None if alone else 1

    async def _finish(
        self, task: Task, render: SupervisedRender, rendered: Path | None, duration: float | None
    ) -> None:
        now = time.time()
        stored = self._store.get(task.task_id) or task
        record = encode_record(stored, duration=duration, completed_at=now)

        def publish() -> dict[str, Any]:
            if rendered is not None:
                size = self._data.publish(rendered, task.filename, record)
                # Before the end is reported: the user may stop the server right after it.
                shutil.rmtree(rendered.parent, ignore_errors=True)
            else:
                size = (self._data.videos / task.filename).stat().st_size
            return {"size": size, "duration": duration, "error_code": None, "error_message": None}

        if not await self._store.finish(task.task_id, publish, now):
            await asyncio.to_thread(self._data.remove_video, task.filename)
            return
        self._notify_finished(task, render)
        if duration is not None:
            self._render_speed.update(
                duration, render.progress.elapsed(asyncio.get_running_loop().time())
            )
            await self._store.set_metadata(_SPEED_KEY, self._render_speed.speed)

    def _notify_finished(self, task: Task, render: SupervisedRender) -> None:
        render.release_waiters()
        finished = self._store.get(task.task_id)
        if finished is not None and finished.is_finished:
            elapsed = asyncio.get_running_loop().time() - render.progress.started_at
            _log_finished(finished, elapsed)
            self._on_finished(finished)

    def _seconds_until_done(self, task: Task, now: float) -> float:
        own = self._render_speed.estimate(task.estimated_duration)
        if task.task_id not in self._queue:
            return own
        running = sum(one.progress.remaining(now) for one in self._running.values())
        ahead = self._queue.ahead_of(task.task_id) * own
        return own + (running + ahead) / len(self._slots)


def _log_finished(task: Task, elapsed: float) -> None:
    """Log the one line about a task."""
    log.info(
        "task=%s state=%s code=%s music_task=%r audio=%r waited=%.1fs took=%.1fs plays=%s "
        "size=%s%s",
        task.task_id,
        task.state,
        task.error_code or 200,
        task.music_task_id,
        task.audio_id,
        max(0.0, (task.started_at or task.created_at) - task.created_at),
        elapsed,
        f"{task.duration:.1f}s" if task.duration else "-",
        task.size or "-",
        f" error={task.error_message!r}" if task.error_message else "",
    )
