"""Draw the steps of lyrics: the lines beside the one being sung, that line, and how it is lit."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from PIL import Image, ImageDraw

from mp4gen.render.background import TEXT_SHADOW
from mp4gen.render.canvas import SCALES
from mp4gen.render.colour import Floats, oklch_to_rgb, rgb_to_levels
from mp4gen.render.layout import Box, LyricPlaces, around
from mp4gen.render.looks.look import Stage
from mp4gen.render.parts.words import FAINT_CONTRAST, LYRICS_OPACITY
from mp4gen.render.scrim import contrast_of
from mp4gen.render.text import OVERSAMPLING, Line

from .pictures import (
    FloatPlanes,
    Ink,
    Picture,
    Reading,
    draw_ink,
    lay_over,
    light_of,
    place_line,
)
from .plan import WEIGHT, Cue, LyricsPlan
from .timing import Step

CURRENT_OPACITY = 0.98
# Colours of what has been sung: degrees of hue from the accent, along the line.
SUNG_LIGHTNESS, SUNG_CHROMA, SUNG_HUES = 0.84, 0.145, (-18.0, 26.0)
# Shares of the letters' size: the soft edge of the light, and the glow around what has been sung.
SOFT_EDGE, GLOW_RADIUS, GLOW_ROOM, GLOW_STRENGTH = 0.42, 0.14, 0.4, 0.34
_BLACK = rgb_to_levels(np.zeros(3, np.float32))
# The shadow of letters over a picture reaches this many sigmas.
_SHADOW_REACH = 2.5
DOT_OPACITY = 0.3
_DOTS, _DOT_RADIUS, _DOT_PITCH = 3, 0.15, 0.55
# The sweep stands at quarters of a pixel.
_STEPS = 4


@frozen
class Sweep:
    """Where the light stands: seconds, and the places in reading order at these seconds."""

    seconds: tuple[float, ...]
    places: tuple[float, ...]

    def place_at(self, seconds: float) -> float:
        """Return the place at a time."""
        place = float(np.interp(seconds, self.seconds, self.places))
        return round(place * _STEPS) / _STEPS


@frozen(eq=False)
class Shown:
    """A step of the schedule, drawn; without a sweep, `light` are the seconds that light it all."""

    picture: Picture
    sweep: Sweep | None
    light: tuple[float, float]

    def shares_at(self, seconds: float) -> list[Floats]:
        """Return how far each column of each row is lit at a time."""
        if self.sweep is not None:
            return self.picture.shares(self.sweep.place_at(seconds))
        begin, end = self.light
        return self.picture.even_shares(min(max((seconds - begin) / max(end - begin, 1e-6), 0), 1))


class StepDrawer:
    """Draws the steps of a plan in the box of the lyrics.

    Args:
        stage: shows all that is still.
        plan: the lyrics.
        places: where they stand.
    """

    def __init__(self, stage: Stage, plan: LyricsPlan, places: LyricPlaces) -> None:
        self._plan, self._places, self._typesetter = plan, places, stage.typesetter
        self._accent, self._shadow = stage.spec.accent, stage.spec.background.text_shadow
        luma, blue, red = (plane.astype(np.float32) for plane in stage.canvas.view(places.box))
        self._ground: FloatPlanes = luma, blue, red
        self._quiet_opacity = quiet_opacity(stage.pixels[places.box.slices])
        self._block = places.box.relative_to(places.box)
        self._line = functools.lru_cache(maxsize=8)(self._draw_line)

    def draw(self, number: int) -> Shown:
        """Draw a step of the schedule."""
        step = self._plan.schedule.steps[number]
        planes = self._ground[0].copy(), self._ground[1].copy(), self._ground[2].copy()
        for other, base in (
            (step.past, self._places.past_base),
            (step.following, self._places.next_base),
        ):
            if other is not None:
                cue = self._plan.cues[other]
                ink = self._ink(cue.quiet, cue.quiet_size, base, 0.0)
                self._draw_shadow(planes, ink, cue.quiet_size)
                draw_ink(planes, ink, self._quiet_opacity)
        if step.current is not None:
            return self._draw_current(planes, self._plan.cues[step.current], step.current)
        return self._draw_dots(planes, step)

    def _draw_current(self, planes: FloatPlanes, cue: Cue, number: int) -> Shown:
        bases = self._bases(cue)
        inks = [
            self._ink(row, cue.size, base, GLOW_ROOM)
            for row, base in zip(cue.rows, bases, strict=True)
        ]
        for ink in inks:
            self._draw_shadow(planes, ink, cue.size)
        reading = Reading()
        places = self._read_rows(cue, around([ink.box for ink in inks]), reading)
        soft = cue.size * SOFT_EDGE
        picture = self._picture(planes, inks, reading, soft, CURRENT_OPACITY)
        seconds = self._plan.schedule.sweeps[number]
        if not cue.line.words:
            return Shown(picture, None, (seconds[0], seconds[-1]))
        return Shown(picture, _sweep(seconds, places.tolist(), reading.length, soft), (0.0, 0.0))

    def _bases(self, cue: Cue) -> Sequence[float]:
        """Return the baselines of the rows of a line; smaller rows stand closer together."""
        places = self._places
        if len(cue.rows) == 1:
            return (places.base,)
        first, second = places.two_row_bases
        moved = (second - first) / 2 * (1 - cue.size / places.two_row_size)
        return first + moved, second - moved

    def _read_rows(self, cue: Cue, box: Box, reading: Reading) -> Floats:
        """Add the rows of a line to a reading; return where its words begin and the last ends."""
        ends = [0, *itertools.accumulate(len(word.text) for word in cue.line.words)]
        places = np.zeros(len(ends), np.float32)
        start = 0
        for row in cue.rows:
            start = cue.line.text.index(row, start)
            cuts = [min(max(end - start, 0), len(row)) for end in ends]
            parts = sorted({*cuts, len(row)} - {0})
            spans = self._typesetter.spans(row, cue.size, WEIGHT, parts)
            left = self._left(row, cue.size) - box.left
            known = dict(zip(parts, reading.add_row(spans, left, box.width), strict=True))
            # A word that ends in this row, or in a row before it, has no part of later rows.
            places = np.maximum(places, [known.get(cut, 0.0) for cut in cuts])
            start += len(row)
        return places

    def _draw_dots(self, planes: FloatPlanes, step: Step) -> Shown:
        size = self._places.size
        line, ends = _dots(size)
        x = self._start(line.advance)
        base = self._places.base - size * 0.18
        ink = place_line(line, x, base - self._places.box.top, round(size * GLOW_ROOM), self._block)
        reading = Reading()
        spans = list(itertools.pairwise([0.0, *ends]))
        if self._places.is_rtl:
            spans = [(line.advance - begin, line.advance - end) for begin, end in spans]
        known = reading.add_row([[span] for span in spans], x - ink.box.left, ink.box.width)
        soft = size * _DOT_RADIUS
        picture = self._picture(planes, [ink], reading, soft, DOT_OPACITY)
        begin, end = step.dots or (0.0, 0.0)
        seconds = np.linspace(begin, end, _DOTS + 1).tolist()
        return Shown(picture, _sweep(seconds, [0.0, *known], reading.length, soft), (0.0, 0.0))

    def _picture(
        self,
        planes: FloatPlanes,
        inks: Sequence[Ink],
        reading: Reading,
        soft: float,
        opacity: float,
    ) -> Picture:
        box = around([ink.box for ink in inks])
        dim = _copy(planes)
        for ink in inks:
            draw_ink(dim, ink, opacity)
        rows: list[tuple[FloatPlanes, Floats]] = []
        for ink, order in zip(inks, reading.orders, strict=True):
            lit = _copy(planes)
            for other in inks:
                if other is not ink:
                    draw_ink(lit, other, opacity)
            self._draw_sung(lit, ink, box)
            rows.append((_difference(lit, dim, box), order))
        luma, blue, red = (np.rint(plane).astype(np.uint8) for plane in dim)
        return Picture((luma, blue, red), box, tuple(rows), soft, reading.length)

    def _draw_sung(self, planes: FloatPlanes, ink: Ink, box: Box) -> None:
        """Draw letters in the colours of what has been sung, with their glow."""
        columns = np.arange(ink.box.left, ink.box.right) - box.left
        share = columns / max(box.width, 1)
        share = 1 - share if self._places.is_rtl else share
        hues = self._accent.hue + SUNG_HUES[0] + (SUNG_HUES[1] - SUNG_HUES[0]) * share
        chroma = SUNG_CHROMA * self._accent.strength
        colours = rgb_to_levels(oklch_to_rgb(SUNG_LIGHTNESS, chroma, hues))
        glow = light_of(ink, self._places.size * GLOW_RADIUS, GLOW_STRENGTH)
        lay_over(planes, ink.box, glow, colours)
        letters = colours if ink.colours is None else ink.colours
        lay_over(planes, ink.box, ink.alpha * np.float32(CURRENT_OPACITY), letters)

    def _draw_shadow(self, planes: FloatPlanes, ink: Ink, size: float) -> None:
        sigma = self._shadow(size)
        if sigma:
            lay_over(planes, ink.box, light_of(ink, sigma, TEXT_SHADOW), _BLACK)

    def _ink(self, text: str, size: float, base: float, room: float) -> Ink:
        """Place a row, with room around it for light and shadow, as a share of its size."""
        around = max(room * size, _SHADOW_REACH * self._shadow(size))
        line, y = self._line(text, size), base - self._places.box.top
        return place_line(line, self._left(text, size), y, round(around), self._block)

    def _draw_line(self, text: str, size: float) -> Line:
        return self._typesetter.line(text, size, WEIGHT)

    def _left(self, text: str, size: float) -> float:
        """Return where a row begins, in pixels of the block."""
        return self._start(self._line(text, size).advance)

    def _start(self, advance: float) -> float:
        places = self._places
        x = places.right - advance if places.is_rtl else places.left
        return x - places.box.left


def quiet_opacity(behind: Floats) -> float:
    """Return how opaque white letters must be, to be quiet but readable."""
    sample = behind[::8, ::8]
    opacity = LYRICS_OPACITY
    while opacity < CURRENT_OPACITY and contrast_of(sample, opacity) < FAINT_CONTRAST:
        opacity += 0.02
    return opacity


def _sweep(seconds: Sequence[float], places: Sequence[float], length: float, soft: float) -> Sweep:
    """Return the sweep through places, with nothing lit before it and all after it."""
    inner = [min(max(place, 0.0), length) for place in places[1:-1]]
    return Sweep(tuple(seconds), (-soft / 2, *inner, length + soft / 2))


def _dots(size: float) -> tuple[Line, list[float]]:
    """Return three dots as a line, and where the room of each ends."""
    radius, pitch = size * _DOT_RADIUS, size * _DOT_PITCH
    height, width = round(2 * radius) + 4, round(2 * pitch + 2 * radius) + 4
    large = Image.new("L", (width * OVERSAMPLING, height * OVERSAMPLING), 0)
    draw = ImageDraw.Draw(large)
    for number in range(_DOTS):
        left = (number * pitch) * OVERSAMPLING
        draw.ellipse(
            (left, 2, left + 2 * radius * OVERSAMPLING, 2 + 2 * radius * OVERSAMPLING), 255
        )
    image = Image.new("RGBA", (width, height), (255, 255, 255, 0))
    image.putalpha(large.resize((width, height), Image.Resampling.BOX))
    advance = 2 * pitch + 2 * radius
    ends = [min((number + 1) * pitch, advance) for number in range(_DOTS - 1)] + [advance]
    return Line(np.asarray(image), (0, round(radius)), advance), ends


def _copy(planes: FloatPlanes) -> FloatPlanes:
    return planes[0].copy(), planes[1].copy(), planes[2].copy()


def _difference(lit: FloatPlanes, dim: FloatPlanes, box: Box) -> FloatPlanes:
    found: list[Floats] = []
    for index, (one, other) in enumerate(zip(lit, dim, strict=True)):
        area = box.scaled_down(SCALES[index]).slices
        found.append(one[area] - other[area])
    return found[0], found[1], found[2]
