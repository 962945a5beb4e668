"""From a request to its video: one submit that is never doubled, one wait that loses nothing.

Both are functions over `Calls`; limits on how many run at once belong to those who call them.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Final

import attrs

from . import protocol
from .calls import Calls, Patience, Stopwatch, Tries
from .dialects import Dialect
from .errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    GenerationFailedError,
    InvalidRequestError,
    Mp4GenError,
    NotFoundError,
    SubmitUncertainError,
    WaitTimeoutError,
)
from .events import DoneEvent, FailedEvent, LookEvent, SubmitEvent
from .models import Polling, Video, VideoDetails, VideoRequest
from .polling import first_wait, next_waits
from .retry import Next, decide

# A record can be missing for a while after its creation (docs.kie.ai, "Get Task Details").
GRACE_SECONDS: Final = 60.0
GRACE_LOOKS: Final = 3
# The last look of a wait is not cut shorter than this, however little time is left.
_LAST_LOOK: Final = 1.0


@attrs.frozen
class Submitted:
    """What became of a submit.

    Attributes:
        task_id: the video task.
        adopted: whether an earlier request had made it.
        retry_after: seconds after which the server wants to be asked, or None.
    """

    task_id: str
    adopted: bool = False
    retry_after: float | None = None


async def submit(
    calls: Calls,
    dialect: Dialect,
    request: VideoRequest,
    patience: Patience,
    *,
    resubmit: bool,
    callback_url: str | None = None,
    adopt: bool = True,
) -> Submitted:
    """Submit `request`, at most once as far as the account is concerned.

    Args:
        calls: the client's calls.
        dialect: the host's way of speaking.
        request: which video.
        patience: whose submit it is.
        resubmit: whether a submit whose answer was lost is sent again.
        callback_url: for a request without one of its own.
        adopt: whether a video that somebody else submitted earlier is as good.

    Raises:
        SubmitUncertainError: it may or may not have been accepted.
        AlreadyExistsError: the track has a video, which cannot or shall not be adopted.
        Mp4GenError: it was certainly not accepted.
    """
    call = protocol.create_call(request, callback_url)
    read = partial(protocol.read_create, dialect=dialect)
    tries = Tries(calls, call, patience)
    lost = False
    while True:
        try:
            task_id, retry_after = await calls.once(call, read, patience)
            submitted = Submitted(task_id, retry_after=retry_after)
        except AlreadyExistsError as error:
            if not error.existing_task_id or not (adopt or lost):
                raise
            submitted = Submitted(error.existing_task_id, adopted=True)
        except Mp4GenError as error:
            uncertain = decide(error, submit=True) is Next.UNCERTAIN
            if uncertain and not resubmit:
                raise SubmitUncertainError(request) from error
            try:
                await tries.pause(error, at_once=uncertain and not lost)
            except Mp4GenError:
                if lost or uncertain:
                    raise SubmitUncertainError(request) from error
                raise
            lost = lost or uncertain
            continue
        event = SubmitEvent(submitted.task_id, request.audio_id, submitted.adopted)
        calls.observers.emit(event)
        return submitted


@attrs.define
class Wait:
    """One wait for one task.

    Attributes:
        calls: the client's calls.
        dialect: the host's way of speaking.
        polling: when to look.
        patience: whose wait it is.
        task_id: the video task.
        timeout: seconds until we stop; pauses for the limiter and for maintenance do not count.
        adopted: whether an earlier request had made the task.
        known: whether this host is known to be the API.
    """

    calls: Calls
    dialect: Dialect
    polling: Polling
    patience: Patience
    task_id: str
    timeout: float
    adopted: bool = False
    known: bool = False
    _details: VideoDetails | None = None
    _error: Mp4GenError | None = None
    _missing: int = 0
    _missing_since: float = 0.0

    async def run(self, first: float) -> Video:
        """The video; the first look comes after `first` seconds.

        Raises:
            GenerationFailedError: the service gave up on the task.
            NotFoundError: the service does not know the task.
            WaitTimeoutError: the task is not finished, and may still be one day.
            AuthenticationError: the key was refused.
        """
        watch = Stopwatch()
        waits = next_waits(self.polling, self.calls.random)
        wait = first
        try:
            while True:
                await asyncio.sleep(min(wait, max(0.0, self.timeout - watch.seconds)))
                asked = await self._look(watch)
                if self._details is not None and self._details.ready:
                    return self._finished(self._details, watch)
                if watch.seconds >= self.timeout:
                    return self._out_of_time(watch)
                wait = next(waits) if asked is None else asked
        except Mp4GenError as error:
            self.calls.observers.emit(FailedEvent(self.task_id, error))
            raise

    async def _look(self, watch: Stopwatch) -> float | None:
        """Look once; the seconds that the server asks to wait. Most failures are kept for later."""
        call = protocol.details_call(self.task_id, self.dialect)
        read = partial(protocol.read_details, dialect=self.dialect, task_id=self.task_id)
        left = max(_LAST_LOOK, self.timeout - watch.seconds)
        limit = min(self.calls.retry.request_timeout, left)
        try:
            details, asked = await self.calls.once(
                call, read, self.patience, watch=watch, timeout=limit
            )
        except Mp4GenError as error:
            return self._failed_look(error, watch.seconds)
        self.known, self._missing, self._error = True, 0, None
        self._details = details
        self.calls.observers.emit(LookEvent(self.task_id, details.status, watch.seconds))
        if details.failed:
            raise self._given_up(details)
        return asked

    def _failed_look(self, error: Mp4GenError, age: float) -> float | None:
        """A failed look fails no wait, except where the answer will not change.

        Raises:
            Mp4GenError: `error` itself.
        """
        self._error = error
        if self.calls.closed or isinstance(error, AuthenticationError):
            raise error
        if isinstance(error, ConfigurationError) and not self.known:
            raise error
        if isinstance(error, NotFoundError | InvalidRequestError | ConfigurationError):
            if self._missing == 0:
                self._missing_since = age
            self._missing += 1
            if self._missing >= GRACE_LOOKS and age - self._missing_since >= GRACE_SECONDS:
                raise error
        match decide(error, submit=False):
            case Next.COOL_DOWN:
                # The limiter holds the next look back by itself.
                return 0.0
            case _:
                return getattr(error, "retry_after", None)

    def _given_up(self, details: VideoDetails) -> Mp4GenError:
        said = details.error_message or "no reason given"
        code = f", code {details.error_code}" if details.error_code else ""
        if self.adopted:
            return self._of_no_use(f"had failed ({details.status}: {said}{code})")
        return GenerationFailedError(
            self.task_id, f"the service gave up: {details.status}: {said}{code}", details
        )

    def _of_no_use(self, why: str) -> AlreadyExistsError:
        return AlreadyExistsError(
            f"the earlier video of this track {why}, and the API makes no second one",
            code=409,
            task_id=self.task_id,
            existing_task_id=self.task_id,
        )

    def _finished(self, details: VideoDetails, watch: Stopwatch) -> Video:
        video = finished_video(details, self.dialect, adopted=self.adopted)
        if self.adopted and video.expires_at and video.expires_at < datetime.now(UTC):
            raise self._of_no_use(f"was deleted by the host at {video.expires_at:%Y-%m-%d %H:%M}")
        self.calls.observers.emit(DoneEvent(video, watch.seconds))
        return video

    def _out_of_time(self, watch: Stopwatch) -> Video:
        """The deadline: a link under a flag that we do not know is better than nothing."""
        if self._details is not None and self._details.video_url:
            return self._finished(self._details, watch)
        last = f"its last status was {self._details.status!r}" if self._details else "never seen"
        trouble = f"; the last look failed: {self._error}" if self._error else ""
        raise WaitTimeoutError(
            self.task_id,
            f"not finished after {self.timeout:g} s ({last}{trouble}); "
            "it may still finish: wait for the same id again",
            self._details,
        )


def finished_video(details: VideoDetails, dialect: Dialect, *, adopted: bool = False) -> Video:
    """The video that `details` tell of; they must hold its URL."""
    return Video(
        task_id=details.task_id,
        url=details.video_url or "",
        audio_id=details.audio_id,
        created_at=details.created_at,
        completed_at=details.completed_at,
        expires_at=dialect.expires_at(details.completed_at),
        adopted=adopted,
    )


def first_look(polling: Polling, calls: Calls, submitted: Submitted | None, age: float) -> float:
    """Seconds until the first look at a task: at once where its age is not known."""
    if submitted is None or submitted.adopted:
        return 0.0
    if submitted.retry_after is not None:
        return max(0.0, submitted.retry_after - age)
    return first_wait(polling, calls.random, age)
