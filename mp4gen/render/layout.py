"""Positions of all parts of a frame: three designs, scaled to any size. Draws nothing.

Each design has its own canvas (1280x720, 720x1280, 720x720). The one with the nearest aspect
ratio is scaled to fit. Spare width goes between the margins, spare height above and below.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

# The encoder's unit in pixels. Light round a cover that is aligned to it costs a tenth fewer bits
# and leaves fewer errors, because no block holds an edge of the light.
BLOCK = 16


@frozen
class Design:
    """Positions and sizes in units of the design's own canvas; `_base` means a baseline."""

    width: int
    height: int
    margin: int
    cover: int
    cover_top: int
    title_size: int
    title_base: int
    author_size: int
    author_step: int
    hero_size: int
    hero_step: int
    bars: int
    bars_base: int
    bars_height: int
    progress_top: int
    watermark_up: int
    text_beside_cover: bool


LANDSCAPE = Design(
    width=1280, height=720, margin=96, cover=304, cover_top=80,
    title_size=58, title_base=226, author_size=28, author_step=52, hero_size=44, hero_step=64,
    bars=64, bars_base=566, bars_height=160, progress_top=646, watermark_up=26,
    text_beside_cover=True,
)  # fmt: skip
PORTRAIT = Design(
    width=720, height=1280, margin=72, cover=464, cover_top=144,
    title_size=50, title_base=702, author_size=28, author_step=52, hero_size=42, hero_step=56,
    bars=48, bars_base=986, bars_height=210, progress_top=1096, watermark_up=60,
    text_beside_cover=False,
)  # fmt: skip
SQUARE = Design(
    width=720, height=720, margin=60, cover=272, cover_top=48,
    title_size=42, title_base=394, author_size=24, author_step=42, hero_size=36, hero_step=50,
    bars=48, bars_base=576, bars_height=96, progress_top=634, watermark_up=26,
    text_beside_cover=False,
)  # fmt: skip


@frozen
class Box:
    """A rectangle in pixels, without its right column and bottom row."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of (rows, columns)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def relative_to(self, other: Box) -> Box:
        """Move the origin to the upper left corner of `other`."""
        left, top = other.left, other.top
        return Box(self.left - left, self.top - top, self.right - left, self.bottom - top)

    def expanded(self, by: int, width: int, height: int) -> Box:
        """Add `by` pixels on each side, then round outwards to even, within width x height."""
        return Box(
            max(self.left - by, 0) // 2 * 2,
            max(self.top - by, 0) // 2 * 2,
            min(-(-(self.right + by) // 2) * 2, width),
            min(-(-(self.bottom + by) // 2) * 2, height),
        )


@frozen(eq=False)
class Layout:
    """A design at the video's size, in pixels.

    Attributes:
        unit: pixels for one unit of the design.
        cover: square of the cover, aligned to the encoder's blocks where it can be.
        text_box: box of title and author; the opening changes nothing outside of it.
        title_base: baseline of the title.
        bar_lefts: left edge of each bar.
        bar_width: width of a bar.
        bars_base: the row below the bars.
        bars_height: height of a full bar.
        progress: box of the progress line.
        watermark_base: baseline of the watermark.
    """

    design: Design
    width: int
    height: int
    unit: float
    cover: Box
    text_box: Box
    title_base: int
    bar_lefts: NDArray[np.int64]
    bar_width: int
    bars_base: int
    bars_height: int
    progress: Box
    watermark_base: int

    def px(self, units: float) -> int:
        """Convert units of the design to whole pixels, at least 1."""
        return max(round(units * self.unit), 1)


def design_for(width: int, height: int) -> Design:
    """Return the design with the aspect ratio nearest to width x height."""
    return min(
        (LANDSCAPE, SQUARE, PORTRAIT),
        key=lambda design: abs(math.log(width / height) - math.log(design.width / design.height)),
    )


def bar_count(width: int, height: int) -> int:
    """Return the number of bars of a video of this size."""
    design = design_for(width, height)
    unit = min(width / design.width, height / design.height)
    # Below 4 pixels a bar, a bar and its gap would share a chroma sample.
    return min(design.bars, int((width - 2 * design.margin * unit) // 4))


def layout_for(width: int, height: int, *, with_text: bool = True) -> Layout:
    """Scale the nearest design to width x height pixels; without text the cover is centred."""
    design = design_for(width, height)
    unit = min(width / design.width, height / design.height)
    down = (height - design.height * unit) / 2
    margin = round(design.margin * unit)
    centred = not (design.text_beside_cover and with_text)
    cover = _cover_box(design, width, unit, down, centred=centred)
    text_left = round(cover.right + 56 * unit) if design.text_beside_cover else margin
    title_base = round(design.title_base * unit + down)
    count = bar_count(width, height)
    pitch = (width - 2 * margin) / count
    bars_height = round(design.bars_height * unit)
    # A bar in a very wide frame is no wider than high.
    bar = max(min(round(0.58 * pitch), bars_height - 2), 2)
    lefts = np.floor(margin + (np.arange(count) + 0.5) * pitch - bar / 2 + 0.5).astype(np.int64)
    line = max(round(4 * unit), 2)
    progress_top = round(design.progress_top * unit + down)
    bars_base = round(design.bars_base * unit + down)
    hero_end = round(title_base + (design.hero_step + 0.4 * design.hero_size) * unit)
    text_box = Box(
        text_left,
        round(title_base - 1.15 * design.title_size * unit),
        width - margin,
        # Even, so that text and bars share no chroma sample.
        min(hero_end, (bars_base - bars_height) // 2 * 2),
    )
    return Layout(
        design=design,
        width=width,
        height=height,
        unit=unit,
        cover=cover,
        text_box=text_box.expanded(0, width, height),
        title_base=title_base,
        bar_lefts=lefts,
        bar_width=bar,
        bars_base=bars_base,
        bars_height=bars_height,
        progress=Box(margin, progress_top, width - margin, progress_top + line),
        watermark_base=height - round(design.watermark_up * unit),
    )


def _cover_box(design: Design, width: int, unit: float, down: float, *, centred: bool) -> Box:
    # Small frames use half a block or less, since whole blocks would change the design.
    grid = BLOCK
    while grid > max(BLOCK * unit, 2):
        grid //= 2
    top = int((design.cover_top * unit + down) // grid) * grid
    if centred:
        left = round((width - design.cover * unit) / 2 / grid) * grid
        side = width - 2 * left
    else:
        left, side = round(design.margin * unit), round(design.cover * unit / grid) * grid
    return Box(left, top, left + side, top + side)
