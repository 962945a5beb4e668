"""Deletes tasks with their videos, the expired ones by itself; prunes the cache."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from mp4gen.server.data_dir import DataDirectory

from .store import Store
from .task import Task

log = logging.getLogger("mp4gen.server")

_DAY = 86400.0
_INTERVAL = 600.0


async def delete_task(store: Store, data: DataDirectory, task: Task) -> None:
    """Delete a task, then its video; if a kill comes between, the next server deletes the video."""
    await store.remove(task.task_id)
    await delete_video(store, data, task.filename)


async def delete_video(store: Store, data: DataDirectory, filename: str) -> None:
    """Delete the video of a deleted task."""
    await asyncio.to_thread(data.remove_video, filename)
    await store.forget_video(filename)


class Retention:
    """The deletion of tasks that ended `days` ago, every ten minutes from `start` to `stop`."""

    def __init__(
        self, days: float, store: Store, data: DataDirectory, *, clock: Callable[[], float]
    ) -> None:
        self._max_age = days * _DAY
        self._store, self._data, self._clock = store, data, clock
        self._sweeps: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep now, and every ten minutes from now on."""
        self._sweeps = asyncio.create_task(self._run_forever())

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._sweeps is not None:
            self._sweeps.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeps

    async def sweep(self) -> int:
        """Delete every expired task; return how many were deleted."""
        expired = self._store.finished_before(self._clock() - self._max_age)
        for task in expired:
            await delete_task(self._store, self._data, task)
        return len(expired)

    async def _run_forever(self) -> None:
        while True:
            try:
                await self.sweep()
                await asyncio.to_thread(self._data.prune_cache, self._clock())
            except Exception:
                log.exception("expired videos could not be deleted")
            await asyncio.sleep(_INTERVAL)
