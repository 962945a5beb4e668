"""The order of queued tasks: first in first out in an account, turns between accounts; no I/O."""

from collections import OrderedDict


class FairQueue:
    """The tasks that wait for a slot.

    The next task is the oldest of the account with the fewest tasks running; among equal ones, of
    the account that was served least recently. A bulk run of ten thousand tracks therefore delays
    other accounts by one render at most.
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
        """Add a task behind the others of its account."""
        self._waiting.setdefault(account, OrderedDict())[task_id] = self._next_number
        self._account_of[task_id] = account
        self._next_number += 1

    def put_back(self, account: str, task_id: str) -> None:
        """Add a task before the others of its account."""
        tasks = self._waiting.setdefault(account, OrderedDict())
        tasks[task_id] = next(iter(tasks.values()), self._next_number) - 1
        tasks.move_to_end(task_id, last=False)
        self._account_of[task_id] = account

    def get(self) -> str | None:
        """Take the next task, which counts as running from now on; None if the queue is empty."""
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
        """Stop counting a task as running."""
        account = self._running.pop(task_id, None)
        if account is not None and account not in self._running.values():
            self._forget_if_idle(account)

    def remove(self, task_id: str) -> bool:
        """Remove a queued task; return whether it was queued."""
        account = self._account_of.pop(task_id, None)
        if account is None:
            return False
        del self._waiting[account][task_id]
        self._forget_if_idle(account)
        return True

    def ahead_of(self, task_id: str) -> int:
        """Estimate in constant time how many tasks come before this one.

        The number is a little too large after tasks of its account were removed.
        """
        account = self._account_of[task_id]
        tasks = self._waiting[account]
        first = next(iter(tasks.values()))
        return min((tasks[task_id] - first) * len(self._waiting), len(self) - 1)

    def _forget_if_idle(self, account: str) -> None:
        if not self._waiting.get(account):
            self._waiting.pop(account, None)
