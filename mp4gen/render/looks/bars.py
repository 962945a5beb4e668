"""The look `bars`: a row of bars over their reflections, with the cover above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from mp4gen.render import background
from mp4gen.render.colour import Floats, Integers
from mp4gen.render.layout import BLOCK, Box, Words, centred_cover_box, cover_box
from mp4gen.render.parts.bars import Bars
from mp4gen.render.parts.cover_glow import CoverGlow
from mp4gen.render.parts.progress_line import ProgressLine, draw_track
from mp4gen.render.parts.title_block import TitleBlock
from mp4gen.render.parts.words import draw_words
from mp4gen.render.text import Typesetter

from .look import CONTENT, Content, Layout, Part, SceneSpec, Stage
from .shapes import Shape, frame_for, place_watermark, title_rows


@frozen
class Design:
    """Positions and sizes in units of the design's own canvas; `_base` means a baseline."""

    width: int
    height: int
    margin: int
    text_margin: int
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
    text_beside_cover: bool
    two_rows: tuple[float, float]


DESIGNS = {
    Shape.LANDSCAPE: Design(
        width=1280, height=720, margin=96, text_margin=96, cover=304, cover_top=80,
        title_size=58, title_base=226, author_size=28, author_step=52, hero_size=44, hero_step=64,
        bars=64, bars_base=566, bars_height=160, progress_top=646,
        text_beside_cover=True, two_rows=(1.0, 0.45),
    ),
    Shape.SQUARE: Design(
        width=720, height=720, margin=60, text_margin=60, cover=272, cover_top=48,
        title_size=42, title_base=394, author_size=24, author_step=42, hero_size=36, hero_step=50,
        bars=48, bars_base=576, bars_height=96, progress_top=634,
        text_beside_cover=False, two_rows=(0.8, 0.1),
    ),
    Shape.TALL: Design(
        width=720, height=900, margin=60, text_margin=60, cover=368, cover_top=72,
        title_size=46, title_base=514, author_size=26, author_step=44, hero_size=38, hero_step=52,
        bars=48, bars_base=732, bars_height=136, progress_top=796,
        text_beside_cover=False, two_rows=(0.84, 0.1),
    ),
    Shape.PORTRAIT: Design(
        width=720, height=1280, margin=72, text_margin=88, cover=368, cover_top=240,
        title_size=50, title_base=702, author_size=28, author_step=52, hero_size=42, hero_step=56,
        bars=48, bars_base=986, bars_height=210, progress_top=1096,
        text_beside_cover=False, two_rows=(0.84, 0.1),
    ),
}  # fmt: skip


@frozen(eq=False, kw_only=True)
class BarsLayout(Layout):
    """The places of a frame with bars.

    Attributes:
        bar_lefts: left edge of each bar.
        bar_width: width of a bar.
        bars_base: the row below the bars.
        bars_height: height of a full bar.
        progress: box of the progress line.
    """

    bar_lefts: Integers
    bar_width: int
    bars_base: int
    bars_height: int
    progress: Box

    def draw_still(self, pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
        """Draw what never changes, in place."""
        background.draw_own_cover(pixels, spec)
        draw_words(pixels, spec, typesetter)
        draw_track(pixels, self.progress)

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return the parts that change."""
        colours = stage.spec.accent.sweep(self.bands)
        light = colours[self.bands // 4]
        return (
            Bars(stage, self, colours),
            ProgressLine(stage, self.progress),
            TitleBlock(stage),
            CoverGlow(stage, self.cover, light, _limit_below(self)),
        )


def layout_for(width: int, height: int, content: Content = CONTENT) -> BarsLayout:
    """Scale the nearest design to width x height pixels; without text the cover is centred."""
    frame = frame_for(width, height)
    design = DESIGNS[frame.shape]
    unit = min(width / design.width, height / design.height)
    down = (height - design.height * unit) / 2
    margin = round(design.margin * unit)
    centred = not (design.text_beside_cover and content.has_words)
    cover_top, cover_side = design.cover_top * unit + down, design.cover * unit
    if centred:
        cover = centred_cover_box(width, cover_top, cover_side, unit)
    else:
        cover = cover_box(margin, cover_top, cover_side, unit)
    # Below 4 pixels a bar, a bar and its gap would share a chroma sample.
    count = min(design.bars, int((width - 2 * design.margin * unit) // 4))
    bars_height = round(design.bars_height * unit)
    lefts, bar = place_bars(width, margin, count, bars_height)
    line = max(round(4 * unit), 2)
    progress_top = round(design.progress_top * unit + down)
    bars_base = round(design.bars_base * unit + down)
    text_margin = round(design.text_margin * unit)
    text_left = round(cover.right + 56 * unit) if design.text_beside_cover else text_margin
    return BarsLayout(
        width=width,
        height=height,
        unit=unit,
        bands=count,
        cover=cover,
        words=_words(design, unit, down, (text_left, width - text_margin), bars_base - bars_height),
        bar_lefts=lefts,
        bar_width=bar,
        bars_base=bars_base,
        bars_height=bars_height,
        progress=Box(margin, progress_top, width - margin, progress_top + line),
        watermark=place_watermark(frame),
    )


def place_bars(width: int, margin: int, count: int, height: int) -> tuple[Integers, int]:
    """Return the left edges and the width of bars that fill a width, less the margins."""
    pitch = (width - 2 * margin) / count
    # A bar in a very wide frame is no wider than high.
    bar = max(min(round(0.58 * pitch), height - 2), 2)
    lefts = np.floor(margin + (np.arange(count) + 0.5) * pitch - bar / 2 + 0.5)
    return lefts.astype(np.int64), bar


def _words(
    design: Design, unit: float, down: float, columns: tuple[int, int], limit_below: int
) -> Words:
    base = round(design.title_base * unit + down)
    drop = design.two_rows[1] * design.title_size
    below_hero = max(0.4 * design.hero_size, drop + 0.25 * design.hero_size)
    hero_end = round(base + (design.hero_step + below_hero) * unit)
    top = round(base - 1.15 * design.title_size * unit)
    # Even, so that text and bars share no chroma sample.
    bottom = min(-(-hero_end // 2), limit_below // 2) * 2
    return Words(
        box=Box(columns[0] // 2 * 2, top // 2 * 2, -(-columns[1] // 2) * 2, bottom),
        centred=not design.text_beside_cover,
        title_size=design.title_size * unit,
        title_base=base,
        author_size=design.author_size * unit,
        author_base=base + design.author_step * unit,
        hero_size=design.hero_size * unit,
        hero_base=base + design.hero_step * unit,
        two_rows=title_rows(base, design.title_size * unit, *design.two_rows),
    )


def _limit_below(layout: BarsLayout) -> int:
    """Return the row at which the light must end, because the parts below draw over it."""
    below = layout.bars_base - layout.bars_height
    if layout.words.centred:
        below = min(below, layout.words.box.top)
    aligned = below // BLOCK * BLOCK
    if aligned >= layout.cover.bottom + BLOCK:
        return aligned
    return max(below, layout.cover.bottom) // 2 * 2
