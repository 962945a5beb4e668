"""Submit and wait for one client: choose the schedule, the callbacks and the slots of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import attrs

from mp4gen.api.converters import prepare_converter
from mp4gen.api.dialects import Dialect
from mp4gen.errors import Mp4GenError
from mp4gen.events import FailedEvent
from mp4gen.models import Video, VideoRequest
from mp4gen.options import Polling
from mp4gen.transport.caller import ApiCaller, CallOptions

from .poll_schedule import cap_retry_after, initial_delay
from .poller import VideoPoller
from .resubmit_policy import ResubmitPolicy
from .submission import OnNotSent, OnSending, SubmitOperation
from .submission_cache import Submission, SubmissionCache

if TYPE_CHECKING:
    from .callbacks import CallbackReceiver, CallbackSubscription

# Without callbacks, and with the user's own schedule for both.
DEFAULT_POLLING = Polling()
# With callbacks, polling is only a safety net.
_POLLING_WITH_CALLBACKS = Polling(initial_delay=60.0, max_interval=60.0)
# Once a callback has arrived, polls only cover the few that get lost.
_POLLING_WITH_PROVEN_CALLBACKS = Polling(initial_delay=300.0, max_interval=300.0)


@attrs.frozen(eq=False, repr=False)
class ConversionService:
    """Submits requests and waits for videos for one client.

    Attributes:
        base_url: The API's base URL.
        caller: Sends the client's API requests.
        dialect: What differs between hosts.
        polling: When to poll a task; the default changes for tasks that have callbacks.
        resubmit_policy: Decides whether to resend a submit after its response was lost.
        concurrency: Maximum of conversions between their submit and their end.
        receiver: Receives the callbacks, or None.
        slots: Permits of single conversions.
        bulk_slots: Permits of all bulk runs, so that these never delay a single conversion.
        bulk_options: Priority and retry limits of bulk runs.
        submissions: The submissions of single calls.
    """

    base_url: str
    caller: ApiCaller
    dialect: Dialect
    polling: Polling
    resubmit_policy: ResubmitPolicy
    concurrency: int
    receiver: CallbackReceiver | None = None
    slots: asyncio.Semaphore = attrs.field(init=False)
    bulk_slots: asyncio.Semaphore = attrs.field(init=False)
    bulk_options: CallOptions = attrs.field(init=False)
    submissions: SubmissionCache = attrs.field(factory=SubmissionCache, init=False)

    @slots.default
    @bulk_slots.default
    def _new_semaphore(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self.concurrency)

    @bulk_options.default
    def _new_bulk_options(self) -> CallOptions:
        return CallOptions.for_bulk_run(self.caller.retry)

    def __attrs_post_init__(self) -> None:
        prepare_converter()

    def subscribe(self, request: VideoRequest, *tokens: str) -> CallbackSubscription | None:
        """Return a subscription to the callbacks of `request`, or None if it has its own URL."""
        if self.receiver is None or request.callback_url is not None:
            return None
        return self.receiver._subscribe(*tokens)

    def submit(
        self,
        request: VideoRequest,
        call_options: CallOptions,
        *,
        adopt: bool,
        timeout: float | None = None,
        callback_timeout: float = 1800.0,
    ) -> Coroutine[Any, Any, Submission]:
        """Submit `request` for a single call, and keep the submission for a later wait.

        Args:
            request: The video to submit.
            call_options: Priority and retry limits of the call.
            adopt: Whether to adopt an existing video of the same track.
            timeout: Maximum seconds for the whole call; None lets the retry limits decide.
            callback_timeout: Seconds to wait for a callback after a lost response.

        Raises:
            Mp4GenError: As `SubmitOperation.run` and `run_within`.
        """
        subscription = self.subscribe(request)
        operation = self.prepare_submit(
            request,
            call_options,
            adopt=adopt,
            timeout=callback_timeout,
            subscription=subscription,
        )
        work = operation.run() if timeout is None else operation.run_within(timeout)
        # 10,000 may wait for their slots: a frame without the arguments costs less memory.
        return self._keep(work, subscription)

    async def _keep(
        self, work: Coroutine[Any, Any, Submission], subscription: CallbackSubscription | None
    ) -> Submission:
        try:
            submission = await work
        except BaseException as error:
            if subscription is not None:
                subscription.close()
            if isinstance(error, Mp4GenError):
                self.caller.events.emit(FailedEvent(None, error))
            raise
        # From now on `wait_for_video` can resume the task, however this call ends.
        return self.submissions.add(submission)

    def prepare_submit(
        self,
        request: VideoRequest,
        call_options: CallOptions,
        *,
        adopt: bool,
        timeout: float,
        subscription: CallbackSubscription | None,
        on_sending: OnSending | None = None,
        on_not_sent: OnNotSent | None = None,
        response_lost: bool = False,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> SubmitOperation:
        """Return the operation that submits `request`; arguments are those of the class."""
        return SubmitOperation(
            self.caller,
            self.dialect,
            request,
            call_options,
            self.resubmit_policy,
            adopt,
            timeout,
            subscription,
            on_sending,
            on_not_sent,
            response_lost,
            is_stopping,
        )

    def wait(
        self,
        task_id: str,
        call_options: CallOptions,
        timeout: float,
        submission: Submission | None,
        submission_cache: SubmissionCache | None = None,
    ) -> Coroutine[Any, Any, Video]:
        """Wait for the video of a task; arguments and errors are those of `VideoPoller`."""
        # Returned and not awaited: one more frame would be a fifth of a wait's memory.
        polling = self._polling_for(submission)
        poller = VideoPoller(
            self.caller,
            self.dialect,
            polling,
            call_options,
            task_id,
            timeout,
            submission,
            submission_cache,
            trust_callbacks=self.receiver is not None and not self.receiver.confirm,
        )
        return poller.run(self._first_poll_delay(submission, polling))

    def _polling_for(self, submission: Submission | None) -> Polling:
        """Return the schedule; the callback of an adopted task may go to its first submitter."""
        if submission is None or submission.subscription is None or submission.adopted:
            return self.polling
        if self.polling is not DEFAULT_POLLING:
            return self.polling
        proven = self.receiver is not None and self.receiver._callbacks_arrive
        return _POLLING_WITH_PROVEN_CALLBACKS if proven else _POLLING_WITH_CALLBACKS

    def _first_poll_delay(self, submission: Submission | None, polling: Polling) -> float:
        """Return the seconds until the first poll: 0 if the age of the task is unknown."""
        if submission is None or submission.adopted or submission.via_callback:
            return 0.0
        age = asyncio.get_running_loop().time() - submission.submitted_at
        if submission.retry_after is not None and submission.subscription is None:
            return max(0.0, cap_retry_after(submission.retry_after, polling) - age)
        return initial_delay(polling, self.caller.random, age)
