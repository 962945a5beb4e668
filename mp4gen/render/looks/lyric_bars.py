"""The look `bars` with lyrics: a small cover, three lines, and low bars under them.

Looks that have no place for lyrics of their own are shown like this too.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from mp4gen.render.lyrics.places import lyric_frame
from mp4gen.render.parts.bars import Bars
from mp4gen.render.parts.progress_line import ProgressLine
from mp4gen.render.parts.title_block import TitleBlock

from .bars import BarsLayout, place_bars
from .look import Content, Layout, Look, Part, Stage
from .shapes import Shape


@frozen
class Design:
    """Sizes in units of the design of a shape, positions as shares of it."""

    bars: int
    base: float
    height: int
    progress_top: float
    progress_height: int


DESIGNS = {
    Shape.LANDSCAPE: Design(bars=64, base=0.808, height=92, progress_top=0.897, progress_height=4),
    Shape.SQUARE: Design(bars=48, base=0.800, height=80, progress_top=0.881, progress_height=4),
    Shape.TALL: Design(bars=48, base=0.800, height=92, progress_top=0.872, progress_height=4),
    Shape.PORTRAIT: Design(bars=48, base=0.775, height=96, progress_top=0.845, progress_height=3),
}


class LyricBarsLayout(BarsLayout):
    """The places of a frame with lyrics over bars."""

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return the parts that change, without the lyrics."""
        colours = stage.spec.accent.sweep(self.bands)
        return Bars(stage, self, colours), ProgressLine(stage, self.progress), TitleBlock(stage)


def lyrics_layout(look: Look, width: int, height: int, content: Content) -> Layout:
    """Return the layout of a look with lyrics: its own, or this one."""
    layout = look(width, height, content)
    return layout if layout.lyrics is not None else layout_for(width, height, content)


def layout_for(width: int, height: int, content: Content) -> LyricBarsLayout:
    """Place the bars under the lyrics in a frame of width x height pixels."""
    places = lyric_frame(width, height, is_rtl=content.lyrics == "rtl")
    frame, margin, design = places.frame, places.margin, DESIGNS[places.frame.shape]
    # Below 4 pixels a bar, a bar and its gap would share a chroma sample.
    count = min(design.bars, (width - 2 * margin) // 4)
    bars_height = round(design.height * frame.unit)
    lefts, bar = place_bars(width, margin, count, bars_height)
    return LyricBarsLayout(
        width=width,
        height=height,
        unit=frame.unit,
        bands=count,
        cover=places.cover,
        words=places.words,
        watermark=places.watermark,
        lyrics=places.lyrics,
        bar_lefts=lefts,
        bar_width=bar,
        bars_base=round(frame.y(design.base)),
        bars_height=bars_height,
        progress=places.line(design.progress_top, design.progress_height),
    )
