"""Where the renders of one server run: slots on this machine, or those of a cluster."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from mp4gen.server.config import ExecutorFactory, ServerConfig

from .pool import ProcessExecutor, WorkerSlot
from .worker import RenderedVideo, RenderJob


class RenderSlot(Protocol):
    """A slot for one render at a time."""

    async def render(self, job: RenderJob) -> RenderedVideo:
        """Render `job` into its folder, and connect it with the server by its `WorkerChannel`.

        Raises:
            WorkerDiedError: The worker ended before the job did, or was killed.
            TransientError: The job cannot be run now.
        """

    def kill(self) -> None:
        """End the render immediately."""


class RenderSlots(Protocol):
    """All slots of one server. Their number may change while it runs."""

    @property
    def total(self) -> int:
        """How many renders may run at once now."""

    @property
    def free(self) -> int:
        """How many more may start now."""

    @property
    def trouble(self) -> str | None:
        """Why no render can start, as a sentence; None if that is not known to be so."""

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers on this machine."""

    def start(self, on_change: Callable[[], None]) -> None:
        """Prepare the slots, and call `on_change` after each change of the properties."""

    async def wait_until_ready(self) -> None:
        """Wait until it is known how many slots there are.

        Raises:
            ClusterAwayError: There are none.
        """

    def take(self, *, urgent: bool) -> RenderSlot:
        """Return a free slot, for a render that a person waits for if `urgent`."""

    def give_back(self, slot: RenderSlot) -> None:
        """Make a slot free for the next render."""

    def processes_for_one(self) -> int:
        """Return how many processes a render may have that has all free slots for itself."""

    async def close(self) -> None:
        """End all workers that the server has started."""


class LocalSlots:
    """Slots on this machine, each with a worker process of its own.

    Args:
        config: The settings.
        factory: Makes the executor of one slot; None for worker processes.
    """

    trouble: str | None = None

    def __init__(self, config: ServerConfig, factory: ExecutorFactory | None = None) -> None:
        self._starts_processes = factory is None
        factory = factory or partial(ProcessExecutor, config.worker_memory_bytes)
        self._free = [WorkerSlot(factory) for _ in range(config.workers)]
        self._slots = tuple(self._free)

    @property
    def total(self) -> int:
        """How many renders may run at once."""
        return len(self._slots)

    @property
    def free(self) -> int:
        """How many more may start now."""
        return len(self._free)

    @property
    def pids(self) -> list[int]:
        """The process ids of all workers."""
        return [pid for slot in self._slots for pid in slot.pids]

    def start(self, on_change: Callable[[], None]) -> None:
        """Do nothing: a worker is started by its first job, and the number never changes."""

    async def wait_until_ready(self) -> None:
        """Do nothing: the slots are there."""

    def take(self, *, urgent: bool) -> WorkerSlot:
        """Return a free slot."""
        # The last used slot has a process already; the others may never need one.
        return self._free.pop()

    def give_back(self, slot: RenderSlot) -> None:
        """Make a slot free for the next render."""
        if isinstance(slot, WorkerSlot):
            self._free.append(slot)

    def processes_for_one(self) -> int:
        """Return how many processes a render may have if no other one starts."""
        return 1 + len(self._free) if self._starts_processes else 1

    async def close(self) -> None:
        """End all workers."""
        await asyncio.gather(*(slot.close() for slot in self._slots))


def slots_for(config: ServerConfig) -> RenderSlots:
    """Return the slots that the setting `executor` names."""
    if isinstance(config.executor, str):
        # Only servers with a cluster have its package.
        from .dask.cluster import DaskSlots

        return DaskSlots(config)
    return LocalSlots(config, config.executor)
