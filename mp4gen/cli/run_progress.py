"""Counts the events of a bulk run and estimates its end; shows nothing."""

import math
import time
from collections import deque
from collections.abc import Callable

import attrs

from mp4gen.bulk.results import Conversion
from mp4gen.events import (
    CompletedEvent,
    Event,
    FailedEvent,
    MaintenanceEvent,
    PausedEvent,
    PollEvent,
    RetryEvent,
    SubmittedEvent,
)
from mp4gen.options import RateLimit

# One submit and a little more than one poll, if polls count towards the limit.
REQUESTS_PER_VIDEO = 2.1
_WINDOW_SECONDS = 30.0
_MIN_SAMPLES = 3


@attrs.define
class RunProgress:
    """The counts of one run.

    Attributes:
        total: Number of tracks.
        clock: Returns monotonic seconds.
        succeeded: Videos so far, including those of earlier runs.
        failed: Tracks that ended with an error.
    """

    total: int = 0
    clock: Callable[[], float] = time.monotonic
    succeeded: int = 0
    failed: int = 0
    _in_progress: set[str] = attrs.field(factory=set)
    _request_times: deque[float] = attrs.field(factory=deque)
    _completed: int = 0
    _started: float | None = None
    _pause: tuple[float, str] = (-math.inf, "")

    def handle_event(self, event: Event) -> None:
        """Count an event of the client."""
        now = self.clock()
        match event:
            case SubmittedEvent() | PollEvent():
                self._started = now if self._started is None else self._started
                self._in_progress.add(event.task_id)
                self._request_times.append(now)
            case RetryEvent():
                self._request_times.append(now)
            case CompletedEvent():
                # Still in progress: the download follows.
                self._completed += 1
            case FailedEvent() if event.task_id:
                self._in_progress.discard(event.task_id)
            case PausedEvent():
                self._pause = (now + event.delay, "paused by the API's rate limit")
            case MaintenanceEvent():
                self._pause = (now + event.delay, "paused by the API's maintenance")

    def add_result(self, conversion: Conversion) -> None:
        """Count the end of one track."""
        self._in_progress.discard(conversion.task_id or "")
        if conversion.error is None:
            self.succeeded += 1
        else:
            self.failed += 1

    @property
    def in_progress(self) -> int:
        """Tracks that are submitted and not downloaded yet."""
        return len(self._in_progress)

    @property
    def waits_for(self) -> str:
        """What a run that stops waits for; downloads of earlier runs' videos are not counted."""
        return f"{self.in_progress} videos" if self._in_progress else "responses and downloads"

    @property
    def fraction(self) -> float | None:
        """The finished part of the run, 0 to 1; None if there are no tracks."""
        return (self.succeeded + self.failed) / self.total if self.total else None

    def __str__(self) -> str:
        now = self.clock()
        remaining = max(0, self._unfinished - self.in_progress)
        parts = [counts_text(self.succeeded, self.failed, self.in_progress, remaining)]
        while self._request_times and now - self._request_times[0] > _WINDOW_SECONDS:
            self._request_times.popleft()
        if self._request_times:
            span = min(_WINDOW_SECONDS, max(1.0, self._elapsed(now)))
            parts.append(f"{len(self._request_times) / span:.1f} requests/s")
        if now < self._pause[0]:
            parts.append(self._pause[1])
        elif self._completed >= _MIN_SAMPLES and self._started is not None:
            eta = self._unfinished * max(1.0, self._elapsed(now)) / self._completed
            parts.append(f"ETA {format_duration(eta)}")
        return ", ".join(parts)

    @property
    def _unfinished(self) -> int:
        return self.total - self.succeeded - self.failed

    def _elapsed(self, now: float) -> float:
        return 0.0 if self._started is None else now - self._started


def counts_text(done: int, failed: int, in_progress: int, remaining: int) -> str:
    """Return the counts of a bulk run as text."""
    return f"{done} done, {failed} failed, {in_progress} in progress, {remaining} remaining"


def min_seconds(videos: int, limit: RateLimit) -> float:
    """Return the minimum seconds that `limit` needs for the requests of a number of videos."""
    windows = math.ceil(videos * REQUESTS_PER_VIDEO / limit.requests)
    return max(0, windows - 1) * limit.per


def format_duration(seconds: float) -> str:
    """Return seconds as text: `99 s`, `2 min`, `5 h 33 min`, `any time`."""
    if seconds == math.inf:
        return "any time"
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
