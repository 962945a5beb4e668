"""Decide what is shown of the lyrics, and when. Draws nothing, knows no fonts and no frames.

A line becomes current a little before its first word. In a long gap three dots fill instead, and in
a very long one the lyrics leave.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from attrs import frozen

from mp4gen.lyrics.values import LyricLine

LEAD_SECONDS, FADE_SECONDS = 0.4, 0.25
# The whole of a line without the times of words is lit in this time.
LIGHT_SECONDS = 0.25
MAX_HELD_SECONDS = 1.5
# A line that is followed at once is shown for this long after the start of its last word.
_MIN_LAST_WORD = 0.3
DOTS_GAP, INTERLUDE_GAP = 6.0, 12.0
# Seconds from the end of a line to the dots and to the interlude, and of the dots after one.
_DOTS_DELAY, _INTERLUDE_DELAY, _COUNT_IN = 0.3, 0.8, 3.0
INTERLUDE_FADE = 0.6
# Estimate of how long a line without an end is sung: seconds, and more for each letter.
_LINE_SECONDS, _LETTER_SECONDS = 1.5, 0.12


@frozen
class Step:
    """What is shown from a time on; numbers are those of lines.

    Attributes:
        start: second at which it fades in.
        current: the line being sung, or None.
        past: the line before, or None.
        following: the line after, or None.
        dots: the seconds in which the dots fill that stand for a line, or None.
    """

    start: float
    current: int | None
    past: int | None
    following: int | None
    dots: tuple[float, float] | None = None


@frozen
class Schedule:
    """The lyrics of a video in time.

    Attributes:
        steps: what is shown, in order; the first is shown from the beginning.
        interludes: (seconds at which the lyrics have begun to leave, and to return).
        sweeps: for each line the seconds at which its words begin and its last one ends; two
            seconds, at which its light begins and ends, if its words have no times.
    """

    steps: tuple[Step, ...]
    interludes: tuple[tuple[float, float], ...]
    sweeps: tuple[tuple[float, ...], ...]

    def step_at(self, seconds: float) -> int:
        """Return the number of the step that is shown, or fades in, at a time."""
        starts = [step.start for step in self.steps[1:]]
        # A time that is a frame's may be a rounding error too early.
        return int(np.searchsorted(starts, seconds + 1e-6, side="right"))


def first_word(line: LyricLine) -> float:
    """Return the second at which the first word of a line begins."""
    return line.words[0].start if line.words else line.start


def schedule(lines: Sequence[LyricLine], duration: float) -> Schedule:
    """Return when the lines are shown in a video.

    Args:
        lines: the lines in order; at least one.
        duration: seconds of the video.
    """
    firsts = [first_word(line) for line in lines]
    switches = list(_switches(lines, firsts))
    ends = [
        _end(line, following)
        for line, following in zip(lines, [*switches[1:], math.inf], strict=True)
    ]
    sweeps = tuple(
        (*(word.start for word in line.words), end)
        if line.words
        else (line.start, line.start + LIGHT_SECONDS)
        for line, end in zip(lines, ends, strict=True)
    )
    steps: list[Step] = []
    interludes: list[tuple[float, float]] = []
    before = [-math.inf, *ends]
    for number, (switch, first) in enumerate(zip(switches, firsts, strict=True)):
        past = number - 1 if number else None
        idle_from = before[number] if number else 0.0
        if first - idle_from > DOTS_GAP:
            dots = idle_from + _DOTS_DELAY if number else 0.0
            if first - idle_from > INTERLUDE_GAP:
                leave = idle_from + _INTERLUDE_DELAY if number else -math.inf
                dots = first - _COUNT_IN
                interludes.append((leave, dots - INTERLUDE_FADE))
                # It is complete before the lyrics return.
                steps.append(Step(dots - 2, None, past, number, (dots, switch)))
            else:
                steps.append(Step(dots, None, past, number, (dots, switch)))
        following = number + 1 if number + 1 < len(lines) else None
        steps.append(Step(switch, number, past, following))
    if duration - ends[-1] > INTERLUDE_GAP:
        interludes.append((ends[-1] + _INTERLUDE_DELAY, math.inf))
    return Schedule(tuple(steps), tuple(interludes), sweeps)


def _switches(lines: Sequence[LyricLine], firsts: Sequence[float]) -> Iterator[float]:
    """Yield when each line becomes current, not before the last word of the line before it."""
    yield firsts[0] - LEAD_SECONDS
    for line, (_, first) in zip(lines[:-1], pairwise(firsts), strict=True):
        last = line.words[-1].start if line.words else line.start
        yield min(max(first - LEAD_SECONDS, last + _MIN_LAST_WORD), first)


def _end(line: LyricLine, until: float) -> float:
    """Return when a line ends: its last word is held for a bounded time."""
    if line.words:
        held = line.words[-1].start + MAX_HELD_SECONDS
        return min(line.end or held, held, max(until, line.words[-1].start))
    estimate = line.start + _LINE_SECONDS + _LETTER_SECONDS * len(line.text)
    return min(line.end or estimate, max(until, line.start))
