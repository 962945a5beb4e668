"""Places to run blocking work outside of the server's process, each an executor of its own.

One process pool for all would break as a whole when one of its workers dies. With an executor for
each slot a worker that crashes, hangs or is killed costs the job it had, and nobody else notices.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, TypeVar

from mp4gen.errors import Mp4GenError
from mp4gen.server.config import ExecutorFactory

from . import worker

T = TypeVar("T")


class WorkerDiedError(Mp4GenError):
    """The process that did the job ended before the job did."""


class ProcessExecutor(ProcessPoolExecutor):
    """One fenced-in worker process, which can be killed.

    Args:
        memory_limit: bytes of address space that the worker may use; 0 for no limit.
    """

    def __init__(self, memory_limit: int = 0) -> None:
        # A forked worker would hold the server's port and files; a spawned one starts empty.
        self._context = _TrackingContext()
        super().__init__(
            1, self._context, initializer=worker.initialize, initargs=(os.getpid(), memory_limit)
        )

    def kill(self) -> None:
        """End the worker at once, whatever it is doing."""
        for process in self._context.processes:
            if process.pid is not None:
                process.kill()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that are alive."""
        alive = [process for process in self._context.processes if process.is_alive()]
        return [process.pid for process in alive if process.pid]


class _Process(SpawnProcess):
    """A spawned process that does not run its server's main module again.

    A worker needs nothing of it, and a script that starts a server on its first level would start
    another one in each worker.
    """

    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _TrackingContext(SpawnContext):
    """The spawn context, keeping hold of the processes it made."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[multiprocessing.process.BaseProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = _Process(*args, **kwargs)
        self.processes.append(process)
        return process


class WorkerSlot:
    """A place for one job at a time, whose executor is replaced when it breaks.

    Args:
        factory: makes the executor, on first use and after it broke.
    """

    def __init__(self, factory: ExecutorFactory) -> None:
        self._factory = factory
        self._executor: Executor | None = None

    @property
    def pids(self) -> list[int]:
        """The process ids of this slot's workers."""
        return self._executor.pids if isinstance(self._executor, ProcessExecutor) else []

    async def run(self, func: Callable[..., T], *args: Any) -> T:
        """Run `func(*args)` in this slot and wait for it.

        Call it from the thread that lives as long as the server: on Linux a worker ends with the
        thread that started it.

        Raises:
            WorkerDiedError: the worker ended before the job did.
        """
        if self._executor is None:
            self._executor = self._factory()
        executor = self._executor
        try:
            return await asyncio.wrap_future(executor.submit(func, *args))
        except BrokenExecutor as error:
            self._discard(executor)
            raise WorkerDiedError("the worker died") from error

    def kill(self) -> None:
        """End what runs here as far as the executor can; the next job gets a fresh one."""
        if self._executor is not None:
            self._discard(self._executor)

    async def close(self) -> None:
        """End the worker and wait until it is gone."""
        executor, self._executor = self._executor, None
        if isinstance(executor, ProcessExecutor):
            executor.kill()
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)

    def _discard(self, executor: Executor) -> None:
        if self._executor is executor:
            self._executor = None
        if isinstance(executor, ProcessExecutor):
            executor.kill()
        executor.shutdown(wait=False)
