"""Read SubRip and WebVTT files, also with the times of words. Reads no files."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from .decoding import line_error
from .values import LyricLine, Lyrics, build_line, sorted_lyrics

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_CUE_TIMES = re.compile(rf"\s*{_TIME}\s*-+>\s*{_TIME}(?:\s.*)?")
_LIKE_CUE_TIMES = re.compile(r"\s*\d+:\d.*|.*-->.*")
# What may be in a text: times of words, the reading aids of ideographs, other tags, and the
# position of Advanced SubStation, which some SubRip files have.
_WORD_TIME = re.compile(rf"<{_TIME}>")
_RUBY_TEXT = re.compile(r"<rt\b[^<>]*>.*?(?:</rt>|(?=</ruby>)|$)", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|\{\\[^{}]*\}")
# Signs that the text is sung.
_NOTES = str.maketrans("", "", "♩♪♫♬")
_OTHER_BLOCKS = ("NOTE", "STYLE", "REGION", "WEBVTT")
_HINT = "Write the times of a cue as 00:01:15.200 --> 00:01:18.000"


def parse_subtitles(lines: Sequence[str], name: str) -> Lyrics:
    """Return the lyrics of a SubRip or WebVTT file; they are empty if it has no times.

    Args:
        lines: The lines of the file.
        name: Its name for the error; the first line of a `.vtt` file must be its header.

    Raises:
        RenderError: The header or the times of a cue cannot be read; the text names the line.
    """
    if name.lower().endswith(".vtt") and not re.match(r"WEBVTT(\s|$)", lines[0]):
        raise line_error(
            name, 1, "a WebVTT file begins with WEBVTT", "Add that line, or name the file .srt"
        )
    cues = (_cue(first, block, name) for first, block in _blocks(lines))
    return sorted_lyrics(cue for cue in cues if cue is not None)


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line of each block, and its lines."""
    block: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), block
            block = []


def _cue(first: int, block: list[str], name: str) -> LyricLine | None:
    if block[0].startswith(_OTHER_BLOCKS) and "-->" not in block[0]:
        return None
    # The line before the times is the cue's number or name.
    for index, line in enumerate(block[:2]):
        match = _CUE_TIMES.fullmatch(line)
        if match:
            start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
            if start is None or end is None:
                break
            if end < start:
                raise line_error(name, first + index, "the cue ends before its start", _HINT)
            return build_line(start, end, _pieces("\n".join(block[index + 1 :])))
        if _LIKE_CUE_TIMES.fullmatch(line):
            break
    else:
        return None
    raise line_error(name, first + index, f"invalid times {line.strip()[:40]!r}", _HINT)


def _pieces(text: str) -> Iterator[tuple[float | None, str]]:
    """Yield the pieces of a cue's text between the times of its words."""
    shown = _RUBY_TEXT.sub("", text)
    time, place = None, 0
    for match in _WORD_TIME.finditer(shown):
        yield time, _plain(shown[place : match.start()])
        time, place = _seconds(match.groups()), match.end()
    yield time, _plain(shown[place:])


def _plain(text: str) -> str:
    return html.unescape(_TAG.sub("", text)).translate(_NOTES)


def _seconds(groups: Sequence[str | None]) -> float | None:
    """Return the seconds of hours, minutes, seconds and a fraction, or None if out of range."""
    hours, minutes, seconds, fraction = groups
    if int(minutes or 0) >= 60 or int(seconds or 0) >= 60:
        return None
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return float(f"{whole}.{fraction or 0}")
