"""Light up the pixels of elements, such as spokes, one after the other as the elements rise.

The pixels of each element are sorted along its direction once, with their values in every state:
off, some steps of its soft end, on. A frame then changes only those that its end has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mp4gen.render.canvas import SCALES, Canvas
from mp4gen.render.colour import Bytes, Floats, Integers, Planes
from mp4gen.render.layout import Box

from .updates import frame_slices

# Steps of an element's end for each pixel: finer ones are not visible.
STEPS_PER_PIXEL = 4


@frozen(eq=False)
class Strokes:
    """Strokes with round ends, as the points of some plane's pixels in them.

    Attributes:
        elements: (pixels,) the stroke of each pixel.
        along: (pixels, points) distance from the centre of the stroke's first end, in the frame's
            pixels. A pixel of a smaller plane has several points.
        across: (pixels, points) distance from the middle of the stroke.
        width: width of a stroke in the frame's pixels.
        count: number of strokes.
    """

    elements: Integers
    along: Floats
    across: Floats
    width: float
    count: int

    def coverage(self, ends: Floats) -> Floats:
        """Return the share of each pixel that is covered, if the strokes end at some distances."""
        beyond = np.maximum(np.maximum(self.along - ends[:, None], -self.along), 0)
        distance = np.hypot(beyond, self.across)
        covered: Floats = np.clip(0.5 + self.width / 2 - distance, 0, 1).mean(axis=1)
        return covered


class RisingPixels:
    """The pixels of strokes in one plane.

    Args:
        canvas: where to draw; it shows the plane without strokes.
        plane: 0 for luma, 1 for blue, 2 for red.
        pixels: (rows, columns) of the pixels in the plane.
        lit: (pixels,) value of each pixel where a stroke covers it.
        strokes: where the pixels lie.
    """

    def __init__(
        self,
        canvas: Canvas,
        plane: int,
        pixels: tuple[Integers, Integers],
        lit: Bytes,
        strokes: Strokes,
    ) -> None:
        rows, columns = pixels
        reach = strokes.width / 2 + 0.5
        # At level 0 no pixel is lit.
        self._offset = int(np.ceil(2 * reach * STEPS_PER_PIXEL)) + 1
        nearest, farthest = strokes.along.min(axis=1), strokes.along.max(axis=1)
        first = np.floor((nearest - reach) * STEPS_PER_PIXEL).astype(np.int64) + self._offset
        keys = np.maximum(first, 0)
        spread = float((farthest - nearest).max(initial=0.0))
        states = int(np.ceil((2 * reach + spread) * STEPS_PER_PIXEL)) + 2
        order = np.lexsort((keys, strokes.elements))
        self._keys, self._states = keys[order], states
        off = canvas.planes[plane][rows, columns].astype(np.float32)
        table = np.empty((keys.size, states), np.uint8)
        for state in range(states):
            ends = ((keys + state - self._offset) / STEPS_PER_PIXEL).astype(np.float32)
            share = strokes.coverage(ends) if state else np.zeros(keys.size, np.float32)
            table[:, state] = np.rint(off + (lit - off) * share)
        self._table = table[order].reshape(-1)
        self._places = (rows * canvas.line_sizes[plane] + columns)[order]
        self._buffer = canvas.buffers[plane]
        self._bounds = self._find_bounds(strokes.elements[order], strokes.count)

    def levels(self, lengths: NDArray[np.floating]) -> Integers:
        """Return the levels of strokes whose ends are these lengths apart, in pixels."""
        levels: Integers = np.rint(lengths * STEPS_PER_PIXEL).astype(np.int64) + self._offset
        return levels

    def draw_frames(self, before: Integers, after: Integers) -> Iterator[None]:
        """Move the ends from the levels `before` (frames, strokes) to `after`, a frame a step."""
        frames, elements = (before != after).nonzero()
        old, new = before[frames, elements], after[frames, elements]
        top = self._bounds.shape[1] - 1
        first = np.clip(np.minimum(old, new) - self._states + 2, 0, top)
        start = self._bounds[elements, first]
        counts = self._bounds[elements, np.minimum(np.maximum(old, new), top)] - start
        sums = np.concatenate([[0], counts.cumsum()])
        index = (start - sums[:-1]).repeat(counts) + np.arange(sums[-1])
        state = new.repeat(counts) - self._keys.take(index)
        np.clip(state, 0, self._states - 1, out=state)
        values = self._table.take(index * self._states + state)
        places = self._places.take(index)
        for part in frame_slices(frames, after.shape[0], sums):
            self._buffer[places[part]] = values[part]
            yield

    def _find_bounds(self, elements: Integers, count: int) -> Integers:
        """Return the index of the first pixel of each element with each key or a higher one."""
        height = int(self._keys.max(initial=0)) + 2
        flat = elements * height + self._keys
        wanted = np.arange(count)[:, None] * height + np.arange(height)
        return np.searchsorted(flat, wanted.reshape(-1)).reshape(wanted.shape).astype(np.int64)


@frozen(eq=False)
class Grid:
    """The pixels of an even box in one plane.

    Attributes:
        rows: (height, width) row of each pixel in the plane.
        columns: (height, width) column of each pixel in the plane.
        x: (height, width, points) position in the frame of one or more points in each pixel.
        y: the same.
    """

    rows: Integers
    columns: Integers
    x: Floats
    y: Floats


def grid_of(box: Box, plane: int) -> Grid:
    """Return the pixels of a box."""
    scale = SCALES[plane]
    rows, columns = np.mgrid[box.scaled_down(scale).slices].astype(np.int64)
    inner = np.arange(scale) + 0.5
    down, right = (each.reshape(-1) for each in np.meshgrid(inner, inner, indexing="ij"))
    x = (columns[..., None] * scale + right).astype(np.float32)
    return Grid(rows, columns, x, (rows[..., None] * scale + down).astype(np.float32))


class StrokesOf(Protocol):
    """Finds the strokes in a grid."""

    def __call__(self, grid: Grid, /) -> tuple[NDArray[np.bool_], Strokes]:
        """Return (a mask of the grid's pixels in strokes, these pixels in the mask's order)."""
        ...


def rising_planes(
    canvas: Canvas, box: Box, lit: Planes, strokes_of: StrokesOf
) -> list[RisingPixels]:
    """Return the pixels of some strokes in all planes.

    Args:
        canvas: where to draw.
        box: all that the strokes cover.
        lit: the planes of the box, where strokes cover it.
        strokes_of: returns which pixels of a grid belong to the strokes, and where they lie.
    """
    planes = []
    for plane, values in enumerate(lit):
        grid = grid_of(box, plane)
        mask, strokes = strokes_of(grid)
        pixels = grid.rows[mask], grid.columns[mask]
        planes.append(RisingPixels(canvas, plane, pixels, values[mask], strokes))
    return planes
