"""The processes of a Dask worker: each ends a minute after its last job."""

import contextlib
from collections.abc import Iterator
from functools import partial

from mp4gen.server.rendering.pool import ProcessExecutor, WorkerSlot

# By their limit of memory.
_idle: dict[int, list[WorkerSlot]] = {}


@contextlib.contextmanager
def idle_slot(memory_limit: int) -> Iterator[WorkerSlot]:
    """Yield a slot for one job.

    Args:
        memory_limit: Maximum bytes of address space of its process; 0 for no limit.
    """
    idle = _idle.setdefault(memory_limit, [])
    slot = idle.pop() if idle else WorkerSlot(partial(ProcessExecutor, memory_limit))
    try:
        yield slot
    finally:
        idle.append(slot)
