"""Estimates the remaining time of a render from measurements; pure arithmetic, no clock.

The estimates are sent as `Retry-After`. They need not be exact: a poll of a running render is held
for some seconds, so it is enough if it arrives within the last seconds of the render. A poll that
is too early costs one more request; a poll that is too late delays the client.
"""

import math
from collections.abc import Collection
from typing import Protocol

import attrs

# Seconds of music rendered in one second, before anything is measured.
INITIAL_SPEED = 15.0
# A render's weight in the mean: its maximum, and the seconds that give a first render half.
_MAX_WEIGHT = 0.3
_HALF_WEIGHT_SECONDS = 2.0
# Seconds from the start to the first report of a new process, and of one that rendered before.
_COLD_START, _WARM_START = 0.9, 0.2
# Seconds that every render takes, and seconds from its last frame to its end.
_FIXED_COST = 0.3
_FINALIZE_SECONDS = 0.05
# The weight of earlier renders, in seconds of this one, because its first seconds vary.
_PRIOR_SECONDS = 0.7
# `Retry-After` as a share of the remaining time: after the first frame, and before it.
_MEASURED_SHARE, _UNMEASURED_SHARE = 3 / 4, 1 / 3
_MAX_RETRY_AFTER = 120


@attrs.define
class RenderSpeed:
    """The speed of this machine: a running mean over renders.

    Attributes:
        speed: Seconds of music rendered in one second.
        measured: Whether `speed` is measured, not the initial guess.
    """

    speed: float = INITIAL_SPEED
    measured: bool = False

    def update(self, duration: float, elapsed: float) -> None:
        """Add a render of `duration` seconds of music that took `elapsed` s from its report on."""
        rendering = elapsed - _FIXED_COST
        if duration <= 0 or rendering <= 0:
            return
        # A very short render says little about long ones.
        weight = rendering / (rendering + _HALF_WEIGHT_SECONDS)
        weight = min(weight, _MAX_WEIGHT) if self.measured else weight
        self.speed += weight * (duration / rendering - self.speed)
        self.measured = True

    def estimate(self, duration: float) -> float:
        """Estimate the seconds that a render of `duration` seconds of music takes."""
        return (_WARM_START if self.measured else _COLD_START) + self.estimate_running(duration)

    def estimate_running(self, duration: float) -> float:
        """Estimate the same, counted from the first report of the worker."""
        return _FIXED_COST + duration / self.speed


@attrs.define
class RenderProgress:
    """The progress of one running render.

    Attributes:
        started_at: When it started.
        estimated_duration: Estimated seconds of music, used before the first report.
        render_speed: The speed of earlier renders.
        done: Seconds of music done.
        total: Seconds of music in total; 0 while unknown.
        signs_of_life: A number that also grows during the analysis.
        changed_at: When the worker last reported that it got on.
    """

    started_at: float
    estimated_duration: float
    render_speed: RenderSpeed
    done: float = 0.0
    total: float = 0.0
    signs_of_life: int = 0
    changed_at: float = attrs.field(init=False)
    _first_report_at: float | None = attrs.field(default=None, init=False)
    _first_frame: tuple[float, float] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.changed_at = self.started_at

    def update(self, now: float, done: float, total: float, signs_of_life: int = 0) -> None:
        """Update the progress by a report of the worker."""
        if (done, total, signs_of_life) == (self.done, self.total, self.signs_of_life):
            return
        self.signs_of_life = signs_of_life
        self._first_report_at = now if self._first_report_at is None else self._first_report_at
        # Before the first frame the worker analyses all of the music, at another speed.
        if done > 0 and (self._first_frame is None or done < self._first_frame[1]):
            self._first_frame = (now, done)
        self.done, self.total, self.changed_at = done, total, now

    def remaining(self, now: float) -> float:
        """Estimate the seconds until the end."""
        if self._first_frame is not None:
            first_frame_at, skipped = self._first_frame
            drawn = self.done - skipped + _PRIOR_SECONDS * self.render_speed.speed
            speed = drawn / (self.changed_at - first_frame_at + _PRIOR_SECONDS)
            end = self.changed_at + (self.total - self.done) / speed + _FINALIZE_SECONDS
        elif self._first_report_at is not None:
            end = self._first_report_at + self.render_speed.estimate_running(self.total)
        else:
            end = self.started_at + self.render_speed.estimate(self.estimated_duration)
        return max(0.0, end - now)

    def elapsed(self, now: float) -> float:
        """Return the seconds since the first report of the worker."""
        return now - (self.started_at if self._first_report_at is None else self._first_report_at)

    def retry_after(self, now: float) -> int:
        """Return the seconds until the next poll."""
        return retry_after(self.remaining(now), measured=self._first_frame is not None)


class _Render(Protocol):
    @property
    def progress(self) -> RenderProgress: ...


class RestOfRenders:
    """Adds up the remaining seconds of all renders once a second: there may be a thousand."""

    def __init__(self) -> None:
        self._made_for = (-1, 0)
        self._seconds = 0.0

    def of(self, renders: Collection[_Render], now: float) -> float:
        """Return the estimated seconds until the end of all renders, one after the other."""
        if self._made_for != (int(now), len(renders)):
            self._made_for = int(now), len(renders)
            self._seconds = sum(one.progress.remaining(now) for one in renders)
        return self._seconds


def retry_after(remaining: float, *, measured: bool = False) -> int:
    """Return the seconds until the next poll, by the estimated seconds until the end.

    Args:
        remaining: Estimated seconds until the end of the task.
        measured: Whether frames of its own were measured, so that the estimate is a good one.
    """
    share = _MEASURED_SHARE if measured else _UNMEASURED_SHARE
    return max(1, min(_MAX_RETRY_AFTER, math.floor(remaining * share + 0.5)))
