"""How far a bulk run is and how long it will go on: arithmetic on its events; shows nothing."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

import attrs

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
from mp4gen.models import Conversion
from mp4gen.options import RateLimit

# One submit and a little more than one look, where looks count against the limit.
REQUESTS_PER_VIDEO = 2.1
_WINDOW = 30.0
_MIN_SAMPLES = 3


@attrs.define
class RunProgress:
    """The counts of one run.

    Attributes:
        total: tracks in all.
        clock: monotonic seconds.
        succeeded: videos so far, those of earlier runs included.
        failed: tracks that ended without one.
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
        """Take a client's event into account."""
        now = self.clock()
        match event:
            case SubmittedEvent() | PollEvent():
                self._started = now if self._started is None else self._started
                self._in_progress.add(event.task_id)
                self._request_times.append(now)
            case RetryEvent():
                self._request_times.append(now)
            case CompletedEvent():
                # Still under way: its file is not there yet.
                self._completed += 1
            case FailedEvent() if event.task_id:
                self._in_progress.discard(event.task_id)
            case PausedEvent():
                self._pause = (now + event.delay, "pausing: the API said too many calls")
            case MaintenanceEvent():
                self._pause = (now + event.delay, "waiting: the API is under maintenance")

    def add_result(self, conversion: Conversion) -> None:
        """One track came to its end."""
        self._in_progress.discard(conversion.task_id or "")
        if conversion.error is None:
            self.succeeded += 1
        else:
            self.failed += 1

    @property
    def in_progress(self) -> int:
        """Tracks between their submit and their file."""
        return len(self._in_progress)

    @property
    def fraction(self) -> float | None:
        """What is over, from 0 to 1."""
        return (self.succeeded + self.failed) / self.total if self.total else None

    def __str__(self) -> str:
        remaining = max(0, self.total - self.succeeded - self.failed - self.in_progress)
        counts = f"{self.succeeded} done, {self.failed} failed, {self.in_progress} in progress, {remaining} remaining"
        now = self.clock()
        while self._request_times and now - self._request_times[0] > _WINDOW:
            self._request_times.popleft()
        parts = [counts]
        if self._request_times:
            span = min(_WINDOW, max(1.0, now - self._since))
            parts.append(f"{len(self._request_times) / span:.1f} calls/s")
        if now < self._pause[0]:
            parts.append(self._pause[1])
        elif (eta := self._seconds_remaining(now)) is not None:
            parts.append(f"ETA {format_duration(eta)}")
        return ", ".join(parts)

    @property
    def _since(self) -> float:
        return self.clock() if self._started is None else self._started

    def _seconds_remaining(self, now: float) -> float | None:
        if self._started is None or self._completed < _MIN_SAMPLES:
            return None
        rate = self._completed / max(1.0, now - self._started)
        return (self.total - self.succeeded - self.failed) / rate


def min_seconds(videos: int, limit: RateLimit) -> float:
    """How long the calls for so many videos take at `limit`, if no answer takes any time."""
    windows = math.ceil(videos * REQUESTS_PER_VIDEO / limit.requests)
    return max(0, windows - 1) * limit.per


def format_duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
