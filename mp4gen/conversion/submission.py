"""Submit one video at most once: resend a refused submit, find the task of a lost response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import HttpResponse
from mp4gen.errors import AlreadyExistsError, Mp4GenError, UnexpectedError
from mp4gen.events import SubmittedEvent
from mp4gen.models import VideoRequest
from mp4gen.task_errors import SubmitUncertainError
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.http import Delivery
from mp4gen.transport.retried_call import before_deadline, late_error
from mp4gen.transport.retry import RetryDecision, classify
from mp4gen.transport.retry_loop import RetryLoop
from mp4gen.transport.unexpected import unexpected_error

from .resubmit_policy import ResubmitPolicy
from .submission_cache import Submission

if TYPE_CHECKING:
    from .callbacks import CallbackSubscription

OnSending = Callable[[Sequence[str]], Awaitable[None]]
OnNotSent = Callable[[], Awaitable[None]]


@attrs.define(eq=False, repr=False)
class SubmitOperation:
    """One submit, accepted by the service at most once.

    Attributes:
        caller: Sends the client's API requests.
        dialect: What differs between hosts.
        request: The video to submit.
        call_options: Priority and retry limits of the caller.
        resubmit_policy: Decides whether to resend a submit after its response was lost.
        adopt: Whether to adopt an existing video of the same track.
        timeout: Seconds to wait for the callback of a submit after its response was lost.
        subscription: The subscription to the task's callbacks, or None.
        on_sending: Awaited with the callback tokens before each attempt, once its slot is granted.
        on_not_sent: Awaited when the service certainly has not accepted any attempt, also if an
            error or a cancel ended the operation. It must complete if it is cancelled itself.
        response_lost: Whether the response to an earlier attempt was lost.
        is_stopping: Returns whether no further attempt may be made.
    """

    caller: ApiCaller
    dialect: Dialect
    request: VideoRequest
    call_options: CallOptions
    resubmit_policy: ResubmitPolicy
    adopt: bool = True
    timeout: float = 1800.0
    subscription: CallbackSubscription | None = None
    on_sending: OnSending | None = None
    on_not_sent: OnNotSent | None = None
    response_lost: bool = False
    is_stopping: Callable[[], bool] = lambda: False
    _is_attempting: bool = attrs.field(default=False, init=False)
    # Whether the task is known, or a callback is awaited that names it.
    _is_settled: bool = attrs.field(default=False, init=False)
    # How far the attempt got whose outcome is unknown; a new one if there is none.
    _delivery: Delivery = attrs.field(factory=Delivery, init=False)
    _has_reported_sending: bool = attrs.field(default=False, init=False)
    _retry_loop: RetryLoop | None = attrs.field(default=None, init=False)

    @property
    def may_be_accepted(self) -> bool:
        """Whether the service may have accepted an attempt without a response that arrived."""
        return self.response_lost or self._delivery.head_sent

    @property
    def can_cancel(self) -> bool:
        """Whether a cancel interrupts no attempt that was sent, and no wait for a callback."""
        is_on_its_way = self._is_attempting and self._delivery.head_sent
        return not self._is_settled and not is_on_its_way

    async def run(self) -> Submission:
        """Submit the request.

        Raises:
            SubmitUncertainError: It may or may not have been accepted.
            AlreadyExistsError: The track has a video, which cannot or must not be adopted.
            Mp4GenError: It was certainly not accepted.
            asyncio.CancelledError: Also if it was not accepted before `is_stopping` became true.
        """
        try:
            # A context manager would take 380 bytes of each submit that waits for its slot.
            try:
                submission = attrs.evolve(await self._run(), subscription=self.subscription)
            except Mp4GenError:
                raise
            except Exception as cause:
                raise unexpected_error(cause) from cause
        except BaseException as error:
            if self._has_reported_sending and not self.may_be_accepted:
                # A record that cannot be changed is no reason to hide why the submit ended.
                with suppress(Mp4GenError):
                    await self._report_not_sent()
            if isinstance(error, UnexpectedError) and self.may_be_accepted:
                raise self._uncertain_error() from error
            raise
        self._is_settled, self.response_lost, self._delivery = True, False, Delivery()
        if self.subscription is not None:
            self.subscription.task_id = submission.task_id
        event = SubmittedEvent(submission.task_id, self.request.audio_id, submission.adopted)
        self.caller.events.emit(event)
        return submission

    def run_within(self, seconds: float) -> Coroutine[Any, Any, Submission]:
        """Submit the request before a deadline; see `run`.

        Raises:
            RequestTimeoutError: The deadline passed, and the submit was certainly not accepted.
        """
        return before_deadline(seconds, self.run(), lambda: self._late_error(seconds))

    async def _run(self) -> Submission:
        if self.response_lost and not await self._allows_resubmit():
            return await self._await_callback_or_raise()
        while True:
            # Each attempt has a callback URL of its own.
            url = self.subscription.new_url() if self.subscription is not None else None
            api_request = protocol.build_create_request(self.request, url)
            try:
                task_id, retry_after = await self._send(api_request)
                return Submission(task_id, retry_after=retry_after)
            except AlreadyExistsError as error:
                return await self._adopt_existing(error)
            except Mp4GenError as error:
                if self._retry_loop is None:
                    self._retry_loop = RetryLoop(self.caller, api_request, self.call_options)
                submission = await self._handle_failure(error, self._retry_loop)
                if submission is not None:
                    return submission

    def _send(self, api_request: ApiRequest) -> Coroutine[Any, Any, tuple[str, float | None]]:
        """Return the call, which is not awaited here: 10,000 may wait, and a frame costs memory."""
        if self._delivery.head_sent:
            self._delivery = Delivery()
        return self.caller.send(
            api_request,
            self._parse,
            self.call_options,
            retry_loop=self._retry_loop,
            on_start=self._start_attempt,
            delivery=self._delivery,
        )

    def _parse(self, response: HttpResponse) -> str:
        return protocol.parse_create(response, self.dialect)

    async def _start_attempt(self) -> None:
        if self.is_stopping():
            raise asyncio.CancelledError
        self._is_attempting = True
        if self.on_sending is not None:
            self._has_reported_sending = True
            tokens = self.subscription.tokens if self.subscription is not None else ()
            await self.on_sending(tokens)

    async def _adopt_existing(self, error: AlreadyExistsError) -> Submission:
        """Adopt the existing video if its task id is known.

        Raises:
            AlreadyExistsError: It cannot or must not be adopted.
        """
        if error.existing_task_id:
            if self.adopt or self.response_lost:
                return Submission(error.existing_task_id, adopted=True)
        elif self.response_lost and (submission := await self._await_callback()):
            return submission
        await self._report_not_sent()
        raise error

    async def _handle_failure(self, error: Mp4GenError, retry_loop: RetryLoop) -> Submission | None:
        """Return None when the next attempt is due, or the submission that a callback reported.

        Raises:
            Mp4GenError: There is no next attempt.
        """
        decision, was_lost = classify(error, submit=True), self.response_lost
        lost_now = decision is RetryDecision.UNCERTAIN
        self.response_lost = was_lost or lost_now
        if not self.response_lost:
            await self._report_not_sent()
        self._is_attempting = False
        if lost_now and not await self._allows_resubmit():
            return await self._await_callback_or_raise(error)
        if self.is_stopping() and decision is not RetryDecision.GIVE_UP:
            if self.response_lost:
                return await self._await_callback_or_raise(error)
            raise asyncio.CancelledError
        try:
            await retry_loop.wait(error, immediately=lost_now and not was_lost)
        except Mp4GenError:
            if self.response_lost:
                raise self._uncertain_error() from error
            raise
        return self._from_callback()

    async def _allows_resubmit(self) -> bool:
        return not self.is_stopping() and await self.resubmit_policy.allows_resubmit(
            self.call_options
        )

    async def _report_not_sent(self) -> None:
        self._delivery, self._has_reported_sending = Delivery(), False
        if self.on_not_sent is not None:
            await self.on_not_sent()

    async def _await_callback_or_raise(self, error: Mp4GenError | None = None) -> Submission:
        if submission := await self._await_callback():
            return submission
        raise self._uncertain_error() from error

    def _uncertain_error(self) -> SubmitUncertainError:
        rejects_duplicates = self.resubmit_policy.rejects_duplicates
        return SubmitUncertainError(self.request, rejects_duplicates=rejects_duplicates)

    def _late_error(self, seconds: float) -> Mp4GenError:
        if self.may_be_accepted:
            return self._uncertain_error()
        return late_error(seconds, self._retry_loop, sent=False)

    async def _await_callback(self) -> Submission | None:
        """Return what a callback reports after a lost response, or None after `timeout`."""
        if self.subscription is not None and self.subscription.last_callback is None:
            self._is_settled = True
            await self.subscription.wake_on_callback(self.caller.sleeper.sleep(self.timeout))
        return self._from_callback()

    def _from_callback(self) -> Submission | None:
        callback = self.subscription.last_callback if self.subscription is not None else None
        return Submission(callback.task_id, via_callback=True) if callback else None
