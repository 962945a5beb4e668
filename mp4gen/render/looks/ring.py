"""The look `ring`: a round cover with the spectrum around it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from attrs import frozen

from mp4gen.render import background
from mp4gen.render.colour import Floats, oklch_to_rgb
from mp4gen.render.layout import Box
from mp4gen.render.parts.ring import Ring, RingPlace
from mp4gen.render.parts.title_block import TitleBlock
from mp4gen.render.parts.words import draw_words
from mp4gen.render.text import Typesetter

from .look import Content, Layout, Part, SceneSpec, Stage
from .shapes import Frame, Shape, WordsDesign, frame_for, place_watermark, place_words

ARC_OPACITY = 0.20
GLOW_RADIUS, GLOW_OPACITY, GLOW_LIGHTNESS, GLOW_CHROMA = 330, 0.30, 0.56, 0.20
LIGHT_LIGHTNESS, LIGHT_CHROMA = 0.62, 0.19
CIRCLE_OPACITY, CIRCLE_FADE, CIRCLE_WIDTH = 0.13, 0.69, 1.2
FIRST_CIRCLE, CIRCLE_STEP, CIRCLE_GROWTH = 330, 74, 8
WORDS_FADE = 70
# With less room a spoke and the gap beside it would share pixels.
MIN_PITCH = 4.5
QP_OFFSET = 3


@frozen
class Design:
    """Positions as shares of the frame's design, sizes in its units."""

    x: float
    y: float
    cover: float
    start: float
    longest: float
    spokes: int
    width: float
    arc: float
    arc_width: float
    words: WordsDesign


DESIGNS = {
    Shape.LANDSCAPE: Design(
        x=0.294, y=0.481, cover=158, start=184, longest=100, spokes=120, width=5.6, arc=168,
        arc_width=3,
        words=WordsDesign(
            left=0.575, right=0.95, title=(0.486, 64), author=(0.561, 28), hero=44,
        ),
    ),
    Shape.SQUARE: Design(
        x=0.5, y=0.40, cover=119, start=140, longest=71, spokes=104, width=5, arc=128,
        arc_width=3,
        words=WordsDesign(
            left=0.083, right=0.917, centred=True, title=(0.79, 44), author=(0.845, 24), hero=36,
            two_rows=(0.8, 0.15),
        ),
    ),
    Shape.TALL: Design(
        x=0.5, y=0.40, cover=150, start=176, longest=88, spokes=112, width=5.4, arc=160,
        arc_width=3,
        words=WordsDesign(
            left=0.083, right=0.917, centred=True, title=(0.79, 46), author=(0.837, 25), hero=38,
            two_rows=(0.84, 0.15),
        ),
    ),
    Shape.PORTRAIT: Design(
        x=0.5, y=0.367, cover=108, start=127, longest=60, spokes=96, width=4.6, arc=117,
        arc_width=2.6,
        words=WordsDesign(
            left=0.10, right=0.88, centred=True, title=(0.617, 40), author=(0.648, 19), hero=30,
            two_rows=(0.68, 0.1),
        ),
    ),
}  # fmt: skip


