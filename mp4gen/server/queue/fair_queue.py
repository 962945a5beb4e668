"""The order of queued tasks: first in first out in an account, turns between accounts; no I/O."""

from collections import Counter, OrderedDict

import attrs


@attrs.frozen
class _Lanes:
    """The waiting tasks of one account, each with its number in its lane."""

    urgent: OrderedDict[str, int] = attrs.field(factory=OrderedDict)
    bulk: OrderedDict[str, int] = attrs.field(factory=OrderedDict)

    def __len__(self) -> int:
        return len(self.urgent) + len(self.bulk)

    def lane(self, *, urgent: bool) -> OrderedDict[str, int]:
        """Return one of the two lanes."""
        return self.urgent if urgent else self.bulk

    def pop_first(self) -> str:
        """Take the first task."""
        return (self.urgent or self.bulk).popitem(last=False)[0]

    def remove(self, task_id: str) -> None:
        """Remove a task."""
        if self.urgent.pop(task_id, None) is None:
            del self.bulk[task_id]

    def ahead_of(self, task_id: str) -> int:
        """Return how many tasks come before this one, counted before others were removed."""
        urgent = task_id in self.urgent
        lane = self.lane(urgent=urgent)
        first = next(iter(lane.values()))
        return lane[task_id] - first + (0 if urgent else len(self.urgent))


class FairQueue:
    """The tasks that wait for a slot.

    The next task is the oldest of the account with the fewest tasks running; among equal ones, of
    the account that was served least recently. A bulk run of ten thousand tracks therefore delays
    other accounts by one render at most. Urgent tasks, which a person waits for, come before the
    other ones of their account.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, _Lanes] = OrderedDict()
        self._account_of: dict[str, str] = {}
        self._running: dict[str, str] = {}
        self._running_of: Counter[str] = Counter()
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._account_of)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._account_of

    def count(self, account: str) -> int:
        """Return the number of waiting tasks of an account."""
        return len(self._waiting.get(account, ()))

    def put(self, account: str, task_id: str, *, urgent: bool = False) -> None:
        """Add a task behind the others of its account."""
        self._lane(account, urgent=urgent)[task_id] = self._next_number
        self._account_of[task_id] = account
        self._next_number += 1

    def put_back(self, account: str, task_id: str, *, urgent: bool = False) -> None:
        """Add a task before the others of its account."""
        tasks = self._lane(account, urgent=urgent)
        tasks[task_id] = next(iter(tasks.values()), self._next_number) - 1
        tasks.move_to_end(task_id, last=False)
        self._account_of[task_id] = account

    def get(self) -> str | None:
        """Take the next task, which counts as running from now on; None if the queue is empty."""
        accounts = (account for account, tasks in self._waiting.items() if tasks)
        account = min(accounts, key=self._running_of.__getitem__, default=None)
        if account is None:
            return None
        self._waiting.move_to_end(account)
        task_id = self._waiting[account].pop_first()
        del self._account_of[task_id]
        self._running[task_id] = account
        self._running_of[account] += 1
        return task_id

    def task_done(self, task_id: str) -> None:
        """Stop counting a task as running."""
        account = self._running.pop(task_id, None)
        if account is not None:
            self._running_of[account] -= 1
            if not self._running_of[account]:
                del self._running_of[account]
                self._forget_if_idle(account)

    def remove(self, task_id: str) -> bool:
        """Remove a queued task; return whether it was queued."""
        account = self._account_of.pop(task_id, None)
        if account is None:
            return False
        self._waiting[account].remove(task_id)
        self._forget_if_idle(account)
        return True

    def ahead_of(self, task_id: str) -> int:
        """Estimate in constant time how many tasks come before this one.

        The number is a little too large after tasks of its account were removed.
        """
        ahead = self._waiting[self._account_of[task_id]].ahead_of(task_id)
        return min(ahead * len(self._waiting), len(self) - 1)

    def _lane(self, account: str, *, urgent: bool) -> OrderedDict[str, int]:
        return self._waiting.setdefault(account, _Lanes()).lane(urgent=urgent)

    def _forget_if_idle(self, account: str) -> None:
        if not self._waiting.get(account):
            self._waiting.pop(account, None)
