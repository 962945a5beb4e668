"""The line that shows how much of the track has been played; draws nothing else.

Where its end is in each of a run of pictures is worked out at once, as for the bars.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .background import rounded
from .bars import Integers
from .canvas import Canvas, Planes
from .colour import Bytes, Floats
from .layout import Box, Layout


def progress_box(layout: Layout) -> Box:
    """All pixels that the line may touch."""
    return layout.progress.expanded(2, layout.width, layout.height)


def progress_rows(layout: Layout) -> tuple[slice, slice]:
    """The same as an index."""
    box = progress_box(layout)
    return slice(box.top, box.bottom), slice(box.left, box.right)


def draw_line(area: Floats, layout: Layout, opacity: float) -> None:
    """Draw the whole line in white on the pixels of its box, in place."""
    box, around = layout.progress, progress_box(layout)
    left, top = box.left - around.left, box.top - around.top
    shape = rounded(box.width, box.height, box.height / 2)[..., None]
    part = area[top : top + box.height, left : left + box.width]
    part += (1 - part) * (shape * np.float32(opacity))


class ProgressLine:
    """The line that fills up, its end round and moving by quarters of a pixel."""

    def __init__(self, canvas: Canvas, layout: Layout, filled: Planes) -> None:
        box = progress_box(layout)
        self._to = canvas.view(box)
        self._ahead: list[Bytes] = [plane.copy() for plane in self._to]
        more = [on.astype(np.float32) - off for on, off in zip(filled, self._ahead, strict=True)]
        # Off the line the two differ by their dither alone, and nothing there shall move.
        self._more = [np.where(np.abs(plane) > 1, plane, np.float32(0)) for plane in more]
        ready = zip(self._ahead, self._more, strict=True)
        self._done: list[Bytes] = [(off + on).astype(np.uint8) for off, on in ready]
        self._left = layout.progress.left - box.left
        self._length = layout.progress.width
        self._radius = radius = layout.progress.height / 2
        y = np.arange(box.height) + 0.5 - (layout.progress.top - box.top) - radius
        # How far each row's edge is behind the line's end.
        self._behind = radius - np.sqrt(np.maximum(radius**2 - y**2, 0))
        # Columns that hold the whole end, wherever between two of the colour's it stands.
        self._width = math.ceil(radius + 3) // 2 * 2 + 2
        self._first = 0

    def draw_frames(
        self, fractions: NDArray[np.float64], slow_updates: NDArray[np.bool_]
    ) -> Iterator[None]:
        """Fill the line up to a share of it, a picture a step, where `slow_updates` lets it move."""
        line = np.maximum(self._length * fractions[slow_updates], 2 * self._radius)
        ends = np.rint((self._left + line) * 4) / 4
        firsts = ((ends - self._radius - 0.5) // 2 * 2).astype(np.int64)
        np.minimum(firsts, self._to[0].shape[1] - self._width, out=firsts)
        tips, number = self._tips(ends, firsts), 0
        for slow_update in slow_updates.tolist():
            if slow_update:
                self._show(int(firsts[number]), [plane[:, number] for plane in tips])
                number += 1
            yield

    def _tips(self, ends: NDArray[np.float64], firsts: Integers) -> list[Bytes]:
        """The line's round end as it is drawn, (rows, pictures, columns) in each plane."""
        columns = firsts[:, None] + np.arange(self._width)
        edges = (ends[:, None] - columns)[None] - self._behind[:, None, None]
        coverage = np.clip(edges, 0, 1).astype(np.float32)
        rows = coverage[::2] + coverage[1::2]
        small = (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)
        drawn: list[Bytes] = []
        for plane, share in enumerate((coverage, small, small)):
            places = columns if plane == 0 else columns[:, ::2] // 2
            pixels = self._ahead[plane][:, places] + self._more[plane][:, places] * share
            drawn.append(np.rint(pixels).astype(np.uint8))
        return drawn

    def _show(self, first: int, tip: list[Bytes]) -> None:
        before, self._first = self._first, first
        filled = first >= before
        low, high = (before, first) if filled else (first, before + self._width)
        for plane, end in enumerate(tip):
            scale = 1 if plane == 0 else 2
            passed = slice(low // scale, high // scale)
            source = self._done if filled else self._ahead
            self._to[plane][:, passed] = source[plane][:, passed]
            self._to[plane][:, first // scale : first // scale + end.shape[1]] = end
