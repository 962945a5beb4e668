"""Break a line of lyrics into at most two rows, or in two by time. Knows no fonts.

Rows break at spaces, and between the characters of scripts that have none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

from attrs import evolve, frozen

from mp4gen.lyrics.values import LyricLine, LyricWord
from mp4gen.render.characters import grapheme_clusters

Measure = Callable[[str], float]

# How far letters may shrink before the line is split in two.
MIN_SCALE = 0.7
# A second row of one word this short looks like a mistake.
_SHORT_WORD = 3
_ELLIPSIS = "\u2026"
_MAX_LOST = 8
# No row begins with these, beside punctuation: small kana, and marks of length and repetition.
_NEVER_FIRST = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮーヽヾゝゞ々〜\uff5e")
_QUOTES = frozenset("'\"\u2019")


@frozen
class Room:
    """The room for one line: its width, and the size of its letters in one row and in two."""

    width: float
    size: float
    two_row_size: float
    max_ideographs: int


@frozen
class Broken:
    """The rows of a line, and the size of its letters."""

    rows: tuple[str, ...]
    size: float


def is_ideographic(char: str) -> bool:
    """Return whether a character belongs to a script without spaces: Chinese or Japanese."""
    return unicodedata.name(char, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC"))


def break_line(text: str, measure: Measure, room: Room) -> Broken | None:
    """Return the rows with the largest letters, or None if those would be too small.

    Args:
        text: the line.
        measure: returns the width of a text in letters of size 1.
        room: where the rows must fit.
    """
    found = [
        broken
        for rows, size in ((1, room.size), (2, room.two_row_size))
        for broken in _candidates(text, rows, size, measure, room)
    ]
    # The first of equals: one row before two.
    return max(found, key=lambda broken: broken.size, default=None)


def _candidates(
    text: str, rows: int, size: float, measure: Measure, room: Room
) -> Iterator[Broken]:
    splits = [(text,)] if rows == 1 else rows_of(text)
    fitting = [split for split in splits if max(map(_ideographs, split)) <= room.max_ideographs]
    if not fitting:
        return
    widths = {split: max(map(measure, split)) for split in fitting}
    best = min(fitting, key=lambda split: widths[split])
    scale = min(room.width / max(widths[best] * size, 1e-6), 1.0)
    if scale >= MIN_SCALE:
        yield Broken(best, size * scale)


def rows_of(text: str) -> list[tuple[str, str]]:
    """Return all ways to break a text into two rows, those without a lonely short word first."""
    found = [(text[:place].rstrip(), text[place:]) for place in break_places(text)]
    good = [(first, second) for first, second in found if not _is_short_word(second)]
    return good or found


def _is_short_word(row: str) -> bool:
    return " " not in row and sum(map(str.isalnum, row)) <= _SHORT_WORD


def _ideographs(row: str) -> int:
    return sum(map(is_ideographic, row))


def break_places(text: str) -> list[int]:
    """Return the places in a text at which a row may begin."""
    places: list[int] = []
    place, before = 0, ""
    for cluster in grapheme_clusters(text):
        if before and _may_break(before, cluster):
            places.append(place)
        place += len(cluster)
        before = cluster
    return places


def _may_break(before: str, after: str) -> bool:
    if after.isspace():
        return False
    if before.isspace():
        return True
    if not (is_ideographic(before[0]) or is_ideographic(after[0])):
        return False
    is_closing = unicodedata.category(after[0]) in ("Pe", "Pf", "Po") or after[0] in _NEVER_FIRST
    return not is_closing and unicodedata.category(before[-1]) not in ("Ps", "Pi")


def split_line(line: LyricLine, until: float) -> tuple[LyricLine, LyricLine] | None:
    """Return the two halves of a line: at a pause near its middle, else at the middle.

    Args:
        line: the line.
        until: second at which the line ends at the latest. Without the times of words, the second
            half begins in proportion to its length.

    Returns:
        The halves, or None if the line cannot be broken.
    """
    text = line.text
    places = break_places(text)
    if not places:
        return None
    middle = len(text) / 2
    pauses = [place for place in places if _is_pause(text[:place].rstrip()[-1:])]
    central = [place for place in pauses if 0.25 <= place / len(text) <= 0.75]
    place = min(central or places, key=lambda place: abs(place - middle))
    words, others = _split_words(line, place)
    if others:
        start = others[0].start
    else:
        end = min(line.end or until, until)
        start = line.start + (end - line.start) * place / len(text)
    first = evolve(line, end=start, text=text[:place].rstrip(), words=words)
    return first, LyricLine(start, line.end, text[place:], others)


def _is_pause(char: str) -> bool:
    return char not in _QUOTES and unicodedata.category(char) in ("Po", "Pd")


def _split_words(
    line: LyricLine, place: int
) -> tuple[tuple[LyricWord, ...], tuple[LyricWord, ...]]:
    first: list[LyricWord] = []
    second: list[LyricWord] = []
    start = 0
    for word in line.words:
        cut = min(max(place - start, 0), len(word.text))
        start += len(word.text)
        if cut:
            first.append(evolve(word, text=word.text[:cut]))
        if cut < len(word.text):
            second.append(evolve(word, text=word.text[cut:]))
    if first:
        first[-1] = evolve(first[-1], text=first[-1].text.rstrip())
    return tuple(first), tuple(second)


def shorten(text: str, measure: Measure, width: float) -> str:
    """Return a text that is not wider than `width`; the end of a wider one is an ellipsis.

    Args:
        text: one row.
        measure: returns the width of a text.
        width: in the units of `measure`.
    """
    if measure(text) <= width:
        return text
    clusters = grapheme_clusters(text)
    low, high = 0, len(clusters)
    while high - low > 1:
        middle = (low + high) // 2
        fits = measure("".join(clusters[:middle]).rstrip() + _ELLIPSIS) <= width
        low, high = (middle, high) if fits else (low, middle)
    kept = "".join(clusters[:low])
    # A word is cut only if the rest would be much shorter.
    whole, _, cut = kept.rpartition(" ")
    kept = whole if whole and len(cut) <= _MAX_LOST else kept
    return kept.rstrip() + _ELLIPSIS
