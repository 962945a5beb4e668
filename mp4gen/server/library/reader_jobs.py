"""Runs jobs that read music in one worker, one at a time; knows no track and keeps no result."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from mp4gen.server.rendering import previews, worker
from mp4gen.server.rendering.pool import WorkerSlot
from mp4gen.server.troubles import TransientError

T = TypeVar("T")

# Seconds that a job may take: for each file whose tags it reads, and for each second of music that
# it decodes.
_MIN_TIMEOUT, _TIMEOUT_PER_FILE, _TIMEOUT_PER_SECOND = 20.0, 5.0, 0.1


class ReaderTimeoutError(TransientError):
    """The reader was stopped because a job took too long."""


class ReaderJobs:
    """The jobs of one worker; urgent ones, for which a person waits, come before the others.

    Args:
        slot: The worker.
        max_duration: Seconds of music that a job may decode.
    """

    def __init__(self, slot: WorkerSlot, max_duration: float) -> None:
        self._slot, self._max_duration = slot, max_duration
        self._lock = asyncio.Lock()
        self._urgent_count = 0
        self._no_urgent_jobs = asyncio.Event()
        self._no_urgent_jobs.set()

    async def run_urgent(
        self, func: Callable[..., T], *args: Any, is_still_needed: Callable[[], bool] = lambda: True
    ) -> T:
        """Run `func(*args)` in the worker, before all background jobs.

        Raises:
            ConnectionError: When its turn came, `is_still_needed` returned False.
            ReaderTimeoutError: It took too long.
            WorkerDiedError: The worker ended before the job did.
        """
        self._urgent_count += 1
        self._no_urgent_jobs.clear()
        try:
            async with self._lock:
                return await self._run(func, args, is_still_needed)
        finally:
            self._urgent_count -= 1
            if not self._urgent_count:
                self._no_urgent_jobs.set()

    async def run_background(
        self, func: Callable[..., T], *args: Any, is_still_needed: Callable[[], bool] = lambda: True
    ) -> T:
        """Run `func(*args)` in the worker once no urgent job waits; raises as `run_urgent`."""
        while True:
            await self._no_urgent_jobs.wait()
            async with self._lock:
                if not self._urgent_count:
                    return await self._run(func, args, is_still_needed)

    async def close(self) -> None:
        """End the worker."""
        await self._slot.close()

    async def _run(
        self, func: Callable[..., T], args: tuple[Any, ...], is_still_needed: Callable[[], bool]
    ) -> T:
        if not is_still_needed():
            raise ConnectionResetError("The client is gone.")
        if func is previews.probe_files:
            timeout = _MIN_TIMEOUT + _TIMEOUT_PER_FILE * len(args[0])
        else:
            timeout = _MIN_TIMEOUT + _TIMEOUT_PER_SECOND * self._max_duration
        try:
            async with asyncio.timeout(timeout):
                return await self._slot.run(worker.run_limited, timeout, func, *args)
        except TimeoutError:
            self._slot.kill()
            raise ReaderTimeoutError(f"The file was not read within {timeout:g} s.") from None
