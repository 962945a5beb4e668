"""Draw lines of sanitized text: font fallback, direction, fitting. Knows no positions.

Text never shows a box for a missing glyph, and never exceeds its width.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features

from . import bidi, fonts
from .characters import grapheme_clusters, is_emoji, is_invisible, script_of
from .fonts import Weight

# How far text may shrink before it is cut, as a share of its size.
MIN_SCALE = 0.5
_HAS_RAQM = features.check("raqm")
# Letters are drawn larger and scaled down: at their own size they would snap to whole pixels.
OVERSAMPLING = 4
# Emoji hang below the line; this share of the size lifts them to the middle of the letters.
EMOJI_RISE = 0.09
_PACKAGES = {
    "CJK": ("Chinese", "fonts-noto-cjk"),
    "HIRAGANA": ("Japanese", "fonts-noto-cjk"),
    "KATAKANA": ("Japanese", "fonts-noto-cjk"),
    "HANGUL": ("Korean", "fonts-noto-cjk"),
    "emoji": ("emoji", "fonts-noto-color-emoji"),
}


@frozen
class FontRun:
    """Part of a line in one font, one weight and one direction, in reading order."""

    text: str
    font: str
    level: int
    weight: Weight = "regular"


@frozen(eq=False)
class Line:
    """A drawn line.

    Attributes:
        pixels: RGBA, 8 bits, not premultiplied.
        origin: (x, y) of the line's start on the baseline, within `pixels`.
        advance: width in pixels.
    """

    pixels: NDArray[np.uint8]
    origin: tuple[int, int]
    advance: float


class Typesetter:
    """Draws lines, and remembers the scripts without a font.

    Args:
        user_fonts: font files for letters that the bundled font lacks.
        font: font file for all letters that it has, in every weight.
    """

    def __init__(self, user_fonts: Iterable[str] = (), font: str | None = None) -> None:
        self._user_fonts, self._first_font = tuple(user_fonts), font
        self._missing: dict[str, str] = {}
        self._found: dict[tuple[str, Weight], str | None] = {}

    def __reduce__(self) -> tuple[type[Typesetter], tuple[tuple[str, ...], str | None]]:
        # Another process searches the fonts again; this one warns of those that are missing.
        return Typesetter, (self._user_fonts, self._first_font)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each script without a font, with the package that adds one."""
        named: dict[str, tuple[str, str]] = {}
        for script, letter in self._missing.items():
            name, package = _PACKAGES.get(script, (script.capitalize(), "fonts-noto-core"))
            named.setdefault(name, (letter, package))
        return tuple(
            f"No font for {name}: {letter!r} and similar letters are left out. Install {package} "
            "or choose a font file."
            for name, (letter, package) in sorted(named.items())
        )

    def fit(
        self, text: str, size: float, weight: Weight, width: float, *, min_scale: float = MIN_SCALE
    ) -> tuple[str, float]:
        """Shrink text to `width`, to `min_scale` of its size at most, then cut it short.

        A single letter that is still too wide is shrunk further.

        Returns:
            The text and its size.
        """
        full = self.width(text, size, weight)
        if full <= width:
            return text, size
        smaller = max(size * width / full * 0.995, size * min_scale)
        pieces = grapheme_clusters(text)
        while self.width(text, smaller, weight) > width and len(pieces) > 1:
            excess = self.width(text, smaller, weight) / width
            pieces = pieces[: max(min(len(pieces) - 1, int(len(pieces) / excess) + 1), 1)]
            text = "".join(pieces).rstrip() + "\u2026"
        left = self.width(text, smaller, weight)
        return text, smaller if left <= width else smaller * width / left * 0.995

    def width(self, text: str, size: float, weight: Weight) -> float:
        """Return the width of a line in pixels."""
        return sum(_advance(run, size) for run in self._runs(text, weight))

    def shown(self, text: str, weight: Weight) -> str:
        """Return text without the letters that no font has."""
        return "".join(run.text for run in self._runs(text, weight))

    def spans(
        self, text: str, size: float, weight: Weight, ends: Sequence[int]
    ) -> list[list[tuple[float, float]]]:
        """Return where the parts of a line stand.

        Args:
            text: the line, as returned by `shown`.
            size: of its letters, in pixels.
            weight: of its letters.
            ends: index in the text at which each part ends, ascending.

        Returns:
            The stretches of each part in reading order, as pixels from the left of the line to
            where the stretch begins and ends; the latter is the smaller one from right to left.
        """
        runs = self._runs(text, weight)
        lefts: dict[int, float] = {}
        pen = 0.0
        for index in bidi.reorder_visual(range(len(runs)), [run.level for run in runs]):
            lefts[index] = pen
            pen += _advance(runs[index], size)
        parts: list[list[tuple[float, float]]] = [[] for _ in ends]
        place = 0
        for index, run in enumerate(runs):
            for part, cut in zip(parts, itertools.pairwise((0, *ends)), strict=True):
                first, last = (min(max(end - place, 0), len(run.text)) for end in cut)
                if first < last:
                    part.append(_span(run, size, lefts[index], first, last))
            place += len(run.text)
        return parts

    def line(self, text: str, size: float, weight: Weight) -> Line:
        """Draw one line in white, emoji in their colours, with a margin for overhanging parts."""
        runs = self._runs(text, weight)
        ordered = bidi.reorder_visual(runs, [run.level for run in runs])
        advance = sum(_advance(run, size) for run in ordered)
        pad, rise = round(size * 0.6) + 2, round(size * 1.3) + 2
        shape = (int(advance) + 2 * pad + 1, rise + round(size * 0.6) + 2)
        large = Image.new("L", (shape[0] * OVERSAMPLING, shape[1] * OVERSAMPLING), 0)
        emoji_runs: list[tuple[FontRun, float]] = []
        pen = float(pad)
        for run in ordered:
            if fonts.is_emoji_font(run.font):
                emoji_runs.append((run, pen))
            else:
                _draw(large, run, size * OVERSAMPLING, pen * OVERSAMPLING, rise * OVERSAMPLING)
            pen += _advance(run, size)
        image = Image.new("RGBA", shape, (255, 255, 255, 0))
        image.putalpha(large.resize(shape, Image.Resampling.BOX))
        for run, left in emoji_runs:
            _draw_emoji(image, run, size, left, rise)
        return Line(np.asarray(image), (pad, rise), advance)

    def _runs(self, text: str, weight: Weight) -> list[FontRun]:
        levels = bidi.embedding_levels(text)
        runs: list[FontRun] = []
        place = 0
        for cluster in grapheme_clusters(text):
            level = levels[place]
            place += len(cluster)
            previous = runs[-1] if runs else None
            path = self._font(cluster, weight, previous)
            if path is None:
                continue
            if previous and previous.font == path and previous.level == level:
                runs[-1] = FontRun(previous.text + cluster, path, level, weight)
            else:
                runs.append(FontRun(cluster, path, level, weight))
        return runs

    def _font(self, cluster: str, weight: Weight, previous: FontRun | None) -> str | None:
        if cluster.isspace():
            # A space comes from the font before it, but an emoji font's is too wide.
            if previous is None or fonts.is_emoji_font(previous.font):
                return self._first_font or fonts.bundled(weight)
            return previous.font
        key = cluster, weight
        if key not in self._found:
            self._found[key] = self._search(cluster, weight)
        return self._found[key]

    def _search(self, cluster: str, weight: Weight) -> str | None:
        codes = frozenset(ord(c) for c in cluster if not is_invisible(c))
        emoji = is_emoji(cluster)
        for needed in (codes, frozenset({ord(cluster[0])})):
            found = fonts.find_font(
                needed, weight, self._user_fonts, emoji=emoji, first=self._first_font
            )
            if found is not None or len(codes) <= 1:
                break
        if found is None:
            self._missing.setdefault(script_of(cluster), cluster)
        return found


