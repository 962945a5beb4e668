"""Runs blocking work outside the server's process, in slots with one executor each.

A shared process pool breaks as a whole when one worker dies. With an executor for each slot, a
worker that crashes, hangs or is killed costs only its own job.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from mp4gen.errors import Mp4GenError
from mp4gen.server.config import ExecutorFactory
from mp4gen.server.troubles import TransientError

from . import worker
from .worker_process import WorkerProcess

T = TypeVar("T")

# Seconds after its last job at which a worker process ends: it holds about 100 MB.
IDLE_SECONDS = 60.0


class WorkerDiedError(Mp4GenError):
    """The worker process ended before its job did."""


class NoWorkerError(TransientError):
    """No worker could be started: no memory, no process, no descriptor is left."""


class ProcessExecutor(ProcessPoolExecutor):
    """One worker process with limits, which can be killed.

    Args:
        memory_limit: Maximum bytes of address space of the worker; 0 for no limit.
    """

    def __init__(self, memory_limit: int = 0) -> None:
        # A forked worker would inherit the server's port and files; a spawned one does not.
        self._context = _TrackingContext()
        super().__init__(
            1, self._context, initializer=worker.initialize, initargs=(os.getpid(), memory_limit)
        )

    def kill(self) -> None:
        """Kill the worker."""
        for process in self._context.processes:
            if process.pid is not None:
                process.kill()

    @property
    def pids(self) -> list[int]:
        """The process ids of the living workers."""
        alive = [process for process in self._context.processes if process.is_alive()]
        return [process.pid for process in alive if process.pid]


class _TrackingContext(SpawnContext):
    """A spawn context that keeps a list of its processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[multiprocessing.process.BaseProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = WorkerProcess(*args, **kwargs)
        self.processes.append(process)
        return process


class WorkerSlot:
    """A slot for one job at a time, whose executor is replaced when it breaks.

    Args:
        factory: Makes the executor, on first use and after it broke.
    """

    def __init__(self, factory: ExecutorFactory) -> None:
        self._factory = factory
        self._executor: Executor | None = None
        self._jobs = 0
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def pids(self) -> list[int]:
        """The process ids of the slot's workers."""
        return self._executor.pids if isinstance(self._executor, ProcessExecutor) else []

    async def run(self, func: Callable[..., T], *args: Any) -> T:
        """Run `func(*args)` in the slot, and return its result.

        Call it from a thread that lives as long as the server: on Linux a worker ends with the
        thread that started it.

        Raises:
            WorkerDiedError: The worker ended before the job did.
            NoWorkerError: No worker could be started.
        """
        self._stop_idle_timer()
        executor, future = self._submit(func, *args)
        self._jobs += 1
        try:
            return await asyncio.wrap_future(future)
        except BrokenExecutor as error:
            self._discard(executor)
            raise WorkerDiedError("The worker died.") from error
        finally:
            self._jobs -= 1
            if not self._jobs and isinstance(self._executor, ProcessExecutor):
                loop = asyncio.get_running_loop()
                self._idle_timer = loop.call_later(IDLE_SECONDS, self.kill)

    async def render(self, job: worker.RenderJob) -> worker.RenderedVideo:
        """Render `job` in the slot; raises the errors of `run` and of `worker.render`."""
        return await self.run(worker.render, job)

    def _submit(self, func: Callable[..., T], *args: Any) -> tuple[Executor, Future[T]]:
        # The second one is new: the first may have died since its last job.
        for executor in (self._executor, None):
            try:
                self._executor = executor or self._factory()
                return self._executor, self._executor.submit(func, *args)
            except BrokenExecutor:
                self.kill()
            except (OSError, RuntimeError, MemoryError) as error:
                self.kill()
                raise NoWorkerError(f"No worker can be started: {error}.") from error
        raise NoWorkerError("No worker can be started: it ended immediately.")

    def kill(self) -> None:
        """Kill the worker if the executor can; the next job gets a new executor."""
        if self._executor is not None:
            self._discard(self._executor)

    async def close(self) -> None:
        """End the worker, and wait for it."""
        self._stop_idle_timer()
        executor, self._executor = self._executor, None
        if isinstance(executor, ProcessExecutor):
            executor.kill()
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _discard(self, executor: Executor) -> None:
        if self._executor is executor:
            self._executor = None
        if isinstance(executor, ProcessExecutor):
            executor.kill()
        executor.shutdown(wait=False)
