"""Find a font for every letter.

The user's font comes first, then the bundled family, the user's other files and the system's.

Reads character maps and opens fonts. Shaping and drawing happen in `text`.
"""

import bisect
import functools
import io
import itertools
import operator
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import BinaryIO, Literal

from attrs import frozen
from PIL import ImageFont

Weight = Literal["regular", "medium", "semibold"]

_BUNDLED: dict[Weight, str] = {
    "regular": "Inter-Regular.ttf",
    "medium": "Inter-Medium.ttf",
    "semibold": "InterDisplay-SemiBold.ttf",
}
# Values of the weight axis of variable fonts.
_AXIS_WEIGHTS: dict[Weight, int] = {"regular": 400, "medium": 500, "semibold": 600}
# Families that match the bundled one come first; all others are tried after them.
_PREFERRED = (
    "notosanscjk", "sourcehansans", "notosans", "pingfang", "hiraginosans", "applesdgothic",
    "sfarabic", "segoeui", "yugoth", "malgun", "msyh", "nirmala", "dejavusans", "wqymicrohei",
    "wqyzenhei", "droidsansfallback", "arialunicode", "arial",
)  # fmt: skip
_AVOIDED = ("mono", "italic", "oblique", "condensed", "serif", "black", "thin", "lastresort")
_WEIGHT_WORDS = ("bold", "heavy", "light", "medium")
# A bitmap emoji font has one size only, one of these.
_BITMAP_SIZES = (109, 136, 160, 96)
_EXTENSIONS = (".ttf", ".otf", ".ttc", ".otc")
_MAX_FILES = 2000
_MAX_RANGES = 200_000


@frozen
class Coverage:
    """The code points that a font has glyphs for, as sorted ranges (first, last)."""

    ranges: tuple[tuple[int, int], ...]

    def has(self, code: int) -> bool:
        """Return whether the font has a glyph for this code point."""
        index = bisect.bisect_left(self.ranges, code, key=operator.itemgetter(1))
        return index < len(self.ranges) and self.ranges[index][0] <= code


def bundled(weight: Weight) -> str:
    """Return the file of the bundled family in a weight."""
    return _bundled_path(_BUNDLED[weight])


def find_font(
    codes: frozenset[int],
    weight: Weight,
    user_fonts: tuple[str, ...],
    *,
    emoji: bool,
    first: str | None = None,
) -> str | None:
    """Return the first font file that has all of `codes`, or None.

    Args:
        codes: code points.
        weight: chooses among the files of a family.
        user_fonts: files that are tried after the bundled family.
        emoji: whether emoji fonts are tried before all others.
        first: a file that is tried before the bundled family.
    """
    paths = _candidates(weight, user_fonts, first, emoji=emoji)
    covering = (path for path in paths if all(map(coverage(path).has, codes)))
    return next(filter(is_loadable, covering), None)


@functools.lru_cache(maxsize=256)
def is_loadable(path: str) -> bool:
    """Return whether FreeType can open the font; an intact character map does not imply it."""
    return load_font(path, 20) is not None


def source(path: str) -> str | io.BytesIO:
    """Return the path of a font file, or the content of a bundled one that is in a zip file."""
    name = Path(path).name
    if path != _bundled_path(name) or Path(path).exists():
        return path
    return io.BytesIO(resources.files("mp4gen").joinpath("render", "fonts", name).read_bytes())


def _bundled_path(name: str) -> str:
    return str(Path(__file__).parent / "fonts" / name)


def load_font(
    path: str, size: float, weight: Weight = "regular"
) -> tuple[ImageFont.FreeTypeFont, float] | None:
    """Open a font at `size`, or at its bitmaps' size; None if neither works.

    Args:
        path: the font file.
        size: in pixels.
        weight: that of a variable font, which would be thin or regular otherwise.

    Returns:
        The font, and the scale from its size to `size`.
    """
    for actual_size in (size, *_BITMAP_SIZES):
        with suppress(OSError):
            font = ImageFont.truetype(source(path), actual_size)
            _set_weight(font, weight)
            return font, size / actual_size
    return None


def _set_weight(font: ImageFont.FreeTypeFont, weight: Weight) -> None:
    try:
        axes = font.get_variation_axes()
    except (OSError, NotImplementedError):
        # Not a variable font.
        return
    wanted = _AXIS_WEIGHTS[weight]
    values: list[float] = [
        min(max(wanted, axis["minimum"] or 0), axis["maximum"] or wanted)
        if (axis["name"] or b"").lower() in (b"weight", b"wght")
        else axis["default"] or 0
        for axis in axes
    ]
    font.set_variation_by_axes(values)


