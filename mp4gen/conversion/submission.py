"""One submit, never doubled: what was refused is sent again, what was lost is looked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import attrs

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.api.protocol import ApiRequest
from mp4gen.errors import AlreadyExistsError, Mp4GenError
from mp4gen.events import SubmittedEvent
from mp4gen.models import VideoRequest
from mp4gen.task_errors import SubmitUncertainError
from mp4gen.transport.caller import ApiCaller, CallOptions, RetryLoop
from mp4gen.transport.retry import RetryDecision, classify

from .callbacks import CallbackSubscription

_MAX_CACHED_SUBMISSIONS = 100_000


class Journal(Protocol):
    """Who keeps a durable record of a submit."""

    async def sending(self, tokens: Sequence[str]) -> None:
        """A slot is there; the submit goes out when this returns, with one of these tokens."""

    async def refused(self) -> None:
        """The submit was certainly not accepted."""


@attrs.frozen
class Submitted:
    """What became of a submit.

    Attributes:
        task_id: the video task.
        adopted: whether an earlier request had made it.
        told: whether a callback, not the submit's answer, has told the id.
        retry_after: seconds after which the server wants to be asked, or None.
    """

    task_id: str
    adopted: bool = False
    told: bool = False
    retry_after: float | None = None


@attrs.frozen
class Accepted:
    """A submit that this client has made, and when, in loop time."""

    submitted: Submitted
    at: float
    ticket: CallbackSubscription | None = None


class SubmissionCache:
    """The submits that somebody may yet wait for: each one's age and claim to its callbacks."""

    def __init__(self) -> None:
        self._submissions: OrderedDict[str, Accepted] = OrderedDict()

    def get(self, task_id: str) -> Accepted | None:
        """What is known of a task's submit."""
        return self._submissions.get(task_id)

    def add(self, submission: Accepted) -> None:
        """Remember it, and forget the oldest where there are too many."""
        previous = self._submissions.pop(submission.submitted.task_id, None)
        if (
            previous is not None
            and previous.ticket is not None
            and previous.ticket is not submission.ticket
        ):
            previous.ticket.close()
        self._submissions[submission.submitted.task_id] = submission
        if len(self._submissions) > _MAX_CACHED_SUBMISSIONS:
            self.forget(*next(iter(self._submissions.items())))

    def forget(self, task_id: str, submission: Accepted | None) -> None:
        """The task has come to its end."""
        self._submissions.pop(task_id, None)
        if submission is not None and submission.ticket is not None:
            submission.ticket.close()


@attrs.define
class SubmitOperation:
    """One submit, made at most once as far as the account is concerned.

    Attributes:
        caller: the client's calls.
        dialect: the host's way of speaking.
        request: which video.
        call_options: whose submit it is.
        resubmit: whether a submit whose answer was lost is sent again.
        adopt: whether a video that somebody else submitted earlier is as good.
        timeout: seconds to wait for a callback that tells what became of a lost one.
        subscription: the claim to its callbacks, or None.
        journal: its durable record, or None.
        response_lost: whether an earlier attempt's answer was lost.
    """

    caller: ApiCaller
    dialect: Dialect
    request: VideoRequest
    call_options: CallOptions
    resubmit: bool
    adopt: bool = True
    timeout: float = 1800.0
    subscription: CallbackSubscription | None = None
    journal: Journal | None = None
    response_lost: bool = False

    async def run(self) -> Submitted:
        """Submit.

        Raises:
            SubmitUncertainError: it may or may not have been accepted.
            AlreadyExistsError: the track has a video, which cannot or shall not be adopted.
            Mp4GenError: it was certainly not accepted.
        """
        submission = await self._run()
        if self.subscription is not None:
            self.subscription.task_id = submission.task_id
        event = SubmittedEvent(submission.task_id, self.request.audio_id, submission.adopted)
        self.caller.events.emit(event)
        return submission

    async def _run(self) -> Submitted:
        retry_loop: RetryLoop | None = None
        if self.response_lost and not self.resubmit:
            return await self._await_callback_or_raise()
        while True:
            api_request = self._build_request()
            try:
                return await self._send(api_request, retry_loop)
            except AlreadyExistsError as error:
                return await self._adopt_existing(error)
            except Mp4GenError as error:
                retry_loop = retry_loop or RetryLoop(self.caller, api_request, self.call_options)
                submission = await self._handle_failure(error, retry_loop)
                if submission is not None:
                    return submission

    def _build_request(self) -> ApiRequest:
        """The call of the next attempt, at a callback address of its own."""
        uses_subscription = self.subscription is not None and self.request.callback_url is None
        url = (
            self.subscription.new_url()
            if self.subscription is not None and uses_subscription
            else None
        )
        return protocol.build_create_request(self.request, url)

    async def _send(self, api_request: ApiRequest, retry_loop: RetryLoop | None) -> Submitted:
        parse = partial(protocol.parse_create, dialect=self.dialect)
        # Whoever waits out an outage is not to run out of budget by waiting.
        stopwatch = retry_loop.stopwatch if retry_loop and self.call_options.retry_forever else None
        task_id, retry_after = await self.caller.send(
            api_request, parse, self.call_options, stopwatch=stopwatch, on_start=self._before_send
        )
        return Submitted(task_id, retry_after=retry_after)

    async def _before_send(self) -> None:
        if self.journal is not None:
            await self.journal.sending(self.subscription.tokens if self.subscription else ())

    async def _adopt_existing(self, error: AlreadyExistsError) -> Submitted:
        """Adopt the video that is there already, if it can be found.

        Raises:
            AlreadyExistsError: it cannot, or shall not.
        """
        if error.existing_task_id and (self.adopt or self.response_lost):
            return Submitted(error.existing_task_id, adopted=True)
        if (
            self.response_lost
            and not error.existing_task_id
            and (submission := await self._await_callback())
        ):
            return submission
        await self._record_not_sent()
        raise error

    async def _handle_failure(self, error: Mp4GenError, retry_loop: RetryLoop) -> Submitted | None:
        """Return when it is time for the next attempt, or what a callback has told meanwhile.

        Raises:
            Mp4GenError: there is no next attempt.
        """
        uncertain = classify(error, submit=True) is RetryDecision.UNCERTAIN
        if uncertain and not self.resubmit:
            return await self._await_callback_or_raise(error)
        if not uncertain and not self.response_lost:
            await self._record_not_sent()
        try:
            await retry_loop.wait(error, immediately=uncertain and not self.response_lost)
        except Mp4GenError:
            if self.response_lost or uncertain:
                raise SubmitUncertainError(self.request) from error
            raise
        self.response_lost = self.response_lost or uncertain
        return self._from_callback()

    async def _record_not_sent(self) -> None:
        if self.journal is not None:
            await self.journal.refused()

    def _from_callback(self) -> Submitted | None:
        callback = self.subscription.last_callback if self.subscription else None
        return Submitted(callback.task_id, told=True) if callback else None

    async def _await_callback_or_raise(self, error: Mp4GenError | None = None) -> Submitted:
        if submission := await self._await_callback():
            return submission
        raise SubmitUncertainError(self.request) from error

    async def _await_callback(self) -> Submitted | None:
        """What a callback tells of a submit whose answer was lost; None without one in time."""
        if self.subscription is not None and self.subscription.last_callback is None:
            await self.subscription.wake_on_callback(self.caller.sleeper.sleep(self.timeout))
        return self._from_callback()
