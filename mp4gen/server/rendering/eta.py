"""How long a render will still take, from what was measured; pure arithmetic, no clock.

The answers go out as `Retry-After`, in whole seconds of at least one (RFC 9110). A caller that
obeys should come seldom, and yet learn of the end within a second. Whole seconds alone cannot give
both, so whoever comes just before the end is held until it (`RenderProgress.is_almost_done`), and that is where
an answer aims as soon as the pace of the render itself tells it well enough. Until then a caller is
sent only a part of the way: too early costs one more look, too late cannot be made up for.
"""

from __future__ import annotations

import math

import attrs

# Music seconds rendered in one second, before anything was measured.
INITIAL_SPEED = 15.0
# The weight of one more render, and the seconds that it must take for half of a first one's.
_MAX_WEIGHT = 0.3
_HALF_WEIGHT_SECONDS = 2.0
# From the start to the first word of a new process, and of one that has rendered before.
_COLD_START, _WARM_START = 0.9, 0.2
# What a render takes however short it is, and the end of any from its last picture on.
_FIXED_COST = 0.3
_FINALIZE_SECONDS = 0.05
# Seconds before the end from which on callers are held, and how long at most.
LONG_POLL_THRESHOLD = 1.5
LONG_POLL_SECONDS = 2.0
# The pace of earlier renders counts like so many seconds of this one's: its first ones waver.
_PRIOR_SECONDS = 0.7
# Measured over this share of what is left, a pace tells the end well enough to aim at it.
_MIN_MEASURED_SHARE = 1 / 3
# How much of what is left to go then, once the length is known, and before.
_AIM_MEASURED, _AIM_STARTED, _AIM_UNKNOWN = 0.9, 2 / 3, 1 / 3
# A first look that finds nothing measured is a wasted one.
_MIN_FIRST_POLL_DELAY = 2.0
_MAX_RETRY_AFTER = 120


@attrs.define
class RenderSpeed:
    """How fast this machine renders: a running mean over renders.

    Attributes:
        speed: music seconds in one second.
        measured: whether that is known, and no guess.
    """

    speed: float = INITIAL_SPEED
    measured: bool = False

    def update(self, duration: float, elapsed: float) -> None:
        """One render of `duration` of music took so long, from its worker's first word on."""
        rendering = elapsed - _FIXED_COST
        if duration <= 0 or rendering <= 0:
            return
        # What was over in no time says little of how long others take.
        weight = rendering / (rendering + _HALF_WEIGHT_SECONDS)
        weight = min(weight, _MAX_WEIGHT) if self.measured else weight
        self.speed += weight * (duration / rendering - self.speed)
        self.measured = True

    def estimate(self, duration: float) -> float:
        """About how long a render of so much music takes."""
        return (_WARM_START if self.measured else _COLD_START) + self.estimate_running(duration)

    def estimate_running(self, duration: float) -> float:
        """The same, from the worker's first word on."""
        return _FIXED_COST + duration / self.speed


@attrs.define
class RenderProgress:
    """One running render as it was seen from time to time.

    Attributes:
        started_at: when it began.
        estimated_duration: how much music it may be in seconds, before it has told anything.
        render_speed: how fast renders have been so far.
        done: music seconds done.
        total: music seconds in all; 0 while unknown.
        changed_at: when it was last seen to have told something new.
    """

    started_at: float
    estimated_duration: float
    render_speed: RenderSpeed
    done: float = 0.0
    total: float = 0.0
    changed_at: float = attrs.field(init=False)
    _first_report_at: float | None = attrs.field(default=None, init=False)
    _first_frame: tuple[float, float] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.changed_at = self.started_at

    def update(self, now: float, done: float, total: float) -> None:
        """Take note of what the render told."""
        if (done, total) == (self.done, self.total):
            return
        self._first_report_at = now if self._first_report_at is None else self._first_report_at
        # Before its first picture it listens to all of the music, at a pace of its own.
        if done > 0 and (self._first_frame is None or done < self._first_frame[1]):
            self._first_frame = (now, done)
        self.done, self.total, self.changed_at = done, total, now

    def remaining(self, now: float) -> float:
        """Seconds until the end, as far as known."""
        if self._first_frame is not None:
            drawn = self.done - self._first_frame[1] + _PRIOR_SECONDS * self.render_speed.speed
            speed = drawn / (self._measured_seconds + _PRIOR_SECONDS)
            end = self.changed_at + (self.total - self.done) / speed + _FINALIZE_SECONDS
        elif self._first_report_at is not None:
            end = self._first_report_at + self.render_speed.estimate_running(self.total)
        else:
            end = self.started_at + self.render_speed.estimate(self.estimated_duration)
        return max(0.0, end - now)

    def elapsed(self, now: float) -> float:
        """Seconds since the worker's first word."""
        return now - (self.started_at if self._first_report_at is None else self._first_report_at)

    def is_almost_done(self, now: float) -> bool:
        """Whether the end is so near that it is not worth to send a caller away."""
        return self._first_report_at is not None and self.remaining(now) <= LONG_POLL_THRESHOLD

    def retry_after(self, now: float) -> int:
        """When to look again, in whole seconds."""
        remaining = self.remaining(now)
        if self._measured_seconds > remaining * _MIN_MEASURED_SHARE:
            # The last whole second before the end, but of a long way only most.
            return _clamp_retry_after(min(remaining, remaining * _AIM_MEASURED + 1))
        return _clamp_retry_after(
            remaining * (_AIM_UNKNOWN if self._first_report_at is None else _AIM_STARTED) + 0.5
        )

    @property
    def _measured_seconds(self) -> float:
        """Seconds over which the drawing of pictures was watched."""
        return 0.0 if self._first_frame is None else self.changed_at - self._first_frame[0]


def first_poll_delay(remaining: float) -> int:
    """When to look at a task that does not run yet and will have ended in about `remaining` seconds."""
    return _clamp_retry_after(
        max(remaining * _AIM_UNKNOWN, min(remaining, _MIN_FIRST_POLL_DELAY)) + 0.5
    )


def _clamp_retry_after(seconds: float) -> int:
    return max(1, min(_MAX_RETRY_AFTER, math.floor(seconds)))
