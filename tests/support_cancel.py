"""Cancel work after each step of the event loop, and find what it leaves behind."""

import asyncio
import gc
from asyncio import events
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import anyio

from .support_cdn import open_files

Work = Callable[[], Awaitable[object]]


@contextmanager
def call_after_steps(steps: int, callback: Callable[[], object]) -> Iterator[None]:
    """Call `callback` after the loop has run `steps` iterations that were not idle."""
    loop: Any = asyncio.get_running_loop()
    run_handle, run_once = events.Handle._run, loop._run_once
    handles = working = 0

    def count_handle(handle: events.Handle) -> None:
        nonlocal handles
        handles += 1
        run_handle(handle)

    def count_step() -> None:
        nonlocal working
        before = handles
        run_once()
        if handles > before:
            working += 1
            if working == steps:
                callback()

    with mock.patch.object(events.Handle, "_run", count_handle):
        loop._run_once = count_step
        try:
            yield
        finally:
            del loop._run_once


async def cancelled_once(work: Work, steps: int) -> bool:
    """Cancel `work` after `steps`, as asyncio does; return whether it had not ended before."""
    task = asyncio.ensure_future(work())
    with call_after_steps(steps, task.cancel):
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return task.cancelled()


async def cancelled_again_and_again(work: Work, steps: int) -> bool:
    """Cancel `work` after `steps` at every await until it has ended, as anyio does."""

    async def scoped() -> bool:
        with scope:
            await work()
        return scope.cancelled_caught

    scope = anyio.CancelScope()
    task = asyncio.ensure_future(scoped())
    with call_after_steps(steps, scope.cancel):
        await asyncio.wait([task])
    return task.result()


class Leftovers:
    """What is open now, to compare with what is open later.

    Args:
        folder: The folder of the files that the work writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tasks = set(asyncio.all_tasks())
        self._descriptors = self._open()

    def _open(self) -> list[str]:
        """Return the sockets and the files of the folder, without their numbers."""
        names = (name.partition(" ")[2] for name in open_files())
        return sorted(
            "socket" if name.startswith("socket:") else name
            for name in names
            if name.startswith(("socket:", str(self._folder)))
        )

    async def found(self) -> dict[str, object]:
        """Return what is left when asyncio has closed everything, which takes a few turns."""
        for attempt in range(20):
            if not (left := self._now()):
                break
            if attempt > 5:
                gc.collect()
            # The service sends its callbacks meanwhile.
            await asyncio.sleep(3)
        return left

    def _now(self) -> dict[str, object]:
        tasks = [task for task in asyncio.all_tasks() if task not in self._tasks]
        names = self._open()
        left = {
            "tasks": [task.get_name() for task in tasks],
            "descriptors": list((Counter(names) - Counter(self._descriptors)).elements()),
            "files": [path.name for path in self._folder.iterdir() if path.suffix == ".part"],
        }
        return {kind: names for kind, names in left.items() if names}
