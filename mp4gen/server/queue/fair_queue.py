"""Who is next: first in first out within an account, by turns between accounts; no I/O."""

from __future__ import annotations

from collections import OrderedDict


class FairQueue:
    """The tasks that wait for a slot.

    The next task is the oldest of the account that has the fewest tasks running; where several
    have as few, of the one that was served least recently. So a bulk run of ten thousand tracks
    holds nobody else up for longer than one render.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[str, int]] = OrderedDict()
        self._account_of: dict[str, str] = {}
        self._running: dict[str, str] = {}
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._account_of)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._account_of

    def put(self, account: str, task_id: str) -> None:
        """Let a task wait behind the others of its account."""
        self._waiting.setdefault(account, OrderedDict())[task_id] = self._next_number
        self._account_of[task_id] = account
        self._next_number += 1

    def get(self) -> str | None:
        """The next task, which now runs; None where none waits."""
        accounts = [account for account, tasks in self._waiting.items() if tasks]
        if not accounts:
            return None
        running = list(self._running.values())
        account = min(accounts, key=running.count)
        self._waiting.move_to_end(account)
        task_id, _ = self._waiting[account].popitem(last=False)
        del self._account_of[task_id]
        self._running[task_id] = account
        return task_id

    def task_done(self, task_id: str) -> None:
        """A task that was taken does not run any more."""
        account = self._running.pop(task_id, None)
        if account is not None and account not in self._running.values():
            self._forget_if_idle(account)

    def remove(self, task_id: str) -> bool:
        """Take a task out that waits; whether it did."""
        account = self._account_of.pop(task_id, None)
        if account is None:
            return False
        del self._waiting[account][task_id]
        self._forget_if_idle(account)
        return True

    def ahead_of(self, task_id: str) -> int:
        """About how many tasks come before this one.

        Told in constant time: a few too many where tasks of its account were taken out.
        """
        account = self._account_of[task_id]
        tasks = self._waiting[account]
        first = next(iter(tasks.values()))
        mine = tasks[task_id] - first
        return min(mine * len(self._waiting), len(self) - 1)

    def _forget_if_idle(self, account: str) -> None:
        if not self._waiting.get(account):
            self._waiting.pop(account, None)