@functools.lru_cache(maxsize=256)
def _loaded(path: str, weight: Weight, size: float) -> tuple[ImageFont.FreeTypeFont, float]:
    """Return (the font or the bundled one, the scale from its size to `size`)."""
    fallback = fonts.bundled("regular")
    loaded = fonts.load_font(path, size, weight)
    return loaded or (ImageFont.truetype(fonts.source(fallback), size), 1.0)


def _direction(run: FontRun) -> str | None:
    return ("rtl" if run.level % 2 else "ltr") if _HAS_RAQM else None


def _advance(run: FontRun, size: float) -> float:
    # Measured large, as it is drawn: small widths are rounded to whole pixels.
    font, scale = _loaded(run.font, run.weight, size * OVERSAMPLING)
    return font.getlength(run.text, direction=_direction(run)) * scale / OVERSAMPLING


def _span(run: FontRun, size: float, left: float, first: int, last: int) -> tuple[float, float]:
    """Return the pixels at which the letters from index `first` up to `last` begin and end."""
    # Measured from the start of the run: its letters may be joined.
    before, behind = (_advance(evolve(run, text=run.text[:end]), size) for end in (first, last))
    if run.level % 2:
        right = left + _advance(run, size)
        return right - before, right - behind
    return left + before, left + behind


def _draw(mask: Image.Image, run: FontRun, size: float, x: float, y: int) -> None:
    font, _ = _loaded(run.font, run.weight, size)
    draw = ImageDraw.Draw(mask)
    draw.text((x, y), run.text, 255, font, anchor="ls", direction=_direction(run))


def _draw_emoji(image: Image.Image, run: FontRun, size: float, x: float, y: int) -> None:
    """Draw emoji in their own colours and size, then scale them to the line's size."""
    font, scale = _loaded(run.font, run.weight, size * OVERSAMPLING)
    scale /= OVERSAMPLING
    wide, tall = int(_advance(run, size) / scale) + 8, int(2 * size / scale)
    drawn = Image.new("RGBA", (wide, tall), (255, 255, 255, 0))
    draw, place, white = ImageDraw.Draw(drawn), (0, tall * 3 // 4), (255, 255, 255, 255)
    direction = _direction(run)
    draw.text(place, run.text, white, font, anchor="ls", direction=direction, embedded_color=True)
    small = drawn.resize((max(round(wide * scale), 1), max(round(tall * scale), 1)))
    top = y - round(tall * 3 // 4 * scale) - round(size * EMOJI_RISE)
    image.alpha_composite(small, (round(x), max(top, 0)))