@frozen(eq=False, kw_only=True)
class RingLayout(Layout):
    """The places of a frame with a ring."""

    ring: RingPlace

    def draw_still(self, pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
        """Draw what never changes, in place."""
        self._draw_light(pixels, spec)
        self._draw_circles(pixels, has_words=bool(spec.title or spec.author))
        background.draw_cover(pixels, spec.cover, self.cover, self.unit, self.ring.cover)
        box = self.ring.box(self.width, self.height)
        radius = _distances(self.ring, box)
        arc = np.clip(
            0.5 + self.ring.arc_width / 2 - np.abs(radius - self.ring.arc), 0, ARC_OPACITY
        )
        area = pixels[box.slices]
        area += (1 - area) * arc[..., None]
        draw_words(pixels, spec, typesetter)

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return the parts that change."""
        accent = stage.spec.accent
        light = oklch_to_rgb(LIGHT_LIGHTNESS, LIGHT_CHROMA * accent.strength, accent.hue)
        return Ring(stage, self.ring, accent.sweep(self.bands), light), TitleBlock(stage)

    def _draw_light(self, pixels: Floats, spec: SceneSpec) -> None:
        chroma = GLOW_CHROMA * spec.accent.strength
        colour = oklch_to_rgb(GLOW_LIGHTNESS, chroma, spec.accent.hue)
        distance = _distances(self.ring, Box(0, 0, self.width, self.height))
        share = np.clip(1 - distance / np.float32(GLOW_RADIUS * self.unit), 0, 1) ** 2
        pixels += (colour - pixels) * (share * (3 - 2 * share) * np.float32(GLOW_OPACITY))[
            ..., None
        ]

    def _draw_circles(self, pixels: Floats, *, has_words: bool) -> None:
        distance = _distances(self.ring, Box(0, 0, self.width, self.height))
        lines = np.zeros_like(distance)
        farthest = float(distance.max())
        for number in itertools.count():
            growth = CIRCLE_GROWTH / 2 * number * (number - 1)
            radius = (FIRST_CIRCLE + CIRCLE_STEP * number + growth) * self.unit
            if radius > farthest:
                break
            cover = np.clip(0.5 + CIRCLE_WIDTH * self.unit / 2 - np.abs(distance - radius), 0, 1)
            lines += cover * np.float32(CIRCLE_OPACITY * CIRCLE_FADE**number)
        if has_words:
            lines *= _fade_around(self.words.box, self.width, self.height, WORDS_FADE * self.unit)
        pixels += (1 - pixels) * lines[..., None]


def layout_for(width: int, height: int, content: Content) -> RingLayout:
    """Place the ring in a frame; without words it stands in the middle."""
    frame = frame_for(width, height)
    design, unit = DESIGNS[frame.shape], frame.unit
    x = frame.x(design.x if content.has_words else 0.5)
    ring = _ring(design, frame, round(x), round(frame.y(design.y)))
    side = round(ring.cover)
    left, top = round(x) - side, round(frame.y(design.y)) - side
    return RingLayout(
        width=width,
        height=height,
        unit=unit,
        bands=ring.spokes // 2,
        cover=Box(left, top, left + 2 * side, top + 2 * side),
        words=place_words(frame, design.words),
        watermark=place_watermark(frame),
        qp_offset=QP_OFFSET,
        ring=ring,
    )


def _ring(design: Design, frame: Frame, x: float, y: float) -> RingPlace:
    unit = frame.unit
    room = int(2 * math.pi * design.start * unit / MIN_PITCH) // 2 * 2
    spokes = min(design.spokes, room)
    return RingPlace(
        x=x,
        y=y,
        cover=round(design.cover * unit),
        start=design.start * unit,
        longest=design.longest * unit,
        spokes=spokes,
        width=min(design.width * unit * design.spokes / spokes, design.longest * unit / 2),
        arc=design.arc * unit,
        arc_width=max(design.arc_width * unit, 1.0),
    )


def _distances(ring: RingPlace, box: Box) -> Floats:
    """Return the distance of each pixel of a box from the centre of the ring."""
    x = np.arange(box.left, box.right, dtype=np.float32) + np.float32(0.5 - ring.x)
    y = np.arange(box.top, box.bottom, dtype=np.float32) + np.float32(0.5 - ring.y)
    distances: Floats = np.hypot(x[None], y[:, None])
    return distances


def _fade_around(box: Box, width: int, height: int, reach: float) -> Floats:
    """Return 0 in a box, and 1 from some distance on."""
    x = np.arange(width, dtype=np.float32) + np.float32(0.5)
    y = np.arange(height, dtype=np.float32) + np.float32(0.5)
    beside = np.maximum(np.maximum(box.left - x, x - box.right), 0)
    beyond = np.maximum(np.maximum(box.top - y, y - box.bottom), 0)
    faded: Floats = np.clip(np.hypot(beside[None], beyond[:, None]) / np.float32(reach), 0, 1)
    return faded
