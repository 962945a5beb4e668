"""Keeps the tasks that were read since the last write; reads nothing itself."""

from .task import Task

MAX_TASKS = 10_000


class KnownTasks(dict[str, Task | None]):
    """Tasks by their ids, None for an unknown id; forgets all when there are too many."""

    def __setitem__(self, task_id: str, task: Task | None) -> None:
        if len(self) >= MAX_TASKS:
            self.clear()
        super().__setitem__(task_id, task)
