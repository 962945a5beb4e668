"""One wait for one task: polls, or is told; a failed look loses nothing, a deadline ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Final

import attrs

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    Mp4GenError,
    NotFoundError,
)
from mp4gen.events import DoneEvent, FailedEvent, LookEvent
from mp4gen.models import Video, VideoDetails, VideoStatus
from mp4gen.options import Polling
from mp4gen.task_errors import GenerationFailedError, WaitTimeoutError
from mp4gen.transport.caller import CallOptions, Calls, Stopwatch
from mp4gen.transport.retry import Next, decide
from mp4gen.transport.sleeper import Pause

from .callbacks import Ticket, believable_url
from .poll_schedule import next_waits
from .submission import Accepted, SubmissionCache

# A record can be missing for a while after its creation (docs.kie.ai, "Get Task Details").
GRACE_SECONDS: Final = 60.0
GRACE_LOOKS: Final = 3
# The last look of a wait is not cut shorter than this, however little time is left.
_LAST_LOOK: Final = 1.0
_BETWEEN_WOKEN_LOOKS: Final = 5.0
# However soon a server wants to be asked again: the rate limit is for all.
_SHORTEST_STEP: Final = 0.5
# What fails a wait when it lasts beyond the grace.
_LASTING: Final = (
    NotFoundError,
    InvalidRequestError,
    ConfigurationError,
    AuthenticationError,
)


@attrs.define(eq=False)
class Wait:
    """One wait for one task.

    Attributes:
        calls: the client's calls.
        dialect: the host's way of speaking.
        polling: when to look.
        call_options: whose wait it is.
        task_id: the video task.
        timeout: seconds until we stop; pauses for the limiter and for maintenance do not count.
        submission: the submit that made the task; None where it is not known.
        submission_cache: what forgets the task once it has come to its end, or None.
        believe: whether what a callback says is the truth, and no look is needed.
    """

    calls: Calls
    dialect: Dialect
    polling: Polling
    call_options: CallOptions
    task_id: str
    timeout: float
    submission: Accepted | None = None
    submission_cache: SubmissionCache | None = None
    believe: bool = False
    _known: bool = False
    _waits: Iterator[float] | None = None
    _details: VideoDetails | None = None
    _error: Mp4GenError | None = None
    _held: bool = False
    _missing: int = 0
    _missing_since: float = 0.0
    _looked_at: float = float("-inf")

    async def run(self, first: float) -> Video:
        """The video; the first look comes after `first` seconds.

        Raises:
            GenerationFailedError: the service gave up on the task.
            NotFoundError: the service does not know the task.
            WaitTimeoutError: the task is not finished, and may still be one day.
            AuthenticationError: the key was refused.
        """
        watch = Stopwatch()
        wait = first
        try:
            while True:
                left = max(0.0, self.timeout - watch.seconds)
                woken = await self._pause(min(wait, left))
                if video := self._believed(watch):
                    return video
                if woken:
                    await self._hold_back()
                asked = await self._look(watch)
                if self._details is not None and self._details.ready:
                    return self._finished(self._details, watch)
                # The clock alone would not do: a sum of pauses can fall short by a rounding error.
                if (wait >= left and not woken) or watch.seconds >= self.timeout:
                    return self._out_of_time(watch)
                wait = self._next(asked, woken=woken)
        except Mp4GenError as error:
            if not isinstance(error, WaitTimeoutError):
                self._forget()
            self.calls.observers.emit(FailedEvent(self.task_id, error))
            raise

    @property
    def ticket(self) -> Ticket | None:
        """The claim to the task's callbacks."""
        return self.submission.ticket if self.submission is not None else None

    @property
    def adopted(self) -> bool:
        """Whether an earlier request had made the task."""
        return self.submission is not None and self.submission.submitted.adopted

    def _pause(self, seconds: float) -> Pause:
        """Gives False after `seconds`, or earlier True when a callback has come."""
        pause = self.calls.pauses.sleep(seconds)
        return pause if self.ticket is None else self.ticket.rouses(pause)

    async def _hold_back(self) -> None:
        """Whoever knows the address can wake us, but not make us hammer the API."""
        since = asyncio.get_running_loop().time() - self._looked_at
        await self.calls.pauses.sleep(max(0.0, _BETWEEN_WOKEN_LOOKS - since))

    def _next(self, asked: float | None, *, woken: bool) -> float:
        """Seconds until the next look."""
        if woken:
            # The record may lag behind the callback that announced it.
            return _BETWEEN_WOKEN_LOOKS
        if self._held:
            # The limiter or the gate holds the next look back by itself, and no time counts.
            return 0.0
        self._waits = self._waits or next_waits(self.polling, self.calls.random)
        if asked is None:
            return next(self._waits)
        # Where callbacks tell of the end, a server that would like to be asked early is not.
        shortest = next(self._waits) if self.ticket is not None else _SHORTEST_STEP
        return max(asked, shortest)

    def _believed(self, watch: Stopwatch) -> Video | None:
        """The video of a callback that is taken at its word.

        Raises:
            GenerationFailedError: it says that there will be none.
        """
        notice = self.ticket.notice if self.ticket is not None and self.believe else None
        if notice is None or notice.task_id != self.task_id:
            return None
        if notice.code != 200:
            said = f"the service gave up: {notice.message} (code {notice.code})"
            raise GenerationFailedError(self.task_id, said)
        if url := believable_url(notice):
            details = VideoDetails(self.task_id, status=VideoStatus.SUCCESS, video_url=url)
            return self._finished(details, watch)
        return None

    async def _look(self, watch: Stopwatch) -> float | None:
        """Look once; the seconds that the server asks to wait. Most failures are kept for later."""
        call = protocol.details_call(self.task_id, self.dialect)
        read = partial(protocol.read_details, dialect=self.dialect, task_id=self.task_id)
        left = max(_LAST_LOOK, self.timeout - watch.seconds)
        limit = min(self.calls.retry.request_timeout, left)
        self._looked_at = asyncio.get_running_loop().time()
        self._held = False
        try:
            details, asked = await self.calls.once(
                call, read, self.call_options, watch=watch, timeout=limit
            )
        except Mp4GenError as error:
            return self._failed_look(error, watch.seconds)
        self._known, self._missing, self._error = True, 0, None
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
        # A firewall's 403 may pass; a key that is refused stays so.
        if self.calls.closed or (isinstance(error, AuthenticationError) and error.code == 401):
            raise error
        if isinstance(error, ConfigurationError) and not (self._known or self.submission):
            raise error
        if isinstance(error, _LASTING):
            if self._missing == 0:
                self._missing_since = age
            self._missing += 1
            if self._missing >= GRACE_LOOKS and age - self._missing_since >= GRACE_SECONDS:
                raise error
        match decide(error, submit=False):
            case Next.COOL_DOWN:
                self._held = True
            case Next.MAINTENANCE:
                self._held = not self.calls.would_give_up(self.call_options)
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
        self._forget()
        self.calls.observers.emit(DoneEvent(video, watch.seconds))
        return video

    def _forget(self) -> None:
        if self.submission_cache is not None:
            self.submission_cache.forget(self.task_id, self.submission)

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
