"""Draw the bars and their reflections. All states are drawn once; a frame only copies them.

A bar crosses each row in one of a few states: not at all, in full, or with a slice of its round
cap. The pixels of every state are precomputed, and the positions of a run of frames are computed
together. A frame then costs one copy a plane, over the rows that the bars' tops passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mp4gen.render.background import rounded
from mp4gen.render.canvas import SCALES, Canvas
from mp4gen.render.colour import Bytes, Floats, Integers, Planes, rgb_to_yuv420
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run

from .updates import frame_slices, hold

if TYPE_CHECKING:
    from mp4gen.render.looks.bars import BarsLayout

SUPERSAMPLES = 8
REFLECTION_SHARE, REFLECTION_OPACITY, REFLECTION_GAP = 0.28, 0.27, 6
REFLECTION_LEVELS = 24

Items = NDArray[np.void]


class _BarTops:
    """Moves the upper ends of the bars in planes of one scale: luma, or blue and red.

    Args:
        canvas: where to draw.
        tables: for each plane the pixels (rows, bars, states, columns).
        lefts: first column of each bar.
        first: first row of a full bar.
        cap: the frame's rows in a round end.
    """

    def __init__(
        self, canvas: Canvas, tables: dict[int, Bytes], lefts: Integers, first: int, cap: int
    ) -> None:
        planes = list(tables)
        rows, bars, states, columns = tables[planes[0]].shape
        self._items = [canvas.items(plane, columns) for plane in planes]
        self._tables = [_as_items(table, columns) for table in tables.values()]
        self._cap, self._max_state, self._bars = cap, states - 1, bars
        self._scale = SCALES[planes[0]]
        self._first, self._end = first, first + rows
        self._lefts, self._line_size, self._states = lefts, canvas.line_sizes[planes[0]], states

    def draw_frames(self, before: Integers, tops: Integers) -> Iterator[None]:
        """Move the tops from the rows `before` to the rows `tops`, one frame a step."""
        frames, bars = (tops != before).nonzero()
        old, new = before[frames, bars], tops[frames, bars]
        scale = self._scale
        first = np.maximum(np.minimum(old, new) // scale, self._first)
        end = np.minimum(-(-(np.maximum(old, new) + self._cap) // scale), self._end)
        counts = end - first
        sums = np.concatenate([[0], counts.cumsum()])
        # The n-th of all drawn rows is row n - sums[k] of the k-th bar that moved.
        down, start = np.arange(sums[-1]), sums[:-1]
        state = ((first + 1 - start) * scale - new).repeat(counts) + down * scale
        np.minimum(np.maximum(state, 0, out=state), self._max_state, out=state)
        state += ((first - self._first - start) * self._bars + bars).repeat(counts) * self._states
        state += down * (self._bars * self._states)
        place = (self._lefts.take(bars) + (first - start) * self._line_size).repeat(counts)
        place += down * self._line_size
        drawn = [table.take(state) for table in self._tables]
        for part in frame_slices(frames, tops.shape[0], sums):
            for items, pieces in zip(self._items, drawn, strict=True):
                items[place[part]] = pieces[part]
            yield


class _Reflection:
    """The reflections in one plane, each in proportion to its bar.

    `table` holds the pixels (levels, bars, rows, columns).
    """

    def __init__(
        self, canvas: Canvas, plane: int, rows: Integers, lefts: Integers, table: Bytes
    ) -> None:
        levels, bars, height, columns = table.shape
        self._bars = bars
        self._items = canvas.items(plane, columns)
        self._places = lefts[:, None] + rows[None] * canvas.line_sizes[plane]
        self._table = _as_items(table, columns).reshape(levels * bars, height)

    def draw_frames(self, before: Integers, levels: Integers) -> Iterator[None]:
        """Change the reflections from the levels `before` to `levels`, one frame a step."""
        frames, bars = (levels != before).nonzero()
        drawn = self._table.take(levels[frames, bars] * self._bars + bars, axis=0)
        place = self._places.take(bars, axis=0)
        for part in frame_slices(frames, levels.shape[0]):
            self._items[place[part]] = drawn[part]
            yield


class Bars:
    """All bars of a frame.

    Args:
        stage: where to draw.
        layout: position of the bars.
        colours: one sRGB colour a bar.
    """

    def __init__(self, stage: Stage, layout: BarsLayout, colours: Floats) -> None:
        self._canvas, self._layout = stage.canvas, layout
        self._cap = -(-layout.bar_width // 2)
        self._gap = layout.px(REFLECTION_GAP)
        self._length = layout.px(layout.bars_height * REFLECTION_SHARE / layout.unit)
        self._steps = min(REFLECTION_LEVELS, layout.bars_height)
        self._box = box = Box(
            int(layout.bar_lefts[0]),
            layout.bars_base - layout.bars_height,
            # All chroma samples of a bar that begins in an odd column.
            (int(layout.bar_lefts[-1]) // 2 + layout.bar_width // 2 + 1) * 2,
            layout.bars_base + self._gap + self._length,
        ).expanded(0, layout.width, layout.height)
        self.boxes: Sequence[Box] = (box,)
        area = stage.pixels[box.slices].copy()
        self._draw_full(area, colours)
        full = rgb_to_yuv420(area)
        self._bar_tops = [self._build_bar_tops(planes, full) for planes in ((0,), (1, 2))]
        self._reflections = [self._build_reflection(plane, full) for plane in range(3)]
        self._tops = np.full(layout.bar_lefts.size, layout.bars_base, np.int64)
        self._levels = np.full(layout.bar_lefts.size, -1, np.int64)

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Draw one frame a step, with heights from 0 (a dot) to 1 (full).

        The reflections change in the frames of `slow_updates` only.
        """
        layout, heights = self._layout, run.heights
        pixels = np.rint(layout.bar_width + heights * (layout.bars_height - layout.bar_width))
        tops = np.vstack([self._tops, (layout.bars_base - pixels).astype(np.int64)])
        levels = np.rint(pixels * (self._steps / layout.bars_height)).astype(np.int64)
        levels = hold(np.vstack([self._levels, levels]), slow_updates)
        moves = [tips.draw_frames(tops[:-1], tops[1:]) for tips in self._bar_tops]
        moves += [mirror.draw_frames(levels[:-1], levels[1:]) for mirror in self._reflections]
        for self._tops, self._levels, *_ in zip(tops[1:], levels[1:], *moves, strict=True):
            yield

    def _draw_full(self, area: Floats, colours: Floats) -> None:
        """Draw every bar at full height, square at the top, and its whole reflection."""
        box, layout, width = self._box, self._layout, self._layout.bar_width
        top = layout.bars_base - layout.bars_height - box.top
        base = layout.bars_base - box.top
        shape = rounded(width, layout.bars_height + width, width / 2)[-layout.bars_height :]
        below = slice(base + self._gap, base + self._gap + self._length)
        for left, colour in zip(layout.bar_lefts - box.left, colours, strict=True):
            bar = area[top:base, left : left + width]
            bar += (colour - bar) * shape[..., None]
            reflection = area[below, left : left + width]
            reflection += (colour - reflection) * np.float32(REFLECTION_OPACITY)

    def _columns(self, plane: int) -> tuple[Integers, int]:
        """Return (first column of each bar, largest number of columns of a bar) in a plane."""
        lefts, width = self._layout.bar_lefts, self._layout.bar_width
        return (lefts, width) if plane == 0 else (lefts // 2, width // 2 + 1)

    def _pixels(self, plane: int, full: Planes, rows: Integers) -> tuple[Floats, Floats]:
        """Return the pixels (rows, bars, columns) without bars, and with full bars."""
        lefts, columns = self._columns(plane)
        box, scale = self._box, SCALES[plane]
        across = lefts[:, None] + np.arange(columns)
        off = self._canvas.planes[plane][rows[:, None, None], across[None]].astype(np.float32)
        down, along = rows - box.top // scale, across - box.left // scale
        on = full[plane][down[:, None, None], along[None]].astype(np.float32)
        return off, on

    def _build_bar_tops(self, planes: tuple[int, ...], full: Planes) -> _BarTops:
        layout, scale = self._layout, SCALES[planes[0]]
        top, base = layout.bars_base - layout.bars_height, layout.bars_base
        rows = np.arange(top // scale, -(-base // scale))
        caps = self._caps(planes[0], scale + self._cap + 1).transpose(1, 0, 2)
        tables = {}
        for plane in planes:
            off, on = (ends[:, :, None] for ends in self._pixels(plane, full, rows))
            tables[plane] = np.rint(off + (on - off) * caps).astype(np.uint8)
        lefts, _ = self._columns(planes[0])
        return _BarTops(self._canvas, tables, lefts, top // scale, self._cap)

    def _caps(self, plane: int, states: int) -> Floats:
        """Return the share of each pixel of a full bar in each state, (states, bars, columns)."""
        scale = SCALES[plane]
        lefts, columns = self._columns(plane)
        fine = (np.arange(columns * scale * SUPERSAMPLES) + 0.5) / SUPERSAMPLES
        x = fine[None] - (self._layout.bar_lefts - lefts * scale)[:, None]
        radius = self._layout.bar_width / 2
        within = (x >= 0) & (x < self._layout.bar_width)
        caps = np.zeros((states, lefts.size, columns), np.float32)
        total = within.reshape(lefts.size, columns, -1).sum(axis=2)
        for state in range(1, states):
            y = state - scale + (np.arange(scale * SUPERSAMPLES) + 0.5) / SUPERSAMPLES
            rise = np.sqrt(np.maximum(radius**2 - np.maximum(radius - y, 0) ** 2, 0))
            inside = (np.abs(x - radius)[None] <= rise[:, None, None]) & (y >= 0)[:, None, None]
            covered = (inside & within).mean(axis=0).reshape(lefts.size, columns, -1).sum(axis=2)
            caps[state] = np.where(total > 0, covered / np.maximum(total, 1), 0)
        caps[-1] = total > 0
        return caps

    def _build_reflection(self, plane: int, full: Planes) -> _Reflection:
        scale = SCALES[plane]
        start = self._layout.bars_base + self._gap
        rows = np.arange(-(-start // scale), (start + self._length) // scale)
        off, on = (ends.transpose(1, 0, 2) for ends in self._pixels(plane, full, rows))
        table = np.empty((self._steps + 1, *off.shape), np.uint8)
        down = ((rows + 0.5) * scale - start)[:, None]
        for level in range(self._steps + 1):
            length = max(self._length * level / self._steps, 1.0)
            table[level] = np.rint(off + (on - off) * np.clip(1 - down / length, 0, 1))
        return _Reflection(self._canvas, plane, rows, self._columns(plane)[0], table)


def _as_items(table: Bytes, columns: int) -> Items:
    """View each row along the table's last axis as one item."""
    return np.ascontiguousarray(table).reshape(-1).view(f"V{columns}")
