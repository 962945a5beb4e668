"""The accepted submits of one client, kept for the waits that follow; sends nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .callbacks import CallbackSubscription

_MAX_CACHED_SUBMISSIONS = 100_000


@attrs.frozen(eq=False, repr=False)
class Submission:
    """An accepted submit.

    Attributes:
        task_id: The video task.
        adopted: Whether an earlier request created the task.
        via_callback: Whether the task id came from a callback or a ledger, not from the response.
        retry_after: Seconds that the server asks to wait before the first poll, or None.
        submitted_at: When it was accepted, in loop time.
        subscription: The subscription to the task's callbacks, or None.
    """

    task_id: str
    adopted: bool = False
    via_callback: bool = False
    retry_after: float | None = None
    submitted_at: float = attrs.field(factory=lambda: asyncio.get_running_loop().time())
    subscription: CallbackSubscription | None = None


class SubmissionCache:
    """The submissions that a later `wait_for_video` may ask for."""

    def __init__(self) -> None:
        self._submissions: OrderedDict[str, Submission] = OrderedDict()

    def get(self, task_id: str) -> Submission | None:
        """Return the submission of a task, or None if it is unknown."""
        return self._submissions.get(task_id)

    def add(self, submission: Submission) -> Submission:
        """Store a submission, drop the oldest if there are too many, and return it.

        If an earlier submission of the same task is stored, both share the callbacks of the two.
        """
        earlier, own = self._submissions.pop(submission.task_id, None), submission.subscription
        if earlier is not None and earlier.subscription not in (None, own):
            if own is not None:
                earlier.subscription.absorb(own)
            submission = attrs.evolve(submission, subscription=earlier.subscription)
        self._submissions[submission.task_id] = submission
        if len(self._submissions) > _MAX_CACHED_SUBMISSIONS:
            self.forget(*next(iter(self._submissions.items())))
        return submission

    def forget(self, task_id: str, submission: Submission | None) -> None:
        """Drop a finished task and close its subscription."""
        self._submissions.pop(task_id, None)
        if submission is not None and submission.subscription is not None:
            submission.subscription.close()
