"""Lyrics as values: lines and words with the seconds at which they are sung. Reads no text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, frozen

_SPACES = re.compile(r"\s+")


@frozen
class LyricWord:
    """A word or syllable with the space behind it, and the second at which it begins.

    Attributes:
        start: second at which it begins.
        text: the word, with the space behind it.
    """

    start: float
    text: str


@frozen
class LyricLine:
    """One line of lyrics.

    Attributes:
        start: Second at which the line begins.
        end: Second at which it ends, or None if it is not known.
        text: The whole line.
        words: Its words if they have times of their own; their texts together are `text`.
    """

    start: float
    end: float | None
    text: str
    words: tuple[LyricWord, ...] = ()

    def shifted(self, by: float) -> LyricLine:
        """Return the line with all times moved by some seconds."""
        words = tuple(evolve(word, start=word.start + by) for word in self.words)
        end = None if self.end is None else self.end + by
        return LyricLine(self.start + by, end, self.text, words)


@frozen
class Lyrics:
    """The lines of a track, in the order of their starts; each starts at a time of its own."""

    lines: tuple[LyricLine, ...] = ()

    def clipped(self, start: float, stop: float) -> Lyrics:
        """Return the lyrics of a part of the track, whose times count from the part's start.

        Lines before and after it are kept, since they are visible beside its own. If it has none
        of its own, the result is empty.

        Args:
            start: Second of the track.
            stop: Second of the track, or infinity.
        """
        spans = with_next_starts(self.lines)
        if not any(line.start < stop and (line.end or end) > start for line, end in spans):
            return Lyrics()
        return Lyrics(tuple(line.shifted(-start) for line in self.lines)) if start else self


NO_LYRICS = Lyrics()


def with_next_starts(lines: Sequence[LyricLine]) -> Iterator[tuple[LyricLine, float]]:
    """Yield each line with the start of the next one, or infinity."""
    return zip(lines, [*(line.start for line in lines[1:]), math.inf], strict=False)


def sorted_lyrics(lines: Iterable[LyricLine]) -> Lyrics:
    """Return lyrics of lines in any order; of those with one start, the first is kept.

    The others are usually translations of it.
    """
    found: dict[float, LyricLine] = {}
    for line in lines:
        found.setdefault(line.start, line)
    return Lyrics(tuple(found[start] for start in sorted(found)))


def build_line(
    start: float, end: float | None, pieces: Iterable[tuple[float | None, str]]
) -> LyricLine | None:
    """Build a line of pieces of text, or return None if they have no text.

    Args:
        start: Second at which the line begins.
        end: Second at which it ends, or None.
        pieces: (second at which the piece begins, or None if it goes on with the one before it,
            text). A last piece with a time and without text is the end of the line.
    """
    words: list[LyricWord] = []
    has_times, closing = False, end
    for time, text in pieces:
        piece = _SPACES.sub(" ", text)
        if piece.startswith(" "):
            piece = piece[1:]
            _end_with_space(words)
        if not piece:
            closing = closing if time is None else time
            continue
        closing, has_times = end, has_times or time is not None
        if words and time is None:
            words[-1] = evolve(words[-1], text=words[-1].text + piece)
        else:
            begin = start if time is None else time
            words.append(LyricWord(max([begin, *(word.start for word in words[-1:])]), piece))
    if not words:
        return None
    words[-1] = evolve(words[-1], text=words[-1].text.rstrip())
    is_later = closing is not None and closing > max(start, words[-1].start)
    text = "".join(word.text for word in words)
    return LyricLine(start, closing if is_later else None, text, tuple(words) if has_times else ())


def _end_with_space(words: list[LyricWord]) -> None:
    if words and not words[-1].text.endswith(" "):
        words[-1] = evolve(words[-1], text=words[-1].text + " ")
