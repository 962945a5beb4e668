"""How long a render will still take, from what was measured; pure arithmetic, no clock.

The answers go out as `Retry-After`, in whole seconds of at least one (RFC 9110). A caller that
obeys should come as seldom as possible, and yet soon after the end: so far from the end it is sent
away for a little less than what is left, close to the end for just what is left, rounded up
unless that is a trifle late.
"""

from __future__ import annotations

import math

import attrs

# Music seconds rendered in one second, before anything was measured; and the weight of a new one.
FIRST_SPEED = 7.0
_WEIGHT = 0.3
_STARTING = 1.0
# From the last picture to the file in its place.
_ENDING = 0.5
# How near the end a measured pace tells it to a second, and how far to trust it before.
_CLOSE = 8.0
_EARLY = 0.95
_TRIFLE = 0.2
_LONGEST = 120
_SHORTEST_CAP = 2


@attrs.define
class Pace:
    """How fast this machine renders: a running mean over renders.

    Attributes:
        speed: music seconds in one second.
    """

    speed: float = FIRST_SPEED

    def learn(self, seconds: float, took: float) -> None:
        """One render of `seconds` of music took so long."""
        if seconds > 0 and took > 0:
            self.speed += _WEIGHT * (seconds / took - self.speed)

    def seconds_for(self, seconds: float) -> float:
        """About how long a render of so much music takes."""
        return _STARTING + seconds / max(self.speed, 0.01)


@attrs.define
class Progress:
    """One running render as it was seen from time to time.

    Attributes:
        started: when it began.
        guess: how long it may take, before it has told anything.
        done: music seconds done.
        total: music seconds in all; 0 while unknown.
    """

    started: float
    guess: float
    done: float = 0.0
    total: float = 0.0
    changed: float = attrs.field(init=False)
    _first: tuple[float, float] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.changed = self.started

    def seen(self, now: float, done: float, total: float) -> None:
        """Take note of what the render told."""
        if (done, total) == (self.done, self.total):
            return
        if self._first is None or done < self._first[1]:
            self._first = (now, done)
        self.done, self.total, self.changed = done, total, now

    def left(self, now: float) -> float:
        """Seconds until the end, as far as known."""
        if self._first is None or self.done <= self._first[1]:
            return max(0.0, self.started + self.guess - now)
        began, at = self._first
        speed = (self.done - at) / max(self.changed - began, 1e-3)
        return max(0.0, (self.total - self.done) / speed + _ENDING - (now - self.changed))


def retry_after(left: float, age: float = math.inf) -> int:
    """When to look again at something that ends in `left` seconds.

    No caller is sent away for longer than the render has run so far (`age` seconds): a cold start
    makes the first estimates several times too long.
    """
    wait = left if left < _CLOSE else left * _EARLY
    whole = math.ceil(wait - _TRIFLE) if left < _CLOSE else math.floor(wait)
    return min(_LONGEST, max(1, whole), max(_SHORTEST_CAP, math.ceil(min(age, _LONGEST))))


def first_look(left: float) -> int:
    """When to look for the first time, while nothing has been measured of the task itself."""
    return min(_LONGEST, max(1, math.floor(left / 2)))
