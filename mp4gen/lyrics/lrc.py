"""Read and write LRC, also with the times of words. Reads and writes no files.

A line is `[01:15.20]text`, with several times in front if it is repeated. The time of a word is
`<01:15.60>` before it, as introduced by A2 Media Player; some programs write `[01:15.60]` instead.
`[offset:250]` makes all lines 250 ms earlier. A line without text ends the one before it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve

from .decoding import line_error
from .values import LyricLine, Lyrics, build_line, sorted_lyrics, with_next_starts

# Three numbers without a point are minutes, seconds and hundredths.
_TIME = r"(?:(\d{1,2}):)??(\d{1,4}):(\d{1,2})(?:[.,:](\d{1,3}))?"
_LINE_TIME = re.compile(rf"\s*\[\s*{_TIME}\s*\]")
_WORD_TIME = re.compile(rf"[<\[]\s*{_TIME}\s*[>\]]")
# Tags of these forms are meant as times.
_LIKE_TIME = re.compile(r"\s*\[\s*-?\d+\s*:[^\]]*\]")
_LIKE_WORD_TIME = re.compile(r"[<\[]\s*\d{1,4}:\d[^<>\[\]]*[>\]]")
_OFFSET = re.compile(r"\s*\[\s*offset\s*:([^\]]*)\]", re.IGNORECASE)
_HINT = "Write minutes, seconds and hundredths, such as [01:15.20]"
# Lines that end this long before the next are closed by a time without text.
_MIN_GAP = 0.5


def parse_lrc(lines: Sequence[str], name: str) -> Lyrics:
    """Return the lyrics of an LRC file; they are empty if it has no times.

    Args:
        lines: The lines of the file.
        name: Its name for the error.

    Raises:
        RenderError: A time cannot be read; the text names the line.
    """
    offset = 0.0
    found: list[LyricLine] = []
    ends: list[float] = []
    for number, line in enumerate(lines, 1):
        if match := _OFFSET.match(line):
            offset = _offset(match[1], name, number)
            continue
        times, body = _line_times(line, name, number)
        if not times:
            continue
        sung = build_line(times[0], None, _pieces(body, name, number))
        if sung is None:
            ends += times
        else:
            found += (sung.shifted(time - times[0]) for time in times)
    return sorted_lyrics(line.shifted(-offset) for line in _with_ends(found, ends))


def format_lrc(lyrics: Lyrics) -> str:
    """Return lyrics as LRC, with the times of words if they have any, to 10 ms."""
    rows: list[str] = []
    for line, following in with_next_starts(lyrics.lines):
        end = "" if line.end is None else _stamp(line.end)
        if line.words:
            text = "".join(f"<{_stamp(word.start)}>{word.text}" for word in line.words)
            rows.append(f"[{_stamp(line.start)}]{text}{end and f'<{end}>'}")
        else:
            rows.append(f"[{_stamp(line.start)}]{line.text}")
            if line.end is not None and following - line.end >= _MIN_GAP:
                rows.append(f"[{end}]")
    return "".join(f"{row}\n" for row in rows)


def _stamp(seconds: float) -> str:
    hundredths = max(round(seconds * 100), 0)
    return f"{hundredths // 6000:02}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def _offset(text: str, name: str, number: int) -> float:
    try:
        milliseconds = float(text.strip() or 0)
    except ValueError:
        milliseconds = math.nan
    if not math.isfinite(milliseconds):
        raise line_error(
            name, number, f"invalid offset {text.strip()!r}", "Write milliseconds, as [offset:250]"
        )
    return milliseconds / 1000


def _line_times(line: str, name: str, number: int) -> tuple[list[float], str]:
    """Return the times at the start of a line, and the rest of it."""
    times: list[float] = []
    place = 0
    while match := _LINE_TIME.match(line, place):
        times.append(_seconds(match, name, number))
        place = match.end()
    if match := _LIKE_TIME.match(line, place):
        raise line_error(name, number, f"invalid time {match[0].strip()[:30]}", _HINT)
    return times, line[place:]


def _pieces(body: str, name: str, number: int) -> Iterator[tuple[float | None, str]]:
    time, place = None, 0
    for like in _LIKE_WORD_TIME.finditer(body):
        match = _WORD_TIME.fullmatch(like[0])
        if match is None:
            raise line_error(name, number, f"invalid time {like[0][:30]}", _HINT)
        yield time, body[place : like.start()]
        time, place = _seconds(match, name, number), like.end()
    yield time, body[place:]


def _seconds(match: re.Match[str], name: str, number: int) -> float:
    hours, minutes, seconds, fraction = match.groups()
    if int(seconds) >= 60 or (hours is not None and int(minutes) >= 60):
        raise line_error(name, number, f"invalid time {match[0].strip()}", _HINT)
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return float(f"{whole}.{fraction or 0}")


def _with_ends(lines: Iterable[LyricLine], ends: list[float]) -> Iterator[LyricLine]:
    """Yield the lines, each with the first end that comes before the next line."""
    ordered = sorted(lines, key=lambda line: line.start)
    waiting = sorted(ends)
    for line, following in with_next_starts(ordered):
        while waiting and waiting[0] <= line.start:
            waiting.pop(0)
        if line.end is None and waiting and waiting[0] < following:
            yield evolve(line, end=waiting[0])
        else:
            yield line
