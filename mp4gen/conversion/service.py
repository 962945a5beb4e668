"""From a request to its video, for one client; how many run at once is decided by its callers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import attrs

from mp4gen.api.dialects import Dialect
from mp4gen.models import Video, VideoRequest
from mp4gen.options import Polling
from mp4gen.transport.caller import ApiCaller, CallOptions

from .callbacks import CallbackReceiver, CallbackSubscription
from .poll_schedule import initial_delay
from .poller import VideoPoller
from .submission import Accepted, Journal, SubmissionCache, SubmitOperation


@attrs.frozen
class ConversionService:
    """Makes the submits and waits of one client.

    Attributes:
        caller: the client's calls.
        dialect: the host's way of speaking.
        polling: when to look at a task.
        resubmit: whether a submit whose answer was lost is sent again.
        receiver: what is told of the end of tasks, or None.
        polling_with_callbacks: when to look at a task whose end a callback will tell, as far as we know.
        polling_with_proven_callbacks: the same, once a callback has arrived.
    """

    caller: ApiCaller
    dialect: Dialect
    polling: Polling
    resubmit: bool
    receiver: CallbackReceiver | None = None
    polling_with_callbacks: Polling = Polling()
    polling_with_proven_callbacks: Polling = Polling()

    def subscribe(self, request: VideoRequest, *tokens: str) -> CallbackSubscription | None:
        """The claim to the request's callbacks; None where they go elsewhere."""
        if self.receiver is None or request.callback_url is not None:
            return None
        return self.receiver._subscribe(*tokens)

    async def submit(
        self,
        request: VideoRequest,
        call_options: CallOptions,
        *,
        adopt: bool,
        timeout: float,
        subscription: CallbackSubscription | None,
        journal: Journal | None = None,
        response_lost: bool = False,
    ) -> Accepted:
        """Submit `request`; see `Submit`.

        Raises:
            Mp4GenError: as `Submit.run`.
        """
        operation = SubmitOperation(
            self.caller,
            self.dialect,
            request,
            call_options,
            self.resubmit,
            adopt=adopt,
            timeout=timeout,
            subscription=subscription,
            journal=journal,
            response_lost=response_lost,
        )
        submitted = await operation.run()
        return Accepted(submitted, asyncio.get_running_loop().time(), subscription)

    def wait(
        self,
        task_id: str,
        call_options: CallOptions,
        timeout: float,
        submission: Accepted | None,
        submission_cache: SubmissionCache | None = None,
    ) -> Coroutine[Any, Any, Video]:
        """Wait for a task's video; see `Wait`.

        Args:
            task_id: the video task.
            call_options: whose wait it is.
            timeout: seconds.
            submission: what is known of its submit; None for nothing.
            submission_cache: what forgets the task once it has come to its end.

        Raises:
            Mp4GenError: as `Wait.run`.
        """
        # Handed on and not awaited: a frame more would be a fifth of what a wait weighs.
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

    def _polling_for(self, submission: Accepted | None) -> Polling:
        """Whoever adopts a task may wait in vain for the callback, which goes to its maker."""
        if submission is None or submission.ticket is None or submission.submitted.adopted:
            return self.polling
        has_received = self.receiver is not None and self.receiver._has_received
        return self.polling_with_proven_callbacks if has_received else self.polling_with_callbacks

    def _first_poll_delay(self, submission: Accepted | None, polling: Polling) -> float:
        """Seconds until the first look at a task: at once where its age is not known."""
        if submission is None or submission.submitted.adopted or submission.submitted.told:
            return 0.0
        age = asyncio.get_running_loop().time() - submission.at
        retry_after = submission.submitted.retry_after
        if retry_after is not None and submission.ticket is None:
            return max(0.0, retry_after - age)
        return initial_delay(polling, self.caller.random, age)