def _candidates(
    weight: Weight, user_fonts: tuple[str, ...], first: str | None, *, emoji: bool
) -> Iterator[str]:
    # Lazy: the system's folders are read only if the bundled family lacks a letter.
    if emoji:
        yield from filter(is_emoji_font, (*user_fonts, *system_fonts(weight)))
    if first is not None:
        yield first
    yield bundled(weight)
    yield from user_fonts
    yield from itertools.filterfalse(is_emoji_font, system_fonts(weight))
    if not emoji:
        yield from filter(is_emoji_font, system_fonts(weight))


def is_emoji_font(path: str) -> bool:
    """Return whether the file's name says that it contains emoji."""
    return "emoji" in _normalize_name(path)


@functools.lru_cache(maxsize=8)
def system_fonts(weight: Weight) -> tuple[str, ...]:
    """Return the system's font files, those that match the bundled family first."""
    return tuple(sorted(_font_files(), key=lambda path: (*_rank(path, weight), path)))


@functools.lru_cache(maxsize=1)
def _font_files() -> tuple[str, ...]:
    found: list[str] = []
    for root, folders, files in itertools.chain.from_iterable(map(os.walk, _folders())):
        folders.sort()
        found += [str(Path(root) / name) for name in files if name.lower().endswith(_EXTENSIONS)]
        if len(found) >= _MAX_FILES:
            break
    return tuple(found[:_MAX_FILES])


def _folders() -> list[Path]:
    # Path.home raises if the user has no home, as in some containers.
    home = Path(os.path.expanduser("~"))  # noqa: PTH111
    if sys.platform == "darwin":
        folders = [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    elif sys.platform == "win32":
        # Users without administrator rights install fonts in the first.
        local = os.environ.get("LOCALAPPDATA") or home / "AppData/Local"
        system = os.environ.get("WINDIR", r"C:\Windows")
        folders = [Path(local) / "Microsoft/Windows/Fonts", Path(system) / "Fonts"]
    else:
        data = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
        shared = [Path("/usr/local/share/fonts"), Path("/usr/share/fonts")]
        folders = [Path(data) / "fonts", home / ".fonts", *shared]
    return folders


def _rank(path: str, weight: Weight) -> tuple[int, int, int]:
    name = _normalize_name(path)
    preference = [name.startswith(family) for family in (*_PREFERRED, "")].index(True)
    avoided = sum(word in name.replace("notosans", "") for word in _AVOIDED)
    wanted = ("semibold", "demibold", "bold", "medium") if weight == "semibold" else (weight,)
    found = next((index for index, word in enumerate(wanted) if word in name), None)
    # A file without a weight in its name is regular.
    other = len(wanted) + any(word in name for word in _WEIGHT_WORDS)
    return avoided, preference, other if found is None else found


def _normalize_name(path: str) -> str:
    return Path(path).name.lower().replace("-", "").replace("_", "").replace(" ", "")


# Each search goes through all files in one order: a smaller cache would never hit.
@functools.lru_cache(maxsize=2 * _MAX_FILES)
def coverage(path: str) -> Coverage:
    """Read a font file's character map; an unreadable font covers nothing."""
    try:
        opened = source(path)
        with Path(opened).open("rb") if isinstance(opened, str) else opened as file:
            table = _cmap_table(file)
        return Coverage(tuple(sorted(_ranges(table)))[:_MAX_RANGES])
    except (OSError, struct.error, ValueError, IndexError):
        return Coverage(())


def _cmap_table(file: BinaryIO) -> bytes:
    head = file.read(16)
    file.seek(struct.unpack_from(">I", head, 12)[0] if head[:4] == b"ttcf" else 0)
    directory = file.read(12 + 16 * 64)
    for index in range(struct.unpack_from(">H", directory, 4)[0]):
        tag, _, offset, length = struct.unpack_from(">4sIII", directory, 12 + 16 * index)
        if tag == b"cmap":
            file.seek(offset)
            return file.read(min(length, 4 << 20))
    return b""


def _ranges(table: bytes) -> Iterator[tuple[int, int]]:
    """Yield the ranges of the Unicode subtable of format 12 if there is one, else of format 4."""
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
    after = 0
    for index, (start, last) in enumerate(zip(starts, ends, strict=True)):
        place = rest + 4 * segments + 2 * index
        jump = struct.unpack_from(">H", table, place)[0]
        # Segments ascend. If they overlapped, a small file would hold billions of code points.
        first = max(start, after)
        if first == 0xFFFF or first > last:
            continue
        after = last + 1
        if not jump:
            yield first, last
            continue
        for code in range(first, last + 1):
            if struct.unpack_from(">H", table, place + jump + 2 * (code - start))[0]:
                yield code, code
