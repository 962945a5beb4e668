"""Where everything stands: three designs, scaled to any size; numbers only.

Each design is made on a canvas of its own (1280x720, 720x1280, 720x720). The one whose shape is
nearest to the video's is scaled to fit; what is left over widens the margins' middle or is shared
out above and below.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray


@frozen
class Design:
    """One canvas in its own units; texts are placed by their baselines."""

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
    width=1280, height=720, margin=96, cover=312, cover_top=84,
    title_size=58, title_base=234, author_size=28, author_step=52, hero_size=44, hero_step=64,
    bars=64, bars_base=566, bars_height=160, progress_top=646, watermark_up=26, text_beside_cover=True,
)  # fmt: skip
PORTRAIT = Design(
    width=720, height=1280, margin=72, cover=456, cover_top=150,
    title_size=50, title_base=702, author_size=28, author_step=52, hero_size=42, hero_step=56,
    bars=48, bars_base=986, bars_height=210, progress_top=1096, watermark_up=60, text_beside_cover=False,
)  # fmt: skip
SQUARE = Design(
    width=720, height=720, margin=60, cover=276, cover_top=52,
    title_size=42, title_base=394, author_size=24, author_step=42, hero_size=36, hero_step=50,
    bars=48, bars_base=576, bars_height=96, progress_top=634, watermark_up=26, text_beside_cover=False,
)  # fmt: skip


@frozen
class Box:
    """A rectangle in pixels; right and bottom are outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top

    def expanded(self, by: int, width: int, height: int) -> Box:
        """The same box with `by` more on each side, even, within width x height."""
        return Box(
            max(self.left - by, 0) // 2 * 2,
            max(self.top - by, 0) // 2 * 2,
            min(-(-(self.right + by) // 2) * 2, width),
            min(-(-(self.bottom + by) // 2) * 2, height),
        )


@frozen(eq=False)
class Layout:
    """A design at the video's size, all in pixels.

    Attributes:
        unit: pixels for one unit of the design.
        cover: the cover's square.
        text_box: where title and author may be; the opening's changes stay inside it.
        title_base: the title's baseline.
        bar_lefts: the left edge of each bar.
        bar_width: of each bar.
        bars_base: the row below the bars.
        bars_height: of the highest.
        progress: the progress line.
        watermark_base: its baseline.
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
        """Whole pixels of so many units, at least 1."""
        return max(round(units * self.unit), 1)


def design_for(width: int, height: int) -> Design:
    """The design whose shape is nearest to width x height."""
    shape = math.log(width / height)
    return min(
        (LANDSCAPE, SQUARE, PORTRAIT),
        key=lambda design: abs(shape - math.log(design.width / design.height)),
    )


def bar_count(width: int, height: int) -> int:
    """How many bars a video of this size has."""
    design = design_for(width, height)
    unit = min(width / design.width, height / design.height)
    # Under 4 pixels a bar, bars and gaps would share a sample of colour.
    return min(design.bars, int((width - 2 * design.margin * unit) // 4))


def layout_for(width: int, height: int, *, with_text: bool = True) -> Layout:
    """Place everything for a video of width x height pixels.

    Without words the cover stands in the middle.
    """
    design = design_for(width, height)
    unit = min(width / design.width, height / design.height)
    down = (height - design.height * unit) / 2
    margin = round(design.margin * unit)
    side = round(design.cover * unit)
    cover_left = margin if design.text_beside_cover and with_text else (width - side) // 2
    cover_top = round(design.cover_top * unit + down)
    cover = Box(cover_left, cover_top, cover_left + side, cover_top + side)
    text_left = round(cover.right + 56 * unit) if design.text_beside_cover else margin
    title_base = round(design.title_base * unit + down)
    count = bar_count(width, height)
    pitch = (width - 2 * margin) / count
    bar = max(round(0.58 * pitch), 2)
    lefts = np.floor(margin + (np.arange(count) + 0.5) * pitch - bar / 2 + 0.5).astype(np.int64)
    line = max(round(4 * unit), 2)
    progress_top = round(design.progress_top * unit + down)
    bars_base = round(design.bars_base * unit + down)
    bars_height = max(round(design.bars_height * unit), bar + 2)
    hero_end = round(title_base + (design.hero_step + 0.4 * design.hero_size) * unit)
    text_box = Box(
        text_left,
        round(title_base - 1.15 * design.title_size * unit),
        width - margin,
        # Even, so that no sample of colour belongs to the words and to a bar.
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
