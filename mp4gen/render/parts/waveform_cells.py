"""Draw the cells of a waveform in one plane. Knows nothing of music.

Every column is in a cell of the same even width. The pixels of a cell at each height are drawn
once; a frame only blends the few cells that move.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen

from mp4gen.render.canvas import SCALES
from mp4gen.render.colour import Bytes, Floats, Integers, Reals, rgb_to_levels
from mp4gen.render.easing import ease
from mp4gen.render.layout import Box

# Opacities of a column above and below the axis.
PLAYED, TO_COME = (1.0, 0.5), (0.30, 0.13)
# How far a column may grow, as a share of its height.
GROWTH = 0.28
# Of the light: its opacity, and the multiple of its width and height at which it has faded out.
LIGHT_OPACITY, LIGHT_END = 0.40, 2.2
# Heights that are drawn: finer steps are not visible.
MAX_STEPS = 160

WHITE = rgb_to_levels(np.ones(3, np.float32))


@frozen(eq=False, kw_only=True)
class WaveformPlace:
    """Where a waveform lies, in pixels.

    Attributes:
        box: all that it can change, even.
        left: even left edge of the first column's cell.
        pitch: even width of a cell.
        count: number of columns.
        axis: even row below the upper columns.
        up: height of a full column at rest.
        down: the same below the axis.
        column: width of a column.
        gap: free rows around the axis.
        light_width: distance at which the light has fallen to a third.
        light_height: the same above and below the axis.
    """

    box: Box
    left: int
    pitch: int
    count: int
    axis: int
    up: float
    down: float
    column: float
    gap: float
    light_width: float
    light_height: float

    @property
    def rows(self) -> tuple[int, int]:
        """The even first row of the highest column, and the even row below the lowest."""
        top = self.axis - math.ceil(self.up * (1 + GROWTH)) - 1
        bottom = self.axis + math.ceil(self.down * (1 + GROWTH)) + 1
        return top // 2 * 2, -(-bottom // 2) * 2


class Steps:
    """The heights that are drawn, in steps of about a pixel.

    Attributes:
        place: where the waveform lies.
    """

    def __init__(self, place: WaveformPlace) -> None:
        self.place = place
        # At rest a column is a dot.
        self._lowest, highest = place.gap / 2 + place.column / 2, place.up * (1 + GROWTH)
        count = max(min(round(highest), MAX_STEPS), 2)
        self._heights = np.linspace(self._lowest, highest, count, dtype=np.float32)
        self._size = float(self._heights[1] - self._heights[0])
        self._coverage = _coverage(place, self._heights)

    def nearest(self, heights: Floats) -> Integers:
        """Return the number of the step nearest to each height in pixels."""
        steps: Integers = np.rint((heights - self._lowest) / self._size).astype(np.int64)
        return np.maximum(steps, 0)

    def coverage(self, scale: int) -> Floats:
        """Return the share of each pixel of a cell that is covered, (rows, steps, columns)."""
        rows, steps, columns = self._coverage.shape
        blocks = self._coverage.reshape(rows // scale, scale, steps, columns // scale, scale)
        covered: Floats = blocks.mean(axis=(1, 4), dtype=np.float32)
        return covered


def _coverage(place: WaveformPlace, heights: Floats) -> Floats:
    y = np.arange(*place.rows, dtype=np.float32)[:, None, None] + np.float32(0.5 - place.axis)
    x = np.arange(place.pitch, dtype=np.float32) + np.float32(0.5 - place.pitch / 2)
    radius = place.column / 2
    below = np.maximum(heights * np.float32(place.down / place.up), place.gap / 2 + radius)
    ends = np.where(y < 0, heights[:, None], below[:, None])
    distance = np.hypot(np.maximum(np.abs(y) - (ends - radius), 0), x)
    covered: Floats = np.clip(radius + 0.5 - distance, 0, 1)
    covered *= np.clip(np.abs(y) - place.gap / 2 + 0.5, 0, 1)
    return covered.astype(np.float32)


@frozen(eq=False)
class Inks:
    """The colours in luma, blue and red: (columns, 3) of the played columns, (3,) of the light."""

    columns: Floats
    light: Floats


class Cells:
    """The waveform in one plane.

    Args:
        steps: the heights.
        plane: 0 for luma, 1 for blue, 2 for red.
        view: the waveform's box of the plane.
        base: what the box shows without the waveform, dithered and not rounded.
        inks: the colours.
    """

    def __init__(self, steps: Steps, plane: int, view: Bytes, base: Floats, inks: Inks) -> None:
        self._place = place = steps.place
        self._scale = scale = SCALES[plane]
        # A half more, because the canvas gets whole numbers without rounding.
        self._view, self._base = view, base + np.float32(0.5)
        self._lit = self._base.copy()
        self._pitch = place.pitch // scale
        self._left = (place.left - place.box.left) // scale
        first, end = (row - place.box.top for row in place.rows)
        self._rows = slice(first // scale, end // scale)
        self._white = WHITE[plane] + np.float32(0.5)
        self._colours = inks.columns[:, plane] + np.float32(0.5)
        coverage = steps.coverage(scale)
        is_above = np.arange(*place.rows, scale)[:, None, None] < place.axis
        self._played, self._to_come = (
            np.where(is_above, *map(np.float32, opacities)) * coverage
            for opacities in (PLAYED, TO_COME)
        )
        rows = np.arange(place.box.top, place.box.bottom, scale) + scale / 2
        falloff = _gaussian((rows - place.axis) / place.light_height)
        falloff *= _fade_out(rows, place)
        strength = (falloff * LIGHT_OPACITY).astype(np.float32)[:, None]
        self._more = (inks.light[plane] - base) * strength
        # The middle of each column of pixels, in the frame's pixels from the first cell.
        self._x = (np.arange(base.shape[1]) + 0.5) * scale - (place.left - place.box.left)

    def light_up(self, column: int, first: int, end: int) -> None:
        """Put the light around a column, and draw the background of the cells first to end."""
        edges = (self._left + cell * self._pitch for cell in (first, end))
        whole = slice(*(max(edge, 0) for edge in edges))
        middle = (column + 0.5) * self._place.pitch
        across = _gaussian((self._x[whole] - middle) / self._place.light_width).astype(np.float32)
        self._lit[:, whole] = self._base[:, whole] + self._more[:, whole] * across
        self._view[:, whole] = self._lit[:, whole]

    def draw(self, first: int, steps: Integers, share: float) -> None:
        """Draw some cells, each at a height; `share` of each is played."""
        rows, left = self._rows, self._left + first * self._pitch
        across = slice(left, left + steps.size * self._pitch)
        lit = self._lit[rows, across].reshape(-1, steps.size, self._pitch)
        drawn = lit.copy()
        played = self._played, self._colours[first : first + steps.size, None], share
        to_come = self._to_come, self._white, 1 - share
        for table, colours, weight in (played, to_come):
            if weight:
                covered = table.take(steps, axis=1)
                covered *= (colours - lit) * np.float32(weight)
                drawn += covered
        self._view[rows, across] = drawn.reshape(-1, steps.size * self._pitch)


def _gaussian(distance: Reals) -> Reals:
    fade = np.clip((LIGHT_END - np.abs(distance)) / 0.5, 0, 1)
    shape: Reals = np.exp(-np.square(distance)) * fade
    return shape


def _fade_out(rows: Reals, place: WaveformPlace) -> Reals:
    """Return 1 inside the box, and less towards its upper and lower edge."""
    nearest = np.minimum(rows - place.box.top, place.box.bottom - rows)
    return ease(nearest / (place.light_height / 2))
