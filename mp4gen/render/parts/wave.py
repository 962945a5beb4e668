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
from mp4gen.render.colour import YUV_OFFSETS, Bytes, Floats, oklch_to_rgb, rgb_to_yuv
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run

Integers = NDArray[np.int64]
# Sums of three products of two bytes: all that a pixel is blended from.
Words16 = NDArray[np.uint16]

DOWN_SHARE, DOWN_LINE_OPACITY = 0.62, 0.75
FILL_LIGHTNESS, FILL_CHROMA, SWEEP_DEGREES = 0.62, 0.17, 60.0
LINE_LIGHTNESS, LINE_CHROMA = 0.93, 0.06
EDGE_OPACITY, AXIS_OPACITY, FILL_EXPONENT = 0.80, 0.10, 1.6
LINE_WIDTH = 2.4
# (Radius in units, opacity) of the light around the line.
GLOWS = (4.0, 0.50), (13.0, 0.22)
GLOW_REACH = 30
BACK_DEGREES, BACK_OPACITY, BACK_SCALE = -38.0, 0.42, 1.18
BACK_SECONDS, BACK_DECAY = 0.8, 0.73
SMOOTHING_SECONDS = 0.1
FRONT_BLUR, BACK_BLUR = 0.8, 2.2
# How much longer than thick the line is in a column, by its slope.
STRETCHES = np.array([1.0, 1.15, 1.35, 1.7, 2.2, 3.0, 4.5, 7.0])
MAX_GLOW_STRETCH = 2.0
OVERHANG, TAPER = 20, 0.085


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
        self._fps, self._bands = float(stage.spec.fps), layout.bands
        self.boxes: Sequence[Box] = (Box(0, place.top, layout.width, place.bottom),)
        self._columns = _Columns(layout.width, layout.bands, OVERHANG * layout.unit)
        up = Box(0, place.top, layout.width, place.axis)
        down = Box(0, place.axis, layout.width, place.bottom)
        self._halves = (
            _Half(stage, up, place.up, upwards=True),
            _Half(stage, down, place.up * DOWN_SHARE, upwards=False),
        )

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Draw the frames; the slow wave changes in those of `slow_updates` only."""
        heights = np.concatenate([run.before, run.heights])
        front, back = _smoothed(heights, self._fps), _highest(heights, self._fps)
        fronts, backs = (
            self._columns.curves(_blur(each[-run.glows.size :], radius))
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
        profile = _Profile(full, self._step, box.height, layout.unit)
        line_opacity = 1.0 if upwards else DOWN_LINE_OPACITY
        hues = hue + np.linspace(-0.5, 0.5, layout.width) * SWEEP_DEGREES
        colours = [
            rgb_to_yuv(oklch_to_rgb(lightness, chroma * strength, hues + shift)) + YUV_OFFSETS
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
        self._ground: Words16 = np.ascontiguousarray(view.T).astype(np.uint16)
        self._behind = self._ground
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
        self._behind = (self._ground * (256 - share) + self._slow * share + 128) >> 8

    def draw_front(self, rows: Integers) -> None:
        each = rows[:: self._scale]
        mixed = self._behind * self._rest_table.take(each, axis=0)
        mixed += self._fill * self._fill_table.take(each, axis=0)
        mixed += self._line * self._line_table.take(each, axis=0)
        mixed += 128
        mixed >>= 8
        self._view[:] = mixed.T


class _Profile:
    """Opacities of a column of pixels for each height of the curve, in steps of `step` pixels.

    Attributes:
        levels: number of heights of the front wave.
        back_levels: number of heights of the slow wave.
    """

    def __init__(self, full: float, step: float, rows: int, unit: float) -> None:
        self._step, self._unit = step, unit
        self._rows = np.arange(rows) + 0.5
        self.levels = math.ceil(full / step) + 1
        self.back_levels = math.ceil(BACK_SCALE * full / step) + 1

    def front(self, line_opacity: float) -> Floats:
        """Return the opacity of the line, and of all, (2, stretches x levels, rows)."""
        heights = (np.arange(self.levels, dtype=np.float64) * self._step)[:, None]
        fill = self._fill(heights)
        distance = np.abs(self._rows - heights)
        tables = [
            _front_opacities(fill, distance, stretch, self._unit, line_opacity)
            for stretch in STRETCHES
        ]
        return np.concatenate(tables, axis=1).astype(np.float32)

    def back(self) -> Floats:
        """Return the opacity of the slow wave, (levels, rows)."""
        heights = (np.arange(self.back_levels, dtype=np.float64) * self._step)[:, None]
        return (BACK_OPACITY / EDGE_OPACITY * self._fill(heights)).astype(np.float32)

    def _fill(self, heights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the opacity below the curve: faint at the axis, strong at the edge."""
        share = np.clip(self._rows / np.maximum(heights, 1e-6), 0, 1) ** FILL_EXPONENT
        below = np.clip(heights - self._rows + 0.5, 0, 1)
        filled: NDArray[np.float64] = AXIS_OPACITY + (EDGE_OPACITY - AXIS_OPACITY) * share
        return filled * below


