"""From a request to its video, for one client; how many run at once is decided by its callers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import attrs

from .callbacks import CallbackReceiver, Ticket
from .calls import Calls, Patience
from .dialects import Dialect
from .models import Polling, Video, VideoRequest
from .polling import first_wait
from .submit import Journal, Submit, Submitted
from .wait import Wait

_REMEMBERED = 100_000


@attrs.frozen
class Accepted:
    """A submit that this client has made, and when, in loop time."""

    submitted: Submitted
    at: float
    ticket: Ticket | None = None


class Memory:
    """The submits that somebody may yet wait for: each one's age and claim to its callbacks."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Accepted] = OrderedDict()

    def get(self, task_id: str) -> Accepted | None:
        """What is known of a task's submit."""
        return self._kept.get(task_id)

    def keep(self, accepted: Accepted) -> None:
        """Remember it, and forget the oldest where there are too many."""
        older = self._kept.pop(accepted.submitted.task_id, None)
        if older is not None and older.ticket is not None and older.ticket is not accepted.ticket:
            older.ticket.close()
        self._kept[accepted.submitted.task_id] = accepted
        if len(self._kept) > _REMEMBERED:
            self.forget(*next(iter(self._kept.items())))

    def forget(self, task_id: str, accepted: Accepted | None) -> None:
        """The task has come to its end."""
        self._kept.pop(task_id, None)
        if accepted is not None and accepted.ticket is not None:
            accepted.ticket.close()


@attrs.frozen
class Conversions:
    """Makes the submits and waits of one client.

    Attributes:
        calls: the client's calls.
        dialect: the host's way of speaking.
        polling: when to look at a task.
        resubmit: whether a submit whose answer was lost is sent again.
        receiver: what is told of the end of tasks, or None.
        told_polling: when to look at a task whose end a callback will tell, as far as we know.
        proven_polling: the same, once a callback has arrived.
    """

    calls: Calls
    dialect: Dialect
    polling: Polling
    resubmit: bool
    receiver: CallbackReceiver | None = None
    told_polling: Polling = Polling()
    proven_polling: Polling = Polling()

    def ticket(self, request: VideoRequest, *tokens: str) -> Ticket | None:
        """The claim to the request's callbacks; None where they go elsewhere."""
        if self.receiver is None or request.callback_url is not None:
            return None
        return self.receiver.ticket(*tokens)

    async def submit(
        self,
        request: VideoRequest,
        patience: Patience,
        *,
        adopt: bool,
        timeout: float,
        ticket: Ticket | None,
        journal: Journal | None = None,
        lost: bool = False,
    ) -> Accepted:
        """Submit `request`; see `Submit`.

        Raises:
            Mp4GenError: as `Submit.run`.
        """
        work = Submit(
            self.calls,
            self.dialect,
            request,
            patience,
            self.resubmit,
            adopt=adopt,
            timeout=timeout,
            ticket=ticket,
            journal=journal,
            lost=lost,
        )
        submitted = await work.run()
        return Accepted(submitted, asyncio.get_running_loop().time(), ticket)

    async def wait(
        self, task_id: str, patience: Patience, timeout: float, accepted: Accepted | None
    ) -> Video:
        """Wait for a task's video; see `Wait`.

        Args:
            task_id: the video task.
            patience: whose wait it is.
            timeout: seconds.
            accepted: what is known of its submit; None for nothing.

        Raises:
            Mp4GenError: as `Wait.run`.
        """
        polling = self._polling(accepted)
        work = Wait(
            self.calls,
            self.dialect,
            polling,
            patience,
            task_id,
            timeout,
            adopted=accepted is not None and accepted.submitted.adopted,
            known=accepted is not None,
            ticket=accepted.ticket if accepted else None,
            believe=self.receiver is not None and not self.receiver.confirm,
        )
        return await work.run(self._first_look(accepted, polling))

    def _polling(self, accepted: Accepted | None) -> Polling:
        """Whoever adopts a task may wait in vain for the callback, which goes to its maker."""
        if accepted is None or accepted.ticket is None or accepted.submitted.adopted:
            return self.polling
        heard = self.receiver is not None and self.receiver.heard
        return self.proven_polling if heard else self.told_polling

    def _first_look(self, accepted: Accepted | None, polling: Polling) -> float:
        """Seconds until the first look at a task: at once where its age is not known."""
        if accepted is None or accepted.submitted.adopted or accepted.submitted.told:
            return 0.0
        age = asyncio.get_running_loop().time() - accepted.at
        asked = accepted.submitted.retry_after
        if asked is not None and accepted.ticket is None:
            return max(0.0, asked - age)
        return first_wait(polling, self.calls.random, age)
