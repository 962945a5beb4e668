"""The look `wave`: a smooth curve from edge to edge, with a slower one behind."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from mp4gen.render import background
from mp4gen.render.colour import Floats
from mp4gen.render.layout import Box, centred_cover_box, cover_box
from mp4gen.render.lyrics.places import lyric_frame
from mp4gen.render.parts.progress_line import ProgressLine, draw_track
from mp4gen.render.parts.title_block import TitleBlock
from mp4gen.render.parts.wave import Wave, WavePlace, reach_of
from mp4gen.render.parts.words import draw_words
from mp4gen.render.text import Typesetter

from .look import Content, Layout, Part, SceneSpec, Stage
from .shapes import (
    Frame,
    Shape,
    WordsDesign,
    frame_for,
    place_line,
    place_watermark,
    place_words,
)

BANDS = 64
QP_OFFSET = 5


@frozen(kw_only=True)
class Design:
    """Positions as shares of the frame's design, sizes in its units."""

    cover: float
    left: float | None
    top: float
    words: WordsDesign
    axis: float
    up: float
    line: tuple[float, float, float, float]


DESIGNS = {
    Shape.LANDSCAPE: Design(
        cover=208, left=0.075, top=0.117, axis=0.664, up=0.208, line=(0.075, 0.925, 0.897, 4),
        words=WordsDesign(
            left=0.269, right=0.925, title=(0.261, 58), author=(0.331, 28), hero=44,
        ),
    ),
    Shape.SQUARE: Design(
        cover=196, left=None, top=0.09, axis=0.72, up=0.145, line=(0.083, 0.917, 0.875, 4),
        words=WordsDesign(
            left=0.083, right=0.917, title=(0.454, 42), author=(0.507, 24), hero=30, centred=True,
            two_rows=(0.76, 0.35),
        ),
    ),
    Shape.TALL: Design(
        cover=272, left=None, top=0.08, axis=0.71, up=0.15, line=(0.083, 0.917, 0.865, 4),
        words=WordsDesign(
            left=0.083, right=0.917, title=(0.455, 44), author=(0.5, 25), hero=32, centred=True,
            two_rows=(0.8, 0.2),
        ),
    ),
    Shape.PORTRAIT: Design(
        cover=240, left=None, top=0.192, axis=0.696, up=0.096, line=(0.10, 0.90, 0.829, 3),
        words=WordsDesign(
            left=0.10, right=0.88, title=(0.51, 38), author=(0.544, 20), hero=30, centred=True,
            two_rows=(0.76, 0.15),
        ),
    ),
}  # fmt: skip


@frozen
class LyricDesign:
    """The wave under lyrics: positions as shares of the frame's design."""

    axis: float
    up: float
    line_top: float


LYRIC_DESIGNS = {
    Shape.LANDSCAPE: LyricDesign(axis=0.790, up=0.115, line_top=0.897),
    Shape.SQUARE: LyricDesign(axis=0.780, up=0.100, line_top=0.881),
    Shape.TALL: LyricDesign(axis=0.775, up=0.100, line_top=0.872),
    Shape.PORTRAIT: LyricDesign(axis=0.729, up=0.100, line_top=0.845),
}
LINE_HEIGHT = 4


@frozen(eq=False, kw_only=True)
class WaveLayout(Layout):
    """The places of a frame with a wave."""

    wave: WavePlace
    progress: Box

    def draw_still(self, pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
        """Draw what never changes, in place."""
        background.draw_own_cover(pixels, spec)
        draw_words(pixels, spec, typesetter)
        draw_track(pixels, self.progress)

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return the parts that change."""
        return Wave(stage, self.wave), ProgressLine(stage, self.progress), TitleBlock(stage)


def layout_for(width: int, height: int, content: Content) -> WaveLayout:
    """Place the wave in a frame; without words the cover stands in the middle."""
    if content.lyrics is not None:
        return _under_lyrics(width, height, is_rtl=content.lyrics == "rtl")
    frame = frame_for(width, height)
    design, unit = DESIGNS[frame.shape], frame.unit
    top, side = frame.y(design.top), design.cover * unit
    if design.left is None or not content.has_words:
        cover = centred_cover_box(width, top, side, unit)
    else:
        cover = cover_box(frame.x(design.left), top, side, unit)
    words = place_words(frame, design.words)
    progress = place_line(frame, *design.line)
    return WaveLayout(
        width=width,
        height=height,
        unit=unit,
        bands=BANDS,
        cover=cover,
        words=words,
        watermark=place_watermark(frame),
        qp_offset=QP_OFFSET,
        wave=_wave(frame, design, max(words.box.bottom, cover.bottom), progress.top - 2),
        progress=progress,
    )


def _under_lyrics(width: int, height: int, *, is_rtl: bool) -> WaveLayout:
    places = lyric_frame(width, height, is_rtl=is_rtl)
    frame, design = places.frame, LYRIC_DESIGNS[places.frame.shape]
    progress = places.line(design.line_top, LINE_HEIGHT)
    return WaveLayout(
        width=width,
        height=height,
        unit=frame.unit,
        bands=BANDS,
        cover=places.cover,
        words=places.words,
        watermark=places.watermark,
        lyrics=places.lyrics,
        qp_offset=QP_OFFSET,
        wave=_wave(frame, design, places.lyrics.box.bottom, progress.top - 2),
        progress=progress,
    )


def _wave(frame: Frame, design: Design | LyricDesign, above: int, below: int) -> WavePlace:
    """Place the wave, its light cut off at what stands above and below."""
    axis = round(frame.y(design.axis) / 2) * 2
    up = design.up * frame.shape.value[1] * frame.unit
    reach_up, reach_down = reach_of(up, frame.unit)
    top = max(axis - reach_up, above)
    bottom = min(axis + reach_down, below)
    return WavePlace(axis=axis, up=up, top=-(-top // 2) * 2, bottom=bottom // 2 * 2)
