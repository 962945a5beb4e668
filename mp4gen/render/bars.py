"""The bars and their reflection: all their states are drawn once, a frame only looks them up.

A bar crosses each row in one of a few ways: not at all, in full, or with a slice of its round
cap. For every way the row's pixels are kept ready, so a frame costs a handful of array
operations over the rows that changed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .backdrop import rounded
from .canvas import Canvas, Planes
from .colour import Bytes, Floats, planes_of
from .layout import Box, Layout

SUPERSAMPLES = 8
REFLECTION_SHARE, REFLECTION_OPACITY, REFLECTION_GAP = 0.28, 0.27, 6
REFLECTION_LEVELS = 40

States = NDArray[np.int16]

Integers = NDArray[np.int64]


class Cells:
    """Ready-made pixels for a grid of rows and bars in one plane.

    Args:
        canvas: to draw on.
        plane: 0 luma, 1 blue, 2 red.
        rows: the plane's rows.
        lefts: each bar's first column in the plane.
        table: (states, rows, bars, columns) pixels.
    """

    def __init__(
        self, canvas: Canvas, plane: int, rows: Integers, lefts: Integers, table: Bytes
    ) -> None:
        states, height, bars, columns = table.shape
        self._items = canvas.items(plane, columns)
        self._places = (rows[:, None] * canvas.lines[plane] + lefts[None]).reshape(-1)
        self._table = table.reshape(states, height * bars * columns).view(f"V{columns}").reshape(-1)
        self._count = height * bars
        self._state = np.full(self._count, -1, np.int16)

    def show(self, state: States) -> None:
        """Bring every cell, (rows, bars), into its state; those that are in it cost nothing."""
        wanted = state.reshape(-1)
        changed = (wanted != self._state).nonzero()[0]
        if changed.size:
            chosen = wanted.take(changed).astype(np.int64)
            chosen *= self._count
            chosen += changed
            self._items[self._places.take(changed)] = self._table.take(chosen)
            self._state = wanted


class Bars:
    """All bars of the picture.

    Args:
        canvas: to draw on, the ground already there.
        ground: the ground as sRGB floats.
        layout: where the bars are.
        colours: one sRGB colour a bar.
    """

    def __init__(self, canvas: Canvas, ground: Floats, layout: Layout, colours: Floats) -> None:
        self._layout = layout
        self._cap = -(-layout.bar_width // 2)
        self._gap = layout.px(REFLECTION_GAP)
        self._length = layout.px(layout.bars_height * REFLECTION_SHARE / layout.unit)
        self._steps = min(REFLECTION_LEVELS, layout.bars_height)
        box = self._box()
        area = ground[box.top : box.bottom, box.left : box.right].copy()
        self._draw_full(area, box, colours)
        full = planes_of(area)
        self._grids = [self._grid(canvas, plane, box, full) for plane in range(3)]
        self._mirrors = [self._mirror(canvas, plane, box, full) for plane in range(3)]

    def show(self, heights: Floats, *, mirror: bool = True) -> None:
        """Draw the bars, each from 0 (a dot) to 1 (full), with their reflection or without."""
        layout = self._layout
        span = layout.bars_height - layout.bar_width
        pixels = layout.bar_width + heights * np.float32(span)
        tops = (layout.bars_base - np.rint(pixels)).astype(np.int16)
        for cells, starts, most in self._grids:
            state = starts - tops
            cells.show(np.minimum(np.maximum(state, 0, out=state), most, out=state))
        if mirror:
            levels = np.rint(pixels * np.float32(self._steps / layout.bars_height))
            for cells, rows in self._mirrors:
                cells.show(np.repeat(levels.astype(np.int16)[None], rows, axis=0))

    def _box(self) -> Box:
        layout = self._layout
        return Box(
            int(layout.bars_left[0]),
            layout.bars_base - layout.bars_height,
            int(layout.bars_left[-1]) + layout.bar_width,
            layout.bars_base + self._gap + self._length,
        ).grown(4, layout.width, layout.height)

    def _draw_full(self, area: Floats, box: Box, colours: Floats) -> None:
        """Draw every bar at full height, square at the top, and its whole reflection."""
        layout, width = self._layout, self._layout.bar_width
        top = layout.bars_base - layout.bars_height - box.top
        base = layout.bars_base - box.top
        shape = rounded(width, layout.bars_height + width, width / 2)[
            -layout.bars_height :, :, None
        ]
        for left, colour in zip(layout.bars_left - box.left, colours, strict=True):
            bar = area[top:base, left : left + width]
            bar += (colour - bar) * shape
            mirror = area[base + self._gap : base + self._gap + self._length, left : left + width]
            mirror += (colour - mirror) * np.float32(REFLECTION_OPACITY)

    def _columns(self, plane: int) -> tuple[Integers, int]:
        """(each bar's first column, how many columns a bar touches at most) in a plane."""
        lefts, width = self._layout.bars_left, self._layout.bar_width
        return (lefts, width) if plane == 0 else (lefts // 2, width // 2 + 1)

    def _pixels(
        self, canvas: Canvas, plane: int, box: Box, full: Planes, rows: Integers
    ) -> tuple[Floats, Floats]:
        """(without bars, with full bars), each (rows, bars, columns)."""
        lefts, columns = self._columns(plane)
        scale = 1 if plane == 0 else 2
        across = lefts[:, None] + np.arange(columns)
        off = canvas.planes[plane][rows[:, None, None], across[None]].astype(np.float32)
        down, along = rows - box.top // scale, across - box.left // scale
        on = full[plane][down[:, None, None], along[None]].astype(np.float32)
        return off, on

    def _grid(
        self, canvas: Canvas, plane: int, box: Box, full: Planes
    ) -> tuple[Cells, States, np.int16]:
        layout, scale = self._layout, 1 if plane == 0 else 2
        top, base = layout.bars_base - layout.bars_height, layout.bars_base
        rows = np.arange(top // scale, -(-base // scale))
        off, on = self._pixels(canvas, plane, box, full, rows)
        states = scale + self._cap + 1
        table = np.empty((states, *off.shape), np.uint8)
        caps = self._caps(plane, states)
        for state in range(states):
            table[state] = np.rint(off + (on - off) * caps[state])
        lefts, _ = self._columns(plane)
        starts = (rows * scale + scale).astype(np.int16)[:, None]
        return Cells(canvas, plane, rows, lefts, table), starts, np.int16(states - 1)

    def _caps(self, plane: int, states: int) -> Floats:
        """How much of each pixel of a full bar is left, (states, bars, columns)."""
        scale = 1 if plane == 0 else 2
        lefts, columns = self._columns(plane)
        fine = (np.arange(columns * scale * SUPERSAMPLES) + 0.5) / SUPERSAMPLES
        x = fine[None] - (self._layout.bars_left - lefts * scale)[:, None]
        radius = self._layout.bar_width / 2
        within = (x >= 0) & (x < self._layout.bar_width)
        caps = np.zeros((states, lefts.size, columns), np.float32)
        whole = within.reshape(lefts.size, columns, -1).sum(axis=2)
        for state in range(1, states):
            y = state - scale + (np.arange(scale * SUPERSAMPLES) + 0.5) / SUPERSAMPLES
            rise = np.sqrt(np.maximum(radius**2 - np.maximum(radius - y, 0) ** 2, 0))
            inside = (np.abs(x - radius)[None] <= rise[:, None, None]) & (y >= 0)[:, None, None]
            covered = (inside & within).mean(axis=0).reshape(lefts.size, columns, -1).sum(axis=2)
            caps[state] = np.where(whole > 0, covered / np.maximum(whole, 1), 0)
        caps[-1] = whole > 0
        return caps

    def _mirror(self, canvas: Canvas, plane: int, box: Box, full: Planes) -> tuple[Cells, int]:
        scale = 1 if plane == 0 else 2
        start = self._layout.bars_base + self._gap
        rows = np.arange(-(-start // scale), (start + self._length) // scale)
        off, on = self._pixels(canvas, plane, box, full, rows)
        table = np.empty((self._steps + 1, *off.shape), np.uint8)
        down = ((rows + 0.5) * scale - start)[:, None, None]
        for level in range(self._steps + 1):
            length = max(self._length * level / self._steps, 1.0)
            table[level] = np.rint(off + (on - off) * np.clip(1 - down / length, 0, 1))
        lefts, _ = self._columns(plane)
        return Cells(canvas, plane, rows, lefts, table), rows.size
