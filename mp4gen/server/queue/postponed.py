"""Keeps the tasks that wait to be tried again, each with its timer; knows no reasons."""

import asyncio
from collections.abc import Callable

from .task import Task, UnfinishedTask


class PostponedTasks:
    """The tasks that wait to be tried again.

    Args:
        on_due: Called with a task when its pause has ended.
    """

    def __init__(self, on_due: Callable[[Task | UnfinishedTask], None]) -> None:
        self._on_due = on_due
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def add(self, task: Task | UnfinishedTask, delay: float) -> None:
        """Let a task wait for `delay` seconds."""
        loop = asyncio.get_running_loop()
        self._timers[task.task_id] = loop.call_later(delay, self._end_pause, task)

    def remove(self, task_id: str) -> None:
        """Forget a task, if it waits."""
        if timer := self._timers.pop(task_id, None):
            timer.cancel()

    def clear(self) -> None:
        """Forget all tasks."""
        for task_id in tuple(self._timers):
            self.remove(task_id)

    def seconds_left(self, task_id: str, now: float) -> float | None:
        """Return the rest of the pause of a task; None if it does not wait."""
        timer = self._timers.get(task_id)
        return None if timer is None else max(0.0, timer.when() - now)

    def _end_pause(self, task: Task | UnfinishedTask) -> None:
        del self._timers[task.task_id]
        self._on_due(task)
