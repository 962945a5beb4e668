"""Dask tasks that run on the event loop of a worker, and hold one of its threads."""

import asyncio
from typing import Any

# Seconds between two checks of a task.
_CHECK_INTERVAL = 0.1


async def until_cancelled(dask_worker: Any, token: str, running: asyncio.Future[Any]) -> None:
    """Wait until `running` ends, or until the task `token` is cancelled.

    A task that runs is not interrupted when the scheduler cancels it, but its state changes.
    """
    tasks = dask_worker.state.tasks
    while token in tasks and tasks[token].state == "executing":
        if (await asyncio.wait({running}, timeout=_CHECK_INTERVAL))[0]:
            return
