"""Deletes tasks with their videos, the expired ones by itself; prunes the cache."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable

from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.videos.video_store import VideoStore

from .store import Store
from .task import Task, TaskState

log = logging.getLogger("mp4gen.server")

_DAY = 86400.0
_INTERVAL = 600.0
# A sleep may end a little early.
_MIN_CONFIRMATION = 0.9 * _INTERVAL
# A deletion in a bucket takes a round trip.
_DELETED_AT_ONCE = 16
_CLOCK_KEY = "clock"


async def delete_task(store: Store, videos: VideoStore, task: Task, reason: str) -> None:
    """Delete a task, then its video; if a kill comes between, the next server deletes the video.

    Args:
        store: The store of the task.
        videos: The place of its video.
        task: The task.
        reason: Why it is deleted, for the log.
    """
    try:
        await store.remove(task.task_id)
    except sqlite3.OperationalError:
        # On a full disk the space of the video is needed to record its deletion.
        await videos.remove([task.filename])
        await store.remove(task.task_id)
    await delete_videos(store, videos, [task.filename])
    log.info("task=%s deleted=%s reason=%r", task.task_id, task.filename, reason)


async def delete_tasks(
    store: Store,
    videos: VideoStore,
    account: str,
    states: Collection[TaskState],
    reason: str,
    *,
    batch: str | None = None,
) -> list[Task]:
    """Delete all tasks of an account in these states, with their videos, and return them.

    With a `batch` only those of this batch are deleted.
    """
    removed = await store.remove_all(account, states, batch)
    await delete_videos(store, videos, [task.filename for task in removed])
    log.info("tasks=%d deleted: state=%s reason=%r", len(removed), "/".join(states), reason)
    return removed


async def delete_videos(store: Store, videos: VideoStore, filenames: Iterable[str]) -> None:
    """Delete the videos of deleted tasks; those that cannot be deleted now are tried again later.

    A video that is being made is left to its maker.
    """
    unused = [name for name in filenames if name not in videos.in_use]
    if unused and (gone := await videos.remove(unused)):
        await store.forget_videos(gone)


class Retention:
    """The deletion of tasks that ended `days` ago, every ten minutes from `start` to `stop`.

    With 0 days nothing expires. After the clock has jumped by more than a day, which may be a
    mistake, nothing is deleted until it shows the same time ten minutes later.
    """

    def __init__(
        self,
        days: float,
        store: Store,
        data: DataDirectory,
        videos: VideoStore,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._days, self._clock = days, clock
        self._store, self._data, self._videos = store, data, videos
        self._sweeps: asyncio.Task[None] | None = None
        # The clock's time and the loop's time of the last look.
        self._last_look: tuple[float, float] | None = None
        self._trusted_at = 0.0
        # What the clock showed when it began to run evenly.
        self._even_since = clock()

    def start(self) -> None:
        """Sweep now, and every ten minutes from now on."""
        self._sweeps = asyncio.create_task(self._run_forever())

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._sweeps is not None:
            self._sweeps.cancel()
            await asyncio.wait({self._sweeps})

    async def sweep(self) -> int:
        """Delete every expired task; return how many were deleted."""
        now = self._clock()
        if not await self._is_trusted(now) or not self._days:
            return 0
        expired = self._store.finished_before(now - self._days * _DAY)
        reason = f"expired after {self._days:g} days"
        for at in range(0, len(expired), _DELETED_AT_ONCE):
            some = expired[at : at + _DELETED_AT_ONCE]
            await asyncio.gather(
                *(delete_task(self._store, self._videos, task, reason) for task in some)
            )
        return len(expired)

    async def _is_trusted(self, now: float) -> bool:
        """Return whether the clock has not jumped lately."""
        loop_now = asyncio.get_running_loop().time()
        jump = now - self._expected_time(now, loop_now)
        if abs(jump) > _DAY:
            log.warning("the clock jumped by %.1f days: nothing is deleted for now", jump / _DAY)
            self._trusted_at = loop_now + _MIN_CONFIRMATION
            with contextlib.suppress(sqlite3.OperationalError):
                await self._follow_jump(now, jump)
        self._last_look = now, loop_now
        if loop_now < self._trusted_at:
            return False
        with contextlib.suppress(sqlite3.OperationalError):  # for instance a full disk
            await self._store.set_metadata(_CLOCK_KEY, now)
        return True

    async def _follow_jump(self, now: float, jump: float) -> None:
        """Correct the times of videos that are newer than the clock says."""
        if self._last_look is not None and jump > self._days * _DAY:
            # A machine without a clock of its own starts in the past, until the network says more.
            await self._store.shift_completed(self._even_since, jump, now)
        await self._store.shift_completed(now, 0.0, now)
        self._even_since = now

    def _expected_time(self, now: float, loop_now: float) -> float:
        """Return what the clock should show, by the last look or that of the last server."""
        if self._last_look is None:
            last: float | None = self._store.get_metadata(_CLOCK_KEY)
            return now if last is None else last
        clock, loop_time = self._last_look
        return clock + loop_now - loop_time

    async def _run_forever(self) -> None:
        while True:
            try:
                await self.sweep()
                await delete_videos(self._store, self._videos, self._store.removed_videos())
                await asyncio.to_thread(self._data.prune_cache, self._clock())
                pictures = self._store.pictures()
                await asyncio.to_thread(self._data.prune_pictures, pictures, self._clock())
            except Exception:
                log.exception("expired videos could not be deleted")
            await asyncio.sleep(_INTERVAL)
