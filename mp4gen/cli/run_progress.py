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
CALLS_A_VIDEO = 2.1
_WINDOW = 30.0
_FEW = 3


@attrs.define
class Outlook:
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
    _under_way: set[str] = attrs.field(factory=set)
    _calls: deque[float] = attrs.field(factory=deque)
    _ended: int = 0
    _started: float | None = None
    _pause: tuple[float, str] = (-math.inf, "")

    def heed(self, event: Event) -> None:
        """Take a client's event into account."""
        now = self.clock()
        match event:
            case SubmittedEvent() | PollEvent():
                self._started = now if self._started is None else self._started
                self._under_way.add(event.task_id)
                self._calls.append(now)
            case RetryEvent():
                self._calls.append(now)
            case CompletedEvent():
                # Still under way: its file is not there yet.
                self._ended += 1
            case FailedEvent() if event.task_id:
                self._under_way.discard(event.task_id)
            case PausedEvent():
                self._pause = (now + event.delay, "pausing: the API said too many calls")
            case MaintenanceEvent():
                self._pause = (now + event.delay, "waiting: the API is under maintenance")

    def count(self, conversion: Conversion) -> None:
        """One track came to its end."""
        self._under_way.discard(conversion.task_id or "")
        if conversion.error is None:
            self.done += 1
        else:
            self.failed += 1

    @property
    def under_way(self) -> int:
        """Tracks between their submit and their file."""
        return len(self._under_way)

    @property
    def share(self) -> float | None:
        """What is over, from 0 to 1."""
        return (self.done + self.failed) / self.total if self.total else None

    def __str__(self) -> str:
        waiting = max(0, self.total - self.done - self.failed - self.under_way)
        counts = f"{self.done} done, {self.failed} failed, {self.under_way} under way, {waiting} remaining"
        now = self.clock()
        while self._calls and now - self._calls[0] > _WINDOW:
            self._calls.popleft()
        parts = [counts]
        if self._calls:
            span = min(_WINDOW, max(1.0, now - self._since))
            parts.append(f"{len(self._calls) / span:.1f} calls/s")
        if now < self._pause[0]:
            parts.append(self._pause[1])
        elif (left := self._seconds_left(now)) is not None:
            parts.append(f"{duration(left)} to go")
        return ", ".join(parts)

    @property
    def _since(self) -> float:
        return self.clock() if self._started is None else self._started

    def _seconds_left(self, now: float) -> float | None:
        if self._started is None or self._ended < _FEW:
            return None
        rate = self._ended / max(1.0, now - self._started)
        return (self.total - self.done - self.failed) / rate


def least_seconds(videos: int, limit: RateLimit) -> float:
    """How long the calls for so many videos take at `limit`, if no answer takes any time."""
    windows = math.ceil(videos * CALLS_A_VIDEO / limit.requests)
    return max(0, windows - 1) * limit.per


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
