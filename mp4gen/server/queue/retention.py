"""Deletes what has been kept long enough: first the file, then the record; keeps caches small."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from mp4gen.server.data_dir import DataDirectory

from .store import Store

log = logging.getLogger("mp4gen.server")

_DAY = 86400.0
_INTERVAL = 600.0


class Retention:
    """The sweep of one server, from `start` to `stop`.

    Args:
        days: how long a task is kept after its end.
        store: where tasks are kept.
        data: where videos are.
        clock: seconds since 1970.
    """

    def __init__(
        self, days: float, store: Store, data: DataDirectory, *, clock: Callable[[], float]
    ) -> None:
        self._max_age = days * _DAY
        self._store, self._data, self._clock = store, data, clock
        self._sweeps: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep now and every ten minutes."""
        self._sweeps = asyncio.create_task(self._run_forever())

    async def stop(self) -> None:
        """Sweep no more."""
        if self._sweeps is not None:
            self._sweeps.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeps

    async def sweep(self) -> int:
        """Delete every task that ended long enough ago; how many those were."""
        old = self._store.finished_before(self._clock() - self._max_age)
        for task in old:
            # In this order a kill in between leaves a record, and the next sweep ends it.
            await asyncio.to_thread(self._data.remove_video, task.filename)
            await self._store.remove(task.task_id)
        return len(old)

    async def _run_forever(self) -> None:
        while True:
            try:
                await self.sweep()
                await asyncio.to_thread(self._data.prune_cache, self._clock())
            except Exception:
                log.exception("old videos could not be deleted")
            await asyncio.sleep(_INTERVAL)
