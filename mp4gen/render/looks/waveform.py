"""The look `waveform`: the waveform of the whole song, the played part lit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from mp4gen.render import background
from mp4gen.render.colour import Floats
from mp4gen.render.layout import Box
from mp4gen.render.lyrics.places import lyric_frame
from mp4gen.render.parts.time_labels import (
    TimeLabel,
    TimePlace,
    draw_length,
    label_box,
    time_places,
)
from mp4gen.render.parts.title_block import TitleBlock
from mp4gen.render.parts.waveform import Waveform
from mp4gen.render.parts.waveform_cells import GROWTH, LIGHT_END, WaveformPlace
from mp4gen.render.parts.words import draw_words
from mp4gen.render.scrim import TextPlace
from mp4gen.render.text import Typesetter

from .look import Content, Layout, Part, SceneSpec, Stage
from .shapes import Frame, Shape, WordsDesign, frame_for, place_watermark, place_words

BANDS = 64
COLUMN_SHARE, GAP = 0.56, 3
LIGHT_WIDTH, LIGHT_HEIGHT = 60, 74
# Narrower columns and the gaps beside them would share pixels.
MIN_PITCH = 4


@frozen
class Design:
    """Positions as shares of the frame's design, sizes in its units.

    Attributes:
        cover: (side, left, top); centred if left is None.
        margin: left of the first column.
        pitch: distance of two columns.
        axis: where the waveform is mirrored.
        up: height of a full column.
        times: (baseline, size) of position and length.
        words: title and author.
    """

    cover: tuple[float, float | None, float]
    margin: float
    pitch: float
    axis: float
    up: float
    times: tuple[float, float]
    words: WordsDesign


DESIGNS = {
    Shape.LANDSCAPE: Design(
        cover=(268, 0.075, 0.117), margin=0.075, pitch=8, axis=0.725, up=104, times=(0.847, 18),
        words=WordsDesign(
            left=0.322, right=0.925, title=(0.294, 58), author=(0.367, 28), hero=44,
        ),
    ),
    Shape.SQUARE: Design(
        cover=(268, None, 0.069), margin=0.083, pitch=7, axis=0.75, up=72, times=(0.85, 16),
        words=WordsDesign(
            left=0.083, right=0.917, centred=True, title=(0.528, 44), author=(0.579, 24), hero=36,
            two_rows=(0.72, 0.2),
        ),
    ),
    Shape.TALL: Design(
        cover=(340, None, 0.08), margin=0.083, pitch=7, axis=0.745, up=88, times=(0.845, 17),
        words=WordsDesign(
            left=0.083, right=0.917, centred=True, title=(0.535, 46), author=(0.58, 25), hero=38,
            two_rows=(0.78, 0.2),
        ),
    ),
    Shape.PORTRAIT: Design(
        cover=(216, None, 0.185), margin=0.10, pitch=5.85, axis=0.585, up=53, times=(0.64, 14),
        words=WordsDesign(
            left=0.10, right=0.90, centred=True, title=(0.462, 38), author=(0.493, 20), hero=28,
            two_rows=(0.66, 0.2),
        ),
    ),
}  # fmt: skip


@frozen
class LyricDesign:
    """The waveform under lyrics; fields as of `Design`."""

    pitch: float
    axis: float
    up: float
    times: tuple[float, float]


# In portrait, the times stand above the waveform: platforms hide what is below.
LYRIC_DESIGNS = {
    Shape.LANDSCAPE: LyricDesign(pitch=8, axis=0.775, up=72, times=(0.880, 18)),
    Shape.SQUARE: LyricDesign(pitch=7, axis=0.765, up=60, times=(0.865, 16)),
    Shape.TALL: LyricDesign(pitch=7, axis=0.755, up=76, times=(0.855, 17)),
    Shape.PORTRAIT: LyricDesign(pitch=5.85, axis=0.715, up=53, times=(0.615, 14)),
}
# How deep a column reaches below the axis, as a share of its height above.
ECHO = 0.44


@frozen(eq=False, kw_only=True)
class WaveformLayout(Layout):
    """The places of a frame with a waveform."""

    waveform: WaveformPlace
    times: TimePlace

    def draw_still(self, pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
        """Draw what never changes, in place."""
        background.draw_own_cover(pixels, spec)
        draw_words(pixels, spec, typesetter)
        draw_length(pixels, spec, self.times, typesetter)

    def own_text_places(self, spec: SceneSpec) -> Sequence[TextPlace]:
        """Return the places of the two times."""
        return time_places(spec, self.times)

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return the parts that change."""
        colours = stage.spec.accent.sweep(self.waveform.count)
        return (
            Waveform(stage, self.waveform, colours),
            TimeLabel(stage, self.times),
            TitleBlock(stage),
        )


