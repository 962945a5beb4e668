"""How long a render will still take, from what was measured; pure arithmetic, no clock.

The answers go out as `Retry-After`, in whole seconds of at least one (RFC 9110). A caller that
obeys should come seldom, and yet learn of the end within a second. Whole seconds alone cannot give
both, so whoever comes just before the end is held until it (`Progress.is_near`), and that is where
an answer aims as soon as the pace of the render itself tells it well enough. Until then a caller is
sent only a part of the way: too early costs one more look, too late cannot be made up for.
"""

from __future__ import annotations

import math

import attrs

# Music seconds rendered in one second, before anything was measured.
FIRST_SPEED = 15.0
# The weight of one more render, and the seconds that it must take for half of a first one's.
_WEIGHT = 0.3
_TELLING = 2.0
# From the start to the first word of a new process, and of one that has rendered before.
_NEW, _USED = 0.9, 0.2
# What a render takes however short it is, and the end of any from its last picture on.
_AROUND = 0.3
_ENDING = 0.05
# Seconds before the end from which on callers are held, and how long at most.
LONG_POLL_THRESHOLD = 1.5
LONG_POLL_SECONDS = 2.0
# The pace of earlier renders counts like so many seconds of this one's: its first ones waver.
_EARLIER = 0.7
# Measured over this share of what is left, a pace tells the end well enough to aim at it.
_TRUSTED = 1 / 3
# How much of what is left to go then, once the length is known, and before.
_MOST, _MUCH, _SOME = 0.9, 2 / 3, 1 / 3
# A first look that finds nothing measured is a wasted one.
_FIRST_LOOK = 2.0
_MAX_RETRY_AFTER = 120


@attrs.define
class Pace:
    """How fast this machine renders: a running mean over renders.

    Attributes:
        speed: music seconds in one second.
        measured: whether that is known, and no guess.
    """

    speed: float = FIRST_SPEED
    measured: bool = False

    def learn(self, seconds: float, took: float) -> None:
        """One render of `seconds` of music took so long, from its worker's first word on."""
        rendering = took - _AROUND
        if seconds <= 0 or rendering <= 0:
            return
        # What was over in no time says little of how long others take.
        weight = rendering / (rendering + _TELLING)
        weight = min(weight, _WEIGHT) if self.measured else weight
        self.speed += weight * (seconds / rendering - self.speed)
        self.measured = True

    def seconds_for(self, seconds: float) -> float:
        """About how long a render of so much music takes."""
        return (_USED if self.measured else _NEW) + self.seconds_once_begun(seconds)

    def seconds_once_begun(self, seconds: float) -> float:
        """The same, from the worker's first word on."""
        return _AROUND + seconds / self.speed


@attrs.define
class Progress:
    """One running render as it was seen from time to time.

    Attributes:
        started: when it began.
        guess: how much music it may be in seconds, before it has told anything.
        pace: how fast renders have been so far.
        done: music seconds done.
        total: music seconds in all; 0 while unknown.
        changed: when it was last seen to have told something new.
    """

    started: float
    guess: float
    pace: Pace
    done: float = 0.0
    total: float = 0.0
    changed: float = attrs.field(init=False)
    _told: float | None = attrs.field(default=None, init=False)
    _first: tuple[float, float] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.changed = self.started

    def seen(self, now: float, done: float, total: float) -> None:
        """Take note of what the render told."""
        if (done, total) == (self.done, self.total):
            return
        self._told = now if self._told is None else self._told
        # Before its first picture it listens to all of the music, at a pace of its own.
        if done > 0 and (self._first is None or done < self._first[1]):
            self._first = (now, done)
        self.done, self.total, self.changed = done, total, now

    def left(self, now: float) -> float:
        """Seconds until the end, as far as known."""
        if self._first is not None:
            drawn = self.done - self._first[1] + _EARLIER * self.pace.speed
            speed = drawn / (self._measured + _EARLIER)
            end = self.changed + (self.total - self.done) / speed + _ENDING
        elif self._told is not None:
            end = self._told + self.pace.seconds_once_begun(self.total)
        else:
            end = self.started + self.pace.seconds_for(self.guess)
        return max(0.0, end - now)

    def took(self, now: float) -> float:
        """Seconds since the worker's first word."""
        return now - (self.started if self._told is None else self._told)

    def is_almost_done(self, now: float) -> bool:
        """Whether the end is so near that it is not worth to send a caller away."""
        return self._told is not None and self.left(now) <= LONG_POLL_THRESHOLD

    def retry_after(self, now: float) -> int:
        """When to look again, in whole seconds."""
        left = self.left(now)
        if self._measured > left * _TRUSTED:
            # The last whole second before the end, but of a long way only most.
            return _whole(min(left, left * _MOST + 1))
        return _whole(left * (_SOME if self._told is None else _MUCH) + 0.5)

    @property
    def _measured(self) -> float:
        """Seconds over which the drawing of pictures was watched."""
        return 0.0 if self._first is None else self.changed - self._first[0]


def first_look(left: float) -> int:
    """When to look at a task that does not run yet and will have ended in about `remaining` seconds."""
    return _whole(max(left * _SOME, min(left, _FIRST_LOOK)) + 0.5)


def _whole(seconds: float) -> int:
    return max(1, min(_MAX_RETRY_AFTER, math.floor(seconds)))
