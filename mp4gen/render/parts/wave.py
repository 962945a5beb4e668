"""Draw a smooth curve through the bands, mirrored below its axis, over a slower one behind.

Each half is drawn with tables: a column of pixels depends only on the height of the curve there
and on its slope, so that a frame looks up its columns and blends them with three colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mp4gen.render.canvas import SCALES
from mp4gen.render.colour import Bytes, Floats, Integers, oklch_to_rgb, rgb_to_levels
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run, smooth_bands

from .wave_curve import Columns, highest_of, smoothed
from .wave_profile import BACK_SCALE, GLOW_REACH, STRETCHES, Profile

# Sums of three products of two bytes: all that a pixel is blended from.
Sums = NDArray[np.uint16]

DOWN_SHARE, DOWN_LINE_OPACITY = 0.62, 0.75
FILL_LIGHTNESS, FILL_CHROMA, SWEEP_DEGREES = 0.62, 0.17, 60.0
LINE_LIGHTNESS, LINE_CHROMA = 0.93, 0.06
BACK_DEGREES = -38.0
# Units by which the curve is wider than the frame on both sides.
OVERHANG = 20
FRONT_BLUR, BACK_BLUR = 0.8, 2.2


@frozen(eq=False)
class WavePlace:
    """Where the wave lies, in pixels.

    Attributes:
        axis: the even row between the halves.
        up: height of a full wave above the axis.
        top: even row at which the drawing begins.
        bottom: even row at which it ends.
    """

    axis: int
    up: float
    top: int
    bottom: int


def reach_of(up: float, unit: float) -> tuple[int, int]:
    """Return how many rows above and below its axis a wave of this height can change."""
    light = GLOW_REACH * unit
    above, below = (max(BACK_SCALE * full, full + light) for full in (up, up * DOWN_SHARE))
    return math.ceil(above), math.ceil(below)


class Wave:
    """The wave from the left to the right edge of the frame."""

    def __init__(self, stage: Stage, place: WavePlace) -> None:
        layout = stage.spec.layout
        self._fps = float(stage.spec.fps)
        self.boxes: Sequence[Box] = (Box(0, place.top, layout.width, place.bottom),)
        self._columns = Columns(layout.width, layout.bands, OVERHANG * layout.unit)
        up = Box(0, place.top, layout.width, place.axis)
        down = Box(0, place.axis, layout.width, place.bottom)
        self._halves = (
            _Half(stage, up, place.up, upwards=True),
            _Half(stage, down, place.up * DOWN_SHARE, upwards=False),
        )

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Draw the frames; the slow wave changes in those of `slow_updates` only."""
        heights = np.concatenate([run.before, run.heights])
        front, back = smoothed(heights, self._fps), highest_of(heights, self._fps)
        fronts, backs = (
            self._columns.curves(smooth_bands(each[-run.glows.size :], radius))
            for each, radius in ((front, FRONT_BLUR), (back * np.float32(BACK_SCALE), BACK_BLUR))
        )
        for each, behind, slow_update in zip(fronts, backs, slow_updates.tolist(), strict=True):
            for half in self._halves:
                if slow_update:
                    half.draw_back(behind)
                half.draw_front(each)
            yield


class _Half:
    """The wave above or below the axis; rows are counted from the axis."""

    def __init__(self, stage: Stage, box: Box, full: float, *, upwards: bool) -> None:
        layout, hue = stage.spec.layout, stage.spec.accent.hue
        strength = stage.spec.accent.strength
        # Finer levels are not visible.
        self._step = 0.5 if layout.unit <= 1.5 else 1.0
        self._full = full
        profile = Profile(full, self._step, box.height, layout.unit)
        line_opacity = 1.0 if upwards else DOWN_LINE_OPACITY
        hues = hue + np.linspace(-0.5, 0.5, layout.width) * SWEEP_DEGREES
        colours = [
            rgb_to_levels(oklch_to_rgb(lightness, chroma * strength, hues + shift))
            for lightness, chroma, shift in (
                (FILL_LIGHTNESS, FILL_CHROMA, 0.0),
                (LINE_LIGHTNESS, LINE_CHROMA, 0.0),
                (FILL_LIGHTNESS, FILL_CHROMA, BACK_DEGREES),
            )
        ]
        tables = profile.front(line_opacity), profile.back()
        self._planes = []
        for plane, view in enumerate(stage.canvas.view(box)):
            across = [colour[:: SCALES[plane], plane] for colour in colours]
            self._planes.append(_Plane(view[::-1] if upwards else view, across, tables, plane))
        self._levels, self._back_levels = profile.levels, profile.back_levels

    def draw_back(self, curve: Floats) -> None:
        """Draw the slow wave with heights (columns,) from 0 to 1, under what comes next."""
        levels = np.rint(curve * np.float32(self._full / self._step)).astype(np.int64)
        np.minimum(levels, self._back_levels - 1, out=levels)
        for plane in self._planes:
            plane.draw_back(levels)

    def draw_front(self, curve: Floats) -> None:
        """Draw the wave with heights (columns,) from 0 to 1."""
        slope = np.gradient(curve) * np.float32(self._full)
        stretches = np.searchsorted(STRETCHES[1:], np.hypot(slope, 1))
        levels = np.rint(curve * np.float32(self._full / self._step)).astype(np.int64)
        rows = stretches * self._levels + np.minimum(levels, self._levels - 1)
        for plane in self._planes:
            plane.draw_front(rows)


class _Plane:
    """One plane of a half, stored in columns, since the tables hold columns."""

    def __init__(
        self,
        view: Bytes,
        colours: list[Floats],
        tables: tuple[Floats, Floats],
        plane: int,
    ) -> None:
        self._view, self._scale = view, SCALES[plane]
        self._background: Sums = np.ascontiguousarray(view.T).astype(np.uint16)
        self._behind = self._background
        self._fill, self._line, self._slow = (
            np.rint(each).astype(np.uint16)[:, None] for each in colours
        )
        front, back = (
            table.reshape(*table.shape[:-1], -1, SCALES[plane]).mean(axis=-1) for table in tables
        )
        line = np.rint(front[0] * 256).astype(np.uint16)
        covered = np.rint(front[1] * 256).astype(np.uint16)
        self._line_table, self._fill_table, self._rest_table = line, covered - line, 256 - covered
        self._back_table = np.rint(back * 256).astype(np.uint16)

    def draw_back(self, levels: Integers) -> None:
        share = self._back_table.take(levels[:: self._scale], axis=0)
        self._behind = (self._background * (256 - share) + self._slow * share + 128) >> 8

    def draw_front(self, rows: Integers) -> None:
        each = rows[:: self._scale]
        mixed = self._behind * self._rest_table.take(each, axis=0)
        mixed += self._fill * self._fill_table.take(each, axis=0)
        mixed += self._line * self._line_table.take(each, axis=0)
        mixed += 128
        mixed >>= 8
        self._view[:] = mixed.T
