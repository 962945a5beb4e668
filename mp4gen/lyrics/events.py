"""Join timed words or syllables into lines, as tags and the API deliver them. Reads no text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, frozen

from .values import LyricLine, Lyrics, build_line, sorted_lyrics

# Without line breaks in the text, a line ends at a pause of this many seconds, or before a word
# that would make it longer than this many characters.
_PAUSE, _MAX_CHARACTERS = 1.0, 40
# A line such as [Verse 1] names a section.
_SECTION = re.compile(r"\[[^\[\]]*\]")
# Scripts that have no spaces between words, by the first word of their letters' names.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@frozen
class LyricEvent:
    """A piece of text that is sung from a second on; `end` may be None.

    The text has the spaces and line breaks around it, of which the latter separate lines.
    """

    start: float
    text: str
    end: float | None = None


def join_events(events: Sequence[LyricEvent]) -> Lyrics:
    """Return the lines of pieces in the order in which they are sung, without section names."""
    spaced = events if any(re.search(r"[ \t]", event.text) for event in events) else _spaced(events)
    has_breaks = any("\n" in event.text for event in events)
    groups = _rows(spaced) if has_breaks else _phrases(spaced)
    return sorted_lyrics(line for group in groups for line in _line(group))


def _line(group: Sequence[LyricEvent]) -> Iterator[LyricLine]:
    text = "".join(event.text for event in group).strip()
    if not text or _SECTION.fullmatch(text):
        return
    sung = [event for event in group if event.text.strip()]
    timed = len(sung) > 1
    pieces = [(event.start if timed else None, event.text) for event in group]
    line = build_line(sung[0].start, sung[-1].end, pieces)
    if line is not None:
        yield line


def _rows(events: Iterable[LyricEvent]) -> Iterator[list[LyricEvent]]:
    """Yield the pieces of each line that ends with a line break."""
    row: list[LyricEvent] = []
    for event in events:
        first, *others = event.text.replace("\r", "\n").split("\n")
        row.append(evolve(event, text=first))
        for text in others:
            yield row
            row = [evolve(event, text=text)]
    yield row


def _phrases(events: Iterable[LyricEvent]) -> Iterator[list[LyricEvent]]:
    """Yield the pieces of each line that ends with a pause or is long enough."""
    row: list[LyricEvent] = []
    for event in events:
        length = sum(len(one.text) for one in row) + len(event.text)
        paused = row and event.start - (row[-1].end or row[-1].start) >= _PAUSE
        begins_word = row and (row[-1].text[-1:].isspace() or event.text[:1].isspace())
        if paused or (begins_word and length > _MAX_CHARACTERS):
            yield row
            row = []
        row.append(event)
    yield row


def _spaced(events: Iterable[LyricEvent]) -> Iterator[LyricEvent]:
    """Yield the pieces with a space behind each, unless its script has none."""
    for event in events:
        letter = event.text.strip()[-1:]
        is_spaced = letter and not unicodedata.name(letter, "").startswith(_UNSPACED)
        yield evolve(event, text=f"{event.text} ") if is_spaced else event