def layout_for(width: int, height: int, content: Content) -> WaveformLayout:
    """Place the waveform in a frame; without words the cover is centred."""
    if content.lyrics is not None:
        return _under_lyrics(width, height, is_rtl=content.lyrics == "rtl")
    frame = frame_for(width, height)
    design = DESIGNS[frame.shape]
    cover = _cover(design, frame, is_centred=not content.has_words)
    words = place_words(frame, design.words)
    left, right = round(frame.x(design.margin)), round(frame.x(1 - design.margin))
    base, size = design.times
    times = TimePlace(left, right, round(frame.y(base)), size * frame.unit)
    limit = max(cover.bottom, words.box.bottom if words.centred else 0)
    return WaveformLayout(
        width=width,
        height=height,
        unit=frame.unit,
        bands=BANDS,
        cover=cover,
        words=words,
        watermark=place_watermark(frame),
        waveform=_waveform(
            design, frame, (left, right), (limit, label_box(times, 0, width, height).top)
        ),
        times=times,
    )


def _under_lyrics(width: int, height: int, *, is_rtl: bool) -> WaveformLayout:
    places = lyric_frame(width, height, is_rtl=is_rtl)
    frame, design, margin = places.frame, LYRIC_DESIGNS[places.frame.shape], places.margin
    base, size = design.times
    times = TimePlace(margin, width - margin, round(frame.y(base)), size * frame.unit)
    labels = label_box(times, 0, width, height)
    rows = places.lyrics.box.bottom, labels.top
    if base < design.axis:
        rows = labels.bottom, height
    return WaveformLayout(
        width=width,
        height=height,
        unit=frame.unit,
        bands=BANDS,
        cover=places.cover,
        words=places.words,
        watermark=places.watermark,
        lyrics=places.lyrics,
        waveform=_waveform(design, frame, (margin, width - margin), rows),
        times=times,
    )


def _cover(design: Design, frame: Frame, *, is_centred: bool) -> Box:
    side, left, top = design.cover
    pixels = round(side * frame.unit)
    middle = frame.width / 2 - pixels / 2
    x = round(middle if is_centred or left is None else frame.x(left))
    y = round(frame.y(top))
    return Box(x, y, x + pixels, y + pixels)


def _waveform(
    design: Design | LyricDesign, frame: Frame, columns: tuple[int, int], rows: tuple[int, int]
) -> WaveformPlace:
    """Return the place of a waveform between some columns, whose light stays between some rows."""
    unit = frame.unit
    pitch = max(round(design.pitch * unit / 2) * 2, MIN_PITCH)
    count = (columns[1] - columns[0]) // pitch
    left = round((sum(columns) - count * pitch) / 4) * 2
    axis = round(frame.y(design.axis) / 2) * 2
    # In small frames, rounding takes some of the room.
    up = min(design.up * unit, (axis - rows[0] - 3) / (1 + GROWTH))
    down = min(ECHO * up, (rows[1] - axis - 3) / (1 + GROWTH))
    reach = LIGHT_END * LIGHT_HEIGHT * unit
    top = max(-(-rows[0] // 2) * 2, math.floor((axis - reach) / 2) * 2)
    # Light that reaches deeper than high would seem to hang from the columns.
    bottom = min(rows[1] // 2 * 2, 2 * axis - top)
    return WaveformPlace(
        box=Box(0, top, frame.width, bottom),
        left=left,
        pitch=pitch,
        count=count,
        axis=axis,
        up=up,
        down=down,
        column=COLUMN_SHARE * pitch,
        gap=max(GAP * unit, 1.0),
        light_width=LIGHT_WIDTH * unit,
        light_height=LIGHT_HEIGHT * unit,
    )
