"""The look `pulse`: a large cover that grows with the beat, and rings of light."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve, frozen

from mp4gen.render.colour import Floats
from mp4gen.render.layout import Box, centred_cover_box
from mp4gen.render.parts.light_rings import LightRings, RingsPlace
from mp4gen.render.parts.progress_line import ProgressLine, draw_track
from mp4gen.render.parts.pulsing_cover import GROWTH, PulsingCover, draw_rest
from mp4gen.render.parts.title import fit_title
from mp4gen.render.parts.title_block import TitleBlock
from mp4gen.render.parts.words import ASCENT, draw_words
from mp4gen.render.text import Typesetter

from .look import Content, Layout, Part, SceneSpec, Stage
from .shapes import Frame, Shape, WordsDesign, frame_for, place_watermark, place_words

BANDS = 64
LINE_HEIGHT = 3


@frozen
class Design:
    """Positions as shares of the frame's design, sizes in its units.

    Attributes:
        cover: side at rest.
        y: middle of the cover.
        rings: (first radius, last radius).
        fade: between which heights the rings fade out.
        progress: (middle, width) of the progress line.
        words: title and author.
    """

    cover: float
    y: float
    rings: tuple[float, float]
    fade: tuple[float, float]
    progress: tuple[float, float]
    words: WordsDesign


DESIGNS = {
    Shape.LANDSCAPE: Design(
        cover=344, y=0.403, rings=(250, 580), fade=(0.64, 0.72), progress=(0.889, 0.219),
        words=WordsDesign(
            left=0.15, right=0.85, centred=True, title=(0.778, 50), author=(0.836, 26), hero=36,
            two_rows=(0.84, 0.2),
        ),
    ),
    Shape.SQUARE: Design(
        cover=288, y=0.36, rings=(210, 487), fade=(0.56, 0.625), progress=(0.80, 0.30),
        words=WordsDesign(
            left=0.083, right=0.917, centred=True, title=(0.675, 44), author=(0.73, 22), hero=32,
            two_rows=(0.84, 0.15),
        ),
    ),
    Shape.TALL: Design(
        cover=330, y=0.375, rings=(240, 558), fade=(0.575, 0.64), progress=(0.80, 0.30),
        words=WordsDesign(
            left=0.083, right=0.917, centred=True, title=(0.685, 46), author=(0.733, 24), hero=34,
            two_rows=(0.84, 0.15),
        ),
    ),
    Shape.PORTRAIT: Design(
        cover=302, y=0.36, rings=(220, 510), fade=(0.50, 0.545), progress=(0.685, 0.44),
        words=WordsDesign(
            left=0.12, right=0.88, centred=True, title=(0.585, 38), author=(0.617, 19), hero=27,
            two_rows=(0.74, 0.1),
        ),
    ),
}  # fmt: skip


@frozen(eq=False, kw_only=True)
class PulseLayout(Layout):
    """The places of a frame with a pulsing cover."""

    rings: RingsPlace
    progress: Box

    def draw_still(self, pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
        """Draw what never changes, in place."""
        draw_rest(pixels, spec.cover, self.cover, self.unit)
        draw_words(pixels, spec, typesetter)
        draw_track(pixels, self.progress)

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return the parts that change."""
        fade = self.rings.fade
        # They do not reach a title of two rows either.
        higher = self._more_title(stage)
        rings = evolve(self.rings, fade=(fade[0] - higher, fade[1] - higher))
        return (
            LightRings(stage, rings),
            PulsingCover(stage, self.cover),
            ProgressLine(stage, self.progress),
            TitleBlock(stage),
        )

    def _more_title(self, stage: Stage) -> float:
        """Return how much higher the title reaches than a single row."""
        if not stage.spec.title:
            return 0.0
        title = fit_title(stage.spec, stage.typesetter)
        top = title.rows[0][1] - ASCENT * title.size
        return max(self.words.title_base - ASCENT * self.words.title_size - top, 0.0)


def layout_for(width: int, height: int, content: Content) -> PulseLayout:
    """Place cover and rings in a frame."""
    frame = frame_for(width, height)
    design, unit = DESIGNS[frame.shape], frame.unit
    side = design.cover * (1 + GROWTH) * unit
    cover = centred_cover_box(width, frame.y(design.y) - side / 2, side, unit)
    rings, progress = _rings(design, frame, cover), _progress(design, frame)
    words = place_words(frame, design.words)
    # In small frames, rounding takes some of the room.
    box = evolve(
        words.box,
        top=rings.boxes[-1].bottom,
        bottom=min(words.box.bottom, progress.expanded(2, width, height).top),
    )
    return PulseLayout(
        width=width,
        height=height,
        unit=unit,
        bands=BANDS,
        cover=cover,
        words=evolve(words, box=box),
        watermark=place_watermark(frame),
        rings=rings,
        progress=progress,
    )


def _rings(design: Design, frame: Frame, cover: Box) -> RingsPlace:
    first, last = (radius * frame.unit for radius in design.rings)
    fade = frame.y(design.fade[0]), frame.y(design.fade[1])
    inner = cover.expanded(0, frame.width, frame.height)
    y = (cover.top + cover.bottom) / 2
    bottom = math.ceil(fade[1] / 2) * 2
    top = max(math.floor((y - last) / 2) * 2, 0)
    boxes = (
        Box(0, top, frame.width, inner.top),
        Box(0, inner.top, inner.left, inner.bottom),
        Box(inner.right, inner.top, frame.width, inner.bottom),
        Box(0, inner.bottom, frame.width, bottom),
    )
    return RingsPlace(frame.width / 2, y, first, last, fade, cover, boxes)


def _progress(design: Design, frame: Frame) -> Box:
    middle, width = design.progress
    line = max(round(LINE_HEIGHT * frame.unit), 2)
    left = round(frame.x(0.5 - width / 2))
    top = round(frame.y(middle) - line / 2)
    return Box(left, top, frame.width - left, top + line)
