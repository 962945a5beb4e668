"""Finds a font for every letter: the bundled family first, then given files, then the system's.

It reads character maps and tries whether a font opens; shaping and drawing happen in `text`.
"""

from __future__ import annotations

import functools
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import frozen
from PIL import ImageFont

Weight = Literal["regular", "medium", "semibold"]

_BUNDLED: dict[Weight, str] = {
    "regular": "Inter-Regular.ttf",
    "medium": "Inter-Medium.ttf",
    "semibold": "InterDisplay-SemiBold.ttf",
}
# Families known to look well beside the bundled one come first; all else is tried after them.
_PREFERRED = (
    "notosanscjk",
    "sourcehansans",
    "notosans",
    "pingfang",
    "hiraginosans",
    "applesdgothic",
    "sfarabic",
    "segoeui",
    "yugoth",
    "malgun",
    "msyh",
    "nirmala",
    "dejavusans",
    "wqymicrohei",
    "wqyzenhei",
    "droidsansfallback",
    "arialunicode",
    "arial",
)
_AVOIDED = ("mono", "italic", "oblique", "condensed", "serif", "black", "thin", "lastresort")
_EMOJI = ("emoji",)
# Bitmap emoji fonts exist in one size only.
BITMAP_SIZES = (109, 136, 160, 96)
_MAX_FILES = 2000
_MAX_RANGES = 200_000


@frozen
class Coverage:
    """The code points that a font has glyphs for, as sorted ranges (first, last)."""

    ranges: tuple[tuple[int, int], ...]

    def has(self, code: int) -> bool:
        """Whether the font can show this code point."""
        low, high = 0, len(self.ranges)
        while low < high:
            middle = (low + high) // 2
            if self.ranges[middle][1] < code:
                low = middle + 1
            else:
                high = middle
        return low < len(self.ranges) and self.ranges[low][0] <= code


def bundled(weight: Weight) -> str:
    """The file of the bundled family in a weight."""
    return str(Path(__file__).parent / "fonts" / _BUNDLED[weight])


def find_font(
    codes: frozenset[int], weight: Weight, user_fonts: tuple[str, ...], *, emoji: bool
) -> str | None:
    """The first font file that has all of `codes`; None where the machine has none."""
    paths = _candidates(weight, user_fonts, emoji=emoji)
    return next((path for path in paths if _covers(path, codes) and is_loadable(path)), None)


@functools.lru_cache(maxsize=256)
def is_loadable(path: str) -> bool:
    """Whether it is a font that can be drawn with: a whole character map promises nothing yet."""
    for size in (20, *BITMAP_SIZES):
        try:
            ImageFont.truetype(path, size)
        except OSError:
            continue
        return True
    return False


def _covers(path: str, codes: frozenset[int]) -> bool:
    covered = coverage(path)
    return all(covered.has(code) for code in codes)


def _candidates(weight: Weight, user_fonts: tuple[str, ...], *, emoji: bool) -> Iterator[str]:
    if emoji:
        yield from (path for path in system_fonts(weight) if is_emoji_font(path))
    yield bundled(weight)
    yield from user_fonts
    yield from (path for path in system_fonts(weight) if emoji or not is_emoji_font(path))
    yield from (path for path in system_fonts(weight) if not emoji and is_emoji_font(path))


def is_emoji_font(path: str) -> bool:
    """Whether the file's name says that it holds emoji, drawn in their own colours."""
    return any(word in _normalize_name(path) for word in _EMOJI)


@functools.lru_cache(maxsize=8)
def system_fonts(weight: Weight) -> tuple[str, ...]:
    """The machine's font files, the best companions of the bundled family first."""
    return tuple(sorted(_font_files(), key=lambda path: (*_rank(path, weight), path)))


@functools.lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    found: list[str] = []
    for folder in _folders():
        for root, folders, files in os.walk(folder):
            folders.sort()
            found += [
                str(Path(root) / name)
                for name in files
                if name.lower().endswith((".ttf", ".otf", ".ttc", ".otc"))
            ]
            if len(found) >= _MAX_FILES:
                return tuple(found)
    return tuple(found)


def _folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    data = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
    shared = [Path("/usr/local/share/fonts"), Path("/usr/share/fonts")]
    return [Path(data) / "fonts", home / ".fonts", *shared]


def _rank(path: str, weight: Weight) -> tuple[int, int, int]:
    name = _normalize_name(path)
    preference = next(
        (place for place, word in enumerate(_PREFERRED) if name.startswith(word)), len(_PREFERRED)
    )
    avoided = sum(word in name.replace("notosans", "") for word in _AVOIDED)
    weight_names = ("semibold", "bold", "medium") if weight == "semibold" else (weight, "regular")
    return avoided, preference, 0 if any(word in name for word in weight_names) else 1


def _normalize_name(path: str) -> str:
    return Path(path).name.lower().replace("-", "").replace("_", "").replace(" ", "")


@functools.lru_cache(maxsize=512)
def coverage(path: str) -> Coverage:
    """Read a font file's character map; an unreadable one covers nothing."""
    try:
        with Path(path).open("rb") as file:
            table = _cmap_table(file.read(4096), path)
        return Coverage(tuple(sorted(_ranges(table)))[:_MAX_RANGES])
    except (OSError, struct.error, ValueError, IndexError):
        return Coverage(())


def _cmap_table(head: bytes, path: str) -> bytes:
    start = struct.unpack_from(">I", head, 12)[0] if head[:4] == b"ttcf" else 0
    with Path(path).open("rb") as file:
        file.seek(start)
        directory = file.read(12 + 16 * 64)
        for index in range(struct.unpack_from(">H", directory, 4)[0]):
            tag, _, offset, length = struct.unpack_from(">4sIII", directory, 12 + 16 * index)
            if tag == b"cmap":
                file.seek(offset)
                return file.read(min(length, 4 << 20))
    raise ValueError(path)


def _ranges(table: bytes) -> Iterator[tuple[int, int]]:
    """The ranges of the fullest Unicode subtable: format 12 where there is one, else format 4."""
    count = struct.unpack_from(">H", table, 2)[0]
    offsets: dict[int, int] = {}
    for index in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + 8 * index)
        if platform == 0 or (platform == 3 and encoding in (1, 10)):
            offsets[struct.unpack_from(">H", table, offset)[0]] = offset
    if 12 in offsets:
        yield from _format_12(table, offsets[12])
    elif 4 in offsets:
        yield from _format_4(table, offsets[4])


def _format_12(table: bytes, offset: int) -> Iterator[tuple[int, int]]:
    groups = min(struct.unpack_from(">I", table, offset + 12)[0], _MAX_RANGES)
    for index in range(groups):
        first, last, glyph = struct.unpack_from(">III", table, offset + 16 + 12 * index)
        if first <= last and (glyph or last > first):
            yield (first if glyph else first + 1), last


def _format_4(table: bytes, offset: int) -> Iterator[tuple[int, int]]:
    segments = struct.unpack_from(">H", table, offset + 6)[0] // 2
    ends = struct.unpack_from(f">{segments}H", table, offset + 14)
    rest = offset + 16 + 2 * segments
    starts = struct.unpack_from(f">{segments}H", table, rest)
    places = rest + 4 * segments
    for index, (first, last) in enumerate(zip(starts, ends, strict=True)):
        jump = struct.unpack_from(">H", table, places + 2 * index)[0]
        if first == 0xFFFF or first > last:
            continue
        if not jump:
            yield first, last
            continue
        glyphs = places + 2 * index + jump
        for code in range(first, last + 1):
            if struct.unpack_from(">H", table, glyphs + 2 * (code - first))[0]:
                yield code, code