def _front_opacities(
    fill: NDArray[np.float64],
    distance: NDArray[np.float64],
    stretch: float,
    unit: float,
    line_opacity: float,
) -> NDArray[np.float64]:
    half_width = max(LINE_WIDTH * unit, 1.0) / 2
    line = np.clip(half_width + 0.5 - distance / stretch, 0, 1) * line_opacity
    rest = 1 - fill
    for radius, opacity in GLOWS:
        away = distance / min(stretch, MAX_GLOW_STRETCH) / (radius * unit)
        rest *= 1 - opacity * line_opacity * np.exp(-(away**2) / 2)
    return np.stack([line, 1 - rest * (1 - line)])


class _Columns:
    """Curves through the bands, at every column of the frame."""

    def __init__(self, width: int, bands: int, overhang: float) -> None:
        pitch = (width + 2 * overhang) / bands
        places = ((np.arange(width) + 0.5 + overhang) / pitch - 0.5).clip(0, bands - 1.001)
        self._left = places.astype(np.int64)
        part = (places - self._left).astype(np.float32)
        square, cube = part**2, part**3
        # The weights of a cubic Hermite spline.
        self._weights = (
            2 * cube - 3 * square + 1,
            cube - 2 * square + part,
            3 * square - 2 * cube,
            cube - square,
        )
        edge = np.minimum(np.arange(width), np.arange(width)[::-1]) / width
        ends = np.clip(edge / TAPER, 0, 1)
        self._taper = (ends * ends * (3 - 2 * ends)).astype(np.float32)

    def curves(self, values: Floats) -> Floats:
        """Return a monotone cubic curve through each row of values, (rows, columns)."""
        slopes = _monotone_slopes(values)
        left, right = self._left, self._left + 1
        parts = (values[:, left], slopes[:, left], values[:, right], slopes[:, right])
        curve = sum(each * weight for each, weight in zip(parts, self._weights, strict=True))
        tapered: Floats = curve * self._taper
        return tapered


def _monotone_slopes(values: Floats) -> Floats:
    """Return slopes with which a cubic spline does not overshoot (Fritsch and Butland, 1984)."""
    steps = np.diff(values, axis=1)
    before, after = steps[:, :-1], steps[:, 1:]
    product = before * after
    slopes = np.zeros_like(values)
    total = before + after
    rising = product > 0
    slopes[:, 1:-1][rising] = 2 * product[rising] / total[rising]
    return slopes


def _smoothed(heights: Floats, fps: float) -> Floats:
    """Average each frame with those of the last tenth of a second, the latest most."""
    lags = np.arange(math.ceil(SMOOTHING_SECONDS * fps))
    weights = 1 - lags / (SMOOTHING_SECONDS * fps)
    return _lagged_sum(heights, weights / weights.sum())


def _lagged_sum(heights: Floats, weights: NDArray[np.float64]) -> Floats:
    total = heights * np.float32(weights[0])
    for lag, weight in enumerate(weights[1:].tolist(), start=1):
        total[lag:] += heights[:-lag] * np.float32(weight)
    return total


def _highest(heights: Floats, fps: float) -> Floats:
    """Return the highest of the last heights, the earlier ones sunk towards rest."""
    highest = heights.copy()
    for lag in range(1, round(BACK_SECONDS * fps)):
        sunk = heights[:-lag] * np.float32(math.exp(-lag / fps / BACK_DECAY))
        np.maximum(highest[lag:], sunk, out=highest[lag:])
    return highest


def _blur(heights: Floats, radius: float) -> Floats:
    """Smooth over neighbouring bands."""
    reach = math.ceil(2 * radius)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * radius**2))
    weights /= weights.sum()
    padded = np.pad(heights, ((0, 0), (reach, reach)), mode="edge")
    count = heights.shape[1]
    total = np.zeros_like(heights)
    for start, weight in enumerate(weights.tolist()):
        total += padded[:, start : start + count] * np.float32(weight)
    return total
