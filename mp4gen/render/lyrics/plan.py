"""Set the lines of lyrics: their rows, their sizes, and when each is shown. Draws nothing."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from attrs import evolve, frozen

from mp4gen.lyrics.values import LyricLine, Lyrics, LyricWord, build_line, with_next_starts
from mp4gen.render import bidi
from mp4gen.render.fonts import Weight
from mp4gen.render.layout import LyricPlaces
from mp4gen.render.text import Typesetter

from .breaking import MIN_SCALE, Broken, Room, break_line, is_ideographic, shorten, split_line
from .timing import Schedule, first_word, schedule

WEIGHT: Weight = "semibold"
# Chinese and Japanese letters are larger than others of one size.
IDEOGRAPHIC_SCALE = 0.92
# Text is measured at this size.
_MEASURED = 100.0
# A line is split in two this many times at most.
_MAX_SPLITS = 4
# Lines before and after a video that may be visible in it, with some to spare for lines without
# any letter that has a font.
_NEARBY = 8


@frozen
class Cue:
    """A line as it is shown.

    Attributes:
        line: its text and times.
        rows: while it is current; spaces at their ends are left out.
        size: of its letters then, in pixels.
        quiet: its text before and after that.
        quiet_size: of its letters then.
    """

    line: LyricLine
    rows: tuple[str, ...]
    size: float
    quiet: str
    quiet_size: float


@frozen(eq=False)
class LyricsPlan:
    """The lyrics of a video: what is shown, and when."""

    cues: tuple[Cue, ...]
    schedule: Schedule


def is_rtl(lyrics: Lyrics) -> bool:
    """Return whether most lines are read from right to left."""
    return sum(bidi.base_level(line.text) for line in lyrics.lines) * 2 > len(lyrics.lines)


def plan_lyrics(
    lyrics: Lyrics, places: LyricPlaces, typesetter: Typesetter, duration: float
) -> LyricsPlan | None:
    """Return the plan of a video, or None if no letter can be shown.

    Args:
        lyrics: sanitized; their times count from the start of the video.
        places: where they stand.
        typesetter: sets text.
        duration: seconds of the video.
    """
    shown = tuple(_shown_lines(_lines_near(lyrics.lines, duration), typesetter))
    setter = _Setter(places, typesetter)
    cues = tuple(
        chain.from_iterable(
            setter.cues(line, following) for line, following in with_next_starts(shown)
        )
    )
    if not cues:
        return None
    return LyricsPlan(cues, schedule([cue.line for cue in cues], duration))


def _lines_near(lines: Sequence[LyricLine], duration: float) -> Sequence[LyricLine]:
    """Return the lines of a video sorted by their first words, and a few before and after it.

    It would take minutes to set all lines of a long text for a short clip.
    """
    ordered = sorted(lines, key=first_word)
    first = bisect.bisect(ordered, 0.0, key=first_word)
    last = bisect.bisect(ordered, duration, key=first_word)
    return ordered[max(first - _NEARBY, 0) : last + _NEARBY]


def _shown_lines(lines: Iterable[LyricLine], typesetter: Typesetter) -> Iterator[LyricLine]:
    """Yield the lines with the letters that have a font, without the spaces around others."""
    for line in lines:
        pieces: Iterable[tuple[float | None, str]] = [
            (word.start, word.text) for word in line.words
        ] or [(None, line.text)]
        shown = ((start, typesetter.shown(text, WEIGHT)) for start, text in pieces)
        left = build_line(line.start, line.end, shown)
        if left is not None:
            yield left


class _Setter:
    def __init__(self, places: LyricPlaces, typesetter: Typesetter) -> None:
        self._places, self._typesetter = places, typesetter
        self._width = places.right - places.left

    def cues(self, line: LyricLine, until: float, splits: int = 0) -> Sequence[Cue]:
        """Return the line, or the lines into which it must be split."""
        scale = IDEOGRAPHIC_SCALE if any(map(is_ideographic, line.text)) else 1.0
        broken = break_line(line.text, self._measure, self._room(scale))
        if broken is not None:
            return (self._cue(line, broken, scale),)
        # An end that is not known is not far away.
        halves = split_line(line, min(until, first_word(line) + 0.15 * len(line.text)))
        if halves is None or splits == _MAX_SPLITS:
            return (self._cut(line, scale),)
        first, second = halves
        return (
            *self.cues(first, second.start, splits + 1),
            *self.cues(second, until, splits + 1),
        )

    def _room(self, scale: float) -> Room:
        places = self._places
        return Room(
            self._width, scale * places.size, scale * places.two_row_size, places.max_ideographs
        )

    def _cue(self, line: LyricLine, broken: Broken, scale: float) -> Cue:
        size = scale * self._places.quiet_size
        quiet = shorten(line.text, self._measure, self._width / size)
        return Cue(line, broken.rows, broken.size, quiet, size)

    def _cut(self, line: LyricLine, scale: float) -> Cue:
        """Return a line that cannot be broken, shortened."""
        size = scale * self._places.size * MIN_SCALE
        text = shorten(line.text, self._measure, self._width / size)
        words = tuple(LyricWord(word.start, text) for word in line.words[:1])
        return self._cue(evolve(line, text=text, words=words), Broken((text,), size), scale)

    def _measure(self, text: str) -> float:
        return self._typesetter.width(text, _MEASURED, WEIGHT) / _MEASURED
