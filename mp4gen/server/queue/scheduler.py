"""Assigns queued tasks to free slots and brings each render to its end; no HTTP, no SQL.

Every task ends in one of four ways: done, failed with a text, requeued because the server stops,
or deleted. A task fails only by its song: the file is damaged, too long or deleted, or it crashed
the worker several times. After every other failure it is tried again (`retries`), and the user can
submit a failed one again.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from mp4gen.server.config import ServerConfig
from mp4gen.server.counters import Counters
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.rendering.eta import RenderProgress, RenderSpeed, RestOfRenders, retry_after
from mp4gen.server.rendering.slots import RenderSlot, slots_for
from mp4gen.server.rendering.supervisor import (
    RENDER_FAILED,
    RenderCrashedError,
    RenderFailedError,
    RenderInterruptedError,
    SupervisedRender,
)
from mp4gen.server.troubles import WorkerLostError, describe_trouble
from mp4gen.server.videos.video_store import VideoStore

from .fair_queue import FairQueue
from .fingerprint import Fingerprints
from .gate import StartGate
from .postponed import PostponedTasks
from .reporting import log_finished, log_trouble
from .retries import MAX_ATTEMPTS, MAX_DELAY, retry_delay
from .store import Store
from .task import Task, UnfinishedTask
from .task_renderer import TaskRenderer

_SPEED_KEY = "render_speed"


class RenderScheduler:
    """The renders of one server.

    It calls `on_finished` with each task that ended, after it was stored, and `on_change` after
    every change of the queue or of a render's progress.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: Store,
        library: LibraryReader,
        data: DataDirectory,
        videos: VideoStore,
        *,
        fingerprints: Fingerprints,
        on_finished: Callable[[Task], None],
        on_change: Callable[[], None],
        counters: Counters,
    ) -> None:
        self._config, self._store, self._data = config, store, data
        self._counters = counters
        self._renderer = TaskRenderer(
            config, store, library, data, videos, fingerprints=fingerprints, on_change=on_change
        )
        self._on_finished, self._on_change = on_finished, on_change
        self._queue = FairQueue()
        self._running: dict[str, SupervisedRender] = {}
        self._postponed = PostponedTasks(self._put_back)
        # Fields of waiting tasks that the database could not take.
        self._unrecorded: dict[str, dict[str, Any]] = {}
        self._renders: set[asyncio.Task[None]] = set()
        self._slots = slots_for(config)
        self._gate = StartGate(partial(data.space_trouble, config.min_free_bytes))
        self._next_check: asyncio.TimerHandle | None = None
        self._stopping = False
        self._rest = RestOfRenders()
        self._render_speed = RenderSpeed()

    @property
    def queued(self) -> int:
        """The number of queued tasks, also of those that wait to be tried again."""
        return len(self._queue) + len(self._postponed)

    def queued_of(self, account: str) -> int:
        """Return the number of queued tasks of an account, without those to be tried again."""
        return self._queue.count(account)

    @property
    def rendering(self) -> int:
        """The number of running renders."""
        return len(self._running)

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the workers on this machine."""
        return self._slots.pids

    @property
    def slots(self) -> int:
        """How many renders may run at once now."""
        return self._slots.total

    @property
    def trouble(self) -> str | None:
        """Why the whole queue waits, as a sentence; None if it does not."""
        return self._gate.trouble or self._slots.trouble

    def start(self) -> None:
        """Queue the unfinished tasks of the last server, and start rendering."""
        if measured := self._store.get_metadata(_SPEED_KEY):
            self._render_speed = RenderSpeed(float(measured), measured=True)
        for task in self._store.unfinished():
            wait = (task.not_before or 0.0) - time.time()
            if wait > 0:
                # The clock may have been set back.
                self._postponed.add(task, min(wait, MAX_DELAY))
            else:
                self._queue.put(task.account, task.task_id, urgent=task.is_urgent)
        self._slots.start(self._start_next)
        self._start_next()

    def submit(self, task: Task) -> None:
        """Queue a stored task."""
        self._queue.put(task.account, task.task_id, urgent=task.is_urgent)
        self._on_change()
        self._start_next()

    def cancel(self, task_id: str) -> None:
        """Remove a deleted task from the queue, or stop its render."""
        self._queue.remove(task_id)
        self._renderer.forget(task_id)
        self._postponed.remove(task_id)
        self._unrecorded.pop(task_id, None)
        self._open_gate_if_idle()
        if running := self._running.get(task_id):
            running.stop()

    def position(self, task_id: str) -> int | None:
        """Return the estimated place of a waiting task in the queue, from 1; None if it is not in.

        A task that waits for another try is not in the queue.
        """
        return self._queue.ahead_of(task_id) + 1 if task_id in self._queue else None

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
        self._postponed.clear()
        if self._next_check is not None:
            self._next_check.cancel()
        await self._slots.close()

    # --- starting ---------------------------------------------------------------------------

    def _start_next(self) -> None:
        while self._slots.free and self._queue and self._may_start():
            task_id = self._queue.get()
            if task_id is None:
                return
            task = self._store.get(task_id)
            if task is None:
                self._queue.task_done(task_id)
                continue
            task = attrs.evolve(task, **self._unrecorded.pop(task_id, {}))
            for running in self._running.values():
                running.share()
            slot = self._slots.take(urgent=task.is_urgent)
            render = asyncio.create_task(self._run(task, slot))
            self._renders.add(render)
            render.add_done_callback(self._renders.discard)

    def _may_start(self) -> bool:
        """Return whether a task may start now; if not, it is checked again in time."""
        if self._stopping:
            return False
        wait = self._gate.seconds_to_wait(asyncio.get_running_loop().time())
        if wait > 0:
            self._check_again_in(wait)
            return False
        # While the queue is held, one task finds out whether the trouble has passed.
        return not (self._gate.is_held and self._running)

    def _check_again_in(self, delay: float) -> None:
        if self._next_check is not None:
            self._next_check.cancel()
        self._next_check = asyncio.get_running_loop().call_later(delay, self._start_next)

    def _put_back(self, task: Task | UnfinishedTask) -> None:
        self._queue.put_back(task.account, task.task_id, urgent=task.is_urgent)
        self._start_next()

    # --- ending -----------------------------------------------------------------------------

    async def _run(self, task: Task, slot: RenderSlot) -> None:
        now = asyncio.get_running_loop().time()
        render = SupervisedRender(
            slot,
            RenderProgress(now, task.estimated_duration, self._render_speed),
            timeout=self._config.scaled_render_timeout,
            progress_timeout=self._config.progress_timeout,
            on_change=self._on_change,
        )
        self._running[task.task_id] = render
        try:
            await self._render(task, render)
        except Exception as error:  # noqa: BLE001 - it is logged there
            await self._try_again_later(task, error)
        finally:
            del self._running[task.task_id]
            render.release_waiters()
            self._queue.task_done(task.task_id)
            self._slots.give_back(slot)
            self._open_gate_if_idle()
            self._on_change()
            self._start_next()

    async def _render(self, task: Task, render: SupervisedRender) -> None:
        """Render a task until it is done, failed or interrupted; all other errors are raised."""
        try:
            # A render that is alone gets the free slots, too.
            workers = 1 if self._queue else self._slots.processes_for_one()
            video = await self._renderer.render(task, render, workers=workers)
        except RenderInterruptedError:
            # This does nothing if the task was deleted.
            await self._store.requeue(task.task_id, attempts=task.attempts)
            return
        except RenderFailedError as error:
            await self._fail(task, render, error.code, str(error))
            return
        except RenderCrashedError as error:
            if task.attempts + 1 < MAX_ATTEMPTS:
                raise
            await self._fail(task, render, RENDER_FAILED, str(error))
            return
        self._gate.open()
        self._notify_finished(task, render)
        if video is not None:
            elapsed = render.progress.elapsed(asyncio.get_running_loop().time())
            self._render_speed.update(video.duration, elapsed)
            await self._store.set_metadata(_SPEED_KEY, self._render_speed.speed)

    async def _fail(self, task: Task, render: SupervisedRender, code: int, message: str) -> None:
        await self._store.mark_failed(task.task_id, code, message, time.time())
        self._notify_finished(task, render)

    async def _try_again_later(self, task: Task, error: Exception) -> None:
        with contextlib.suppress(sqlite3.Error):
            current = self._store.get(task.task_id)
            if current is None or current.is_finished:
                # It was deleted, or only its speed was not recorded.
                return
        crashed, trouble = isinstance(error, RenderCrashedError), describe_trouble(error)
        # A crash counts as an attempt; any other failure is excused.
        attempts = task.attempts + crashed
        troubles = task.troubles + (not crashed)
        delay = retry_delay(attempts if crashed else troubles)
        self._counters.troubles["crash" if crashed else "place"] += 1
        is_new = crashed or trouble not in {task.last_trouble, self._gate.last_failure}
        log_trouble(task, trouble, delay, error, is_new=is_new)
        if not crashed and not isinstance(error, WorkerLostError):
            self._gate.record_failure(trouble, asyncio.get_running_loop().time())
        self._postponed.add(task, delay)
        await self._requeue(task, delay, attempts=attempts, troubles=troubles, last_trouble=trouble)

    async def _requeue(self, task: Task, delay: float, **values: Any) -> None:
        """Record that a task waits; if the database cannot, remember what its next try needs."""
        self._unrecorded[task.task_id] = values
        with contextlib.suppress(sqlite3.Error):
            await self._store.requeue(task.task_id, not_before=time.time() + delay, **values)
            self._unrecorded.pop(task.task_id, None)

    def _open_gate_if_idle(self) -> None:
        """Forget the trouble if no task is left that could find out whether it has passed."""
        if not self.queued and not self._running:
            self._gate.open()

    def _notify_finished(self, task: Task, render: SupervisedRender) -> None:
        render.release_waiters()
        finished = self._store.get(task.task_id)
        if finished is not None and finished.is_finished:
            elapsed = asyncio.get_running_loop().time() - render.progress.started_at
            log_finished(finished, elapsed)
            self._counters.record_end(
                finished.error_code, elapsed, finished.duration, finished.size
            )
            self._on_finished(finished)

    def _seconds_until_done(self, task: Task, now: float) -> float:
        own = self._render_speed.estimate(task.estimated_duration)
        if (wait := self._postponed.seconds_left(task.task_id, now)) is not None:
            return own + wait
        if task.task_id not in self._queue:
            return own
        running = self._rest.of(self._running.values(), now)
        ahead = self._queue.ahead_of(task.task_id) * own
        return own + (running + ahead) / max(self._slots.total, 1)
