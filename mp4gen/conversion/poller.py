"""Wait for one task: poll it until its video is there, or its callback comes; submits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

import attrs

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.api.responses import HttpResponse
from mp4gen.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    Mp4GenError,
    NotFoundError,
)
from mp4gen.events import CompletedEvent, FailedEvent, PollEvent, RetryEvent
from mp4gen.models import Video, VideoDetails, VideoStatus
from mp4gen.options import Polling
from mp4gen.task_errors import GenerationFailedError, WaitTimeoutError
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.retry import RetryDecision, classify
from mp4gen.transport.sleeper import WakeableSleep, client_closed_error
from mp4gen.transport.stopwatch import Stopwatch
from mp4gen.transport.unexpected import unexpected_error

from .poll_schedule import cap_retry_after, poll_intervals
from .submission_cache import Submission, SubmissionCache

if TYPE_CHECKING:
    from .callbacks import CallbackSubscription

# A record can be missing for a while after its creation (docs.kie.ai, "Get Task Details").
GRACE_SECONDS: Final = 60.0
GRACE_POLLS: Final = 3
# Minimum timeout of the last poll, in seconds, if less time is left.
_MIN_FINAL_TIMEOUT: Final = 1.0
_MIN_CALLBACK_POLL_INTERVAL: Final = 5.0
# Lower bound of a server's Retry-After: all tasks share the rate limit.
_MIN_POLL_INTERVAL: Final = 0.5
# Errors that end a wait if they persist beyond the grace period.
_PERMANENT_AFTER_GRACE: Final = (
    NotFoundError,
    InvalidRequestError,
    ConfigurationError,
    AuthenticationError,
)


@attrs.define(eq=False, repr=False)
class VideoPoller:
    """One wait for one task.

    Attributes:
        caller: Sends the client's API requests.
        dialect: What differs between hosts.
        polling: When to poll.
        call_options: Priority and retry limits of the caller.
        task_id: The video task.
        timeout: Seconds to wait; waiting for the rate limit or for maintenance does not count.
        submission: The submission that created the task, or None if it is unknown.
        submission_cache: The cache that holds the submission, or None.
        trust_callbacks: Whether to trust a callback without polling.
    """

    caller: ApiCaller
    dialect: Dialect
    polling: Polling
    call_options: CallOptions
    task_id: str
    timeout: float
    submission: Submission | None = None
    submission_cache: SubmissionCache | None = None
    trust_callbacks: bool = False
    _task_found: bool = False
    _intervals: Iterator[float] | None = None
    _details: VideoDetails | None = None
    _server_time: datetime | None = None
    _last_error: Mp4GenError | None = None
    _rate_limited: bool = False
    _not_found_count: int = 0
    _not_found_since: float = 0.0
    _last_poll_at: float = float("-inf")

    async def run(self, initial_delay: float) -> Video:
        """Return the video; poll for the first time after `initial_delay` seconds.

        Raises:
            GenerationFailedError: The service gave up on the task.
            NotFoundError: The service does not know the task.
            WaitTimeoutError: The task is not finished; it may still finish.
            AuthenticationError: The API refused the key.
        """
        stopwatch = Stopwatch()
        delay = initial_delay
        try:
            while True:
                remaining = max(0.0, self.timeout - stopwatch.elapsed)
                callback_received = await self._sleep(min(delay, remaining))
                if video := self._video_from_callback(stopwatch):
                    return video
                if callback_received:
                    await self._throttle()
                retry_after = await self._poll(stopwatch)
                if self._details is not None and self._details.ready:
                    return self._complete(self._details, stopwatch)
                # Not the clock alone: a sum of delays can fall short by a rounding error.
                if (
                    delay >= remaining and not callback_received
                ) or stopwatch.elapsed >= self.timeout:
                    return self._timed_out(stopwatch)
                if retry_after is not None:
                    retry_after = cap_retry_after(retry_after, self.polling, stopwatch.elapsed)
                delay = self._next_delay(retry_after, callback_received=callback_received)
                self._report_retry(delay)
        except Mp4GenError as error:
            if not isinstance(error, WaitTimeoutError):
                self._forget()
            self.caller.events.emit(FailedEvent(self.task_id, error))
            raise
        except Exception as error:
            raise self._wrap(error) from error

    @property
    def subscription(self) -> CallbackSubscription | None:
        """The subscription to the task's callbacks, or None."""
        return self.submission.subscription if self.submission is not None else None

    @property
    def adopted(self) -> bool:
        """Whether an earlier request created the task."""
        return self.submission is not None and self.submission.adopted

    @property
    def _is_known(self) -> bool:
        """Whether the host has accepted the task, or found it."""
        return self._task_found or self.submission is not None

    def _wrap(self, cause: Exception) -> Mp4GenError:
        """Return the error of an unexpected exception, and report it."""
        error = unexpected_error(cause)
        self.caller.events.emit(FailedEvent(self.task_id, error))
        return error

    def _sleep(self, seconds: float) -> WakeableSleep:
        """Return a sleep whose result is False after `seconds`, True if a callback ends it."""
        sleep = self.caller.sleeper.sleep(seconds)
        return sleep if self.subscription is None else self.subscription.wake_on_callback(sleep)

    async def _throttle(self) -> None:
        """Throttle polls after callbacks: an attacker who knows the URL must not flood the API."""
        elapsed = asyncio.get_running_loop().time() - self._last_poll_at
        await self.caller.sleeper.sleep(max(0.0, _MIN_CALLBACK_POLL_INTERVAL - elapsed))

    def _next_delay(self, retry_after: float | None, *, callback_received: bool) -> float:
        """Return the seconds until the next poll."""
        if callback_received:
            # The record can lag behind the callback that announced it.
            return _MIN_CALLBACK_POLL_INTERVAL
        if self._rate_limited:
            # The limiter or the circuit breaker delays the next poll; the timeout does not run.
            return 0.0
        self._intervals = self._intervals or poll_intervals(self.polling, self.caller.random)
        if retry_after is None:
            return next(self._intervals)
        # With callbacks, polls are a safety net: an early Retry-After does not apply.
        min_delay = next(self._intervals) if self.subscription is not None else _MIN_POLL_INTERVAL
        return max(retry_after, min_delay)

    def _video_from_callback(self, stopwatch: Stopwatch) -> Video | None:
        """Return the video of a trusted callback, or None without one.

        Raises:
            GenerationFailedError: The callback reports a failure.
        """
        if self.subscription is None or not self.trust_callbacks:
            return None
        callback = self.subscription.last_callback
        if callback is None or callback.task_id != self.task_id:
            return None
        if callback.failed:
            message = f"the service gave up: {callback.message} (code {callback.code})."
            raise GenerationFailedError(self.task_id, message)
        if url := self.subscription.trusted_video_url:
            details = VideoDetails(self.task_id, status=VideoStatus.SUCCESS, video_url=url)
            return self._complete(details, stopwatch)
        return None

    async def _poll(self, stopwatch: Stopwatch) -> float | None:
        """Poll once and return the server's Retry-After; keep most errors for the deadline."""
        api_request = protocol.build_details_request(self.task_id, self.dialect)
        remaining = max(_MIN_FINAL_TIMEOUT, self.timeout - stopwatch.elapsed)
        request_timeout = min(self.caller.retry.request_timeout, remaining)
        self._last_poll_at = asyncio.get_running_loop().time()
        self._rate_limited = False
        # The wait for a slot does not count.
        stopwatch.stop()
        try:
            details, retry_after = await self.caller.send(
                api_request,
                self._parse,
                self.call_options,
                timeout=request_timeout,
                on_start=stopwatch.start,
                polite=True,
            )
        except Mp4GenError as error:
            stopwatch.start()
            return await self._handle_poll_error(error, stopwatch.elapsed)
        self._task_found, self._not_found_count, self._last_error = True, 0, None
        self._details = details
        self.caller.events.emit(PollEvent(self.task_id, details.status, stopwatch.elapsed))
        if details.ready or details.failed:
            self._report_end()
        if details.failed:
            raise self._failure_error(details)
        return retry_after

    def _parse(self, response: HttpResponse) -> VideoDetails:
        if self.adopted:
            self._server_time = response.date
        return protocol.parse_details(response, self.dialect, self.task_id)

    async def _handle_poll_error(self, error: Mp4GenError, elapsed: float) -> float | None:
        """Return the server's Retry-After, unless the error is permanent.

        Raises:
            Mp4GenError: `error` itself, or that the client is closed.
        """
        if self.caller.closed:
            # However it came to be noticed: the wait can go on in another client.
            raise client_closed_error() from error
        self._last_error = error
        from_api = getattr(error, "from_api", True)
        # A page of a firewall can be temporary; a 401 is permanent.
        is_unauthorized = isinstance(error, AuthenticationError) and error.code == 401 and from_api
        if is_unauthorized:
            raise error
        if isinstance(error, ConfigurationError) and not self._is_known:
            raise error
        if isinstance(error, _PERMANENT_AFTER_GRACE):
            if self._not_found_count == 0:
                self._not_found_since = elapsed
            self._not_found_count += 1
            if (
                self._not_found_count >= GRACE_POLLS
                and elapsed - self._not_found_since >= GRACE_SECONDS
                # A page in answer to this task alone does not end the wait for a paid video.
                and (from_api or not self._is_known or not await self.caller.is_up())
            ):
                raise error
        match classify(error, submit=False):
            case RetryDecision.PAUSE:
                self._rate_limited = True
            case RetryDecision.MAINTENANCE:
                self._rate_limited = not self.caller.would_give_up(self.call_options)
        return getattr(error, "retry_after", None)

    def _report_retry(self, delay: float) -> None:
        """Emit an event if the last poll failed; a rate refusal has one of its own."""
        error = self._last_error
        if error is None or self._rate_limited:
            return
        if self.submission is not None and isinstance(error, _PERMANENT_AFTER_GRACE):
            # The record of a new task may not exist yet.
            return
        path = protocol.build_details_request(self.task_id, self.dialect).path.partition("?")[0]
        self.caller.events.emit(RetryEvent(path, error, delay))

    def _report_end(self) -> None:
        """Count the end as found without a callback, if one should have come to this process."""
        submission = self.submission
        if submission is None or submission.adopted or submission.via_callback:
            return
        if submission.subscription is not None:
            submission.subscription.report_end()

    def _failure_error(self, details: VideoDetails) -> Mp4GenError:
        reason = f"{details.status}: {details.error_message or 'no reason given'}"
        if details.error_code:
            reason += f", code {details.error_code}"
        if self.adopted:
            return self._cannot_adopt_error(f"had failed ({reason})")
        return GenerationFailedError(self.task_id, f"the service gave up: {reason}.", details)

    def _cannot_adopt_error(self, reason: str) -> AlreadyExistsError:
        return AlreadyExistsError(
            f"the earlier video of this track {reason}, and the API creates no second one",
            code=409,
            task_id=self.task_id,
            existing_task_id=self.task_id,
        )

    def _complete(self, details: VideoDetails, stopwatch: Stopwatch) -> Video:
        video = video_from_details(details, self.dialect, adopted=self.adopted)
        # By the host's clock: that of this machine may be wrong.
        now = self._server_time
        if self.adopted and now and video.expires_at and video.expires_at < now:
            raise self._cannot_adopt_error(
                f"was deleted by the host at {video.expires_at:%Y-%m-%d %H:%M}"
            )
        self._forget()
        self.caller.events.emit(CompletedEvent(video, stopwatch.elapsed))
        return video

    def _forget(self) -> None:
        if self.submission_cache is not None:
            self.submission_cache.forget(self.task_id, self.submission)

    def _timed_out(self, stopwatch: Stopwatch) -> Video:
        """Return the video at the deadline if an unknown status came with a URL.

        Raises:
            WaitTimeoutError: There is no URL.
        """
        details = self._details
        if details is not None and details.video_url:
            return self._complete(details, stopwatch)
        # Escaped, because an unknown status is the host's own text.
        status = f"its last status was {str(details.status)!r}" if details else "no poll succeeded"
        last_error = str(self._last_error or "").rstrip(".")
        last_failure = f"; the last poll failed: {last_error}" if last_error else ""
        raise WaitTimeoutError(
            self.task_id,
            f"not finished after {self.timeout:g} s ({status}{last_failure}). "
            "It may still finish: wait for the same id again.",
            details,
        )


def video_from_details(details: VideoDetails, dialect: Dialect, *, adopted: bool = False) -> Video:
    """Return the video of finished `details`, which must have a URL."""
    return Video(
        task_id=details.task_id,
        url=details.video_url or "",
        audio_id=details.audio_id,
        created_at=details.created_at,
        completed_at=details.completed_at,
        expires_at=dialect.expires_at(details.completed_at),
        adopted=adopted,
    )
