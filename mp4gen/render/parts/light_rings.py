"""Draw rings of light that spread from the cover, one for each onset of the music.

The pixels are sorted by their distance from the centre once, in short pieces of rows. The light
of a frame is a table by distance, which is looked up for those pieces alone whose light changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mp4gen.render.canvas import SCALES, Canvas
from mp4gen.render.colour import Accent, Floats, Integers, Reals, oklch_to_rgb, rgb_to_levels
from mp4gen.render.easing import ease
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run, onsets

SECONDS, MAX_RINGS = 1.6, 5
OPACITY, FALLOFF = 0.95, 0.9
# Units: the width of a ring at first and at last, and the reach of its glow and of its trail.
FIRST_WIDTH, LAST_WIDTH, GLOW, TRAIL = 3.0, 1.4, 10.0, 34.0
GLOW_OPACITY, TRAIL_OPACITY, TRAIL_END = 0.45, 0.34, 3.0
CORE_LIGHT, GLOW_LIGHT = (0.93, 0.06), (0.74, 0.14)
# Rings are brighter to the upper left.
MEAN_GAIN, MORE_GAIN = 0.62, 0.38
# How far from the cover they have all their light, as a share of its side.
COVER_SHADE = 0.08
MIN_GAIN = 0.01
# Distances in the table for each pixel, and the pixels of a piece, which are copied as one number.
RESOLUTION, PIECE = 4, 8
MAX_LUMA = 235


@frozen(eq=False)
class RingsPlace:
    """Where rings of light spread, in pixels.

    Attributes:
        x: centre.
        y: centre.
        first: radius of a new ring.
        last: radius at which it has vanished.
        fade: the rows between which all rings fade out, downwards.
        cover: around it the rings fade out.
        boxes: all that they can change, even; without the cover.
    """

    x: float
    y: float
    first: float
    last: float
    fade: tuple[float, float]
    cover: Box
    boxes: tuple[Box, ...]


class LightRings:
    """All rings.

    Args:
        stage: shows all that is still.
        place: where the rings spread.
    """

    def __init__(self, stage: Stage, place: RingsPlace) -> None:
        spec = stage.spec
        self.boxes: Sequence[Box] = place.boxes
        self._onsets = onsets(stage.features.levels, spec.fps)
        self._life = SECONDS * spec.fps
        self._profile = _Profile(place, spec.layout.unit, spec.accent, stage.canvas)
        self._planes = [_Pieces(stage.canvas, plane, place, self._profile) for plane in range(3)]
        self._radii: tuple[int, ...] = ()
        self._light = self._profile.light(())

    def draw_frames(self, run: Run, _slow_updates: Flags) -> Iterator[None]:
        """Draw the frames; any of them may be the first."""
        for frame in run.frames.tolist():
            radii = self._radii_at(frame)
            if radii != self._radii:
                self._radii = radii
                self._draw(self._profile.light(radii))
            yield

    def _radii_at(self, frame: int) -> tuple[int, ...]:
        """Return the radius of each ring in whole pixels, the newest last."""
        end = int(np.searchsorted(self._onsets, frame, side="right"))
        begun = self._onsets[max(end - MAX_RINGS, 0) : end]
        ages = (frame - begun[frame - begun < self._life]) / self._life
        return tuple(self._profile.radii(ages).tolist())

    def _draw(self, light: Floats) -> None:
        changed = np.flatnonzero((light != self._light).any(axis=0))
        self._light = light
        if not changed.size:
            return
        apart = np.flatnonzero(np.diff(changed) > PIECE * RESOLUTION)
        starts = changed[np.concatenate([[0], apart + 1])].tolist()
        ends = changed[np.concatenate([apart, [-1]])].tolist()
        for start, end in zip(starts, ends, strict=True):
            for plane, table in zip(self._planes, light, strict=True):
                plane.draw(start, end + 1, table)


class _Profile:
    """The light of rings by the distance from the centre.

    Attributes:
        first: the least distance in the table.
        end: the distance at its end.
        size: number of distances.
    """

    def __init__(self, place: RingsPlace, unit: float, accent: Accent, canvas: Canvas) -> None:
        self._place, self._unit = place, unit
        self._end_of_trail = TRAIL_END * TRAIL * unit
        self.first = place.first - self._end_of_trail
        self.size = math.ceil((place.last + 3 * GLOW * unit - self.first) * RESOLUTION)
        self.end = self.first + self.size / RESOLUTION
        self._distances = np.arange(self.size) / RESOLUTION + self.first
        # Light is added to the background, as much as its mean would need.
        means = [
            np.mean(
                [view[plane].mean() for view in map(canvas.view, place.boxes) if view[plane].size]
            )
            for plane in range(3)
        ]
        self._background = np.array(means, np.float32)[:, None]
        self._core, self._glow = (
            rgb_to_levels(oklch_to_rgb(lightness, chroma * accent.strength, accent.hue))[:, None]
            for lightness, chroma in (CORE_LIGHT, GLOW_LIGHT)
        )
        self._drawn: dict[int, Floats] = {}

    def radii(self, ages: NDArray[np.float64]) -> Integers:
        """Return the radii of rings by their age, from 0 (new) to 1 (vanished)."""
        place = self._place
        grown = place.first + (place.last - place.first) * (1 - np.square(1 - ages))
        return np.rint(grown).astype(np.int64)

    def light(self, radii: Sequence[int]) -> Floats:
        """Return what is added to luma, blue and red at each distance, (3, distances)."""
        total = np.zeros((3, self.size), np.float32)
        for radius in radii:
            if radius not in self._drawn:
                self._drawn[radius] = self._ring(radius)
            ring = self._drawn[radius]
            start = self._start(radius)
            total[:, start : start + ring.shape[1]] += ring[:, : self.size - start]
        return total

    def _start(self, radius: int) -> int:
        return max(round((radius - self._end_of_trail - self.first) * RESOLUTION), 0)

    def _ring(self, radius: int) -> Floats:
        place, unit = self._place, self._unit
        start = self._start(radius)
        reach = math.ceil((self._end_of_trail + 3 * GLOW * unit) * RESOLUTION)
        beyond = self._distances[start : start + reach] - radius
        left = 1 - (radius - place.first) / (place.last - place.first)
        left = min(max(left, 0.0), 1.0)
        width = (LAST_WIDTH + (FIRST_WIDTH - LAST_WIDTH) * left**0.5) * unit
        core = np.clip(0.5 + width / 2 - np.abs(beyond), 0, 1)
        glow = GLOW_OPACITY * np.exp(-np.square(beyond / (GLOW * unit)))
        trail = np.clip(1 + beyond / self._end_of_trail, 0, 1) ** 2 * (beyond < 0)
        soft = 1 - (1 - glow) * (1 - TRAIL_OPACITY * trail)
        opacity = OPACITY * left**FALLOFF
        lit = self._background + (self._glow - self._background) * (soft * opacity)
        lit += (self._core - lit) * (core * opacity)
        # Steps of an eighth: finer ones would change pixels that look the same.
        added: Floats = (np.rint((lit - self._background) * 8) / 8).astype(np.float32)
        return added


class _Pieces:
    """The pixels of one plane in pieces of rows, sorted by the distance of their middle."""

    def __init__(self, canvas: Canvas, plane: int, place: RingsPlace, profile: _Profile) -> None:
        scale, line = SCALES[plane], canvas.line_sizes[plane]
        rows, across = _pieces_near(scale, place, profile)
        x = (across.astype(np.float32) + np.float32(0.5)) * scale - np.float32(place.x)
        y = ((rows.astype(np.float32) + np.float32(0.5)) * scale - np.float32(place.y))[:, None]
        distances = np.hypot(x, y)
        gains = _gains(x, y, distances, place)
        gains *= (distances >= profile.first) & (distances < profile.end)
        used = np.flatnonzero(gains.max(axis=1, initial=0) > MIN_GAIN)
        used = used[np.argsort(distances[used].mean(axis=1), kind="stable")]
        rows, across, distances, gains = rows[used], across[used], distances[used], gains[used]
        self._middles = distances.mean(axis=1)
        self._first = profile.first
        self._half = PIECE * scale / 2 + 1
        indexes = np.rint((distances - profile.first) * RESOLUTION)
        self._indexes = np.clip(indexes, 0, profile.size - 1).astype(np.intp)
        self._gains = gains.astype(np.float32, copy=False)
        self._off = canvas.planes[plane][rows[:, None], across].astype(np.float32)
        # The dither of faint light, which is no dither where there is none.
        noise = np.random.default_rng(0)
        self._off += noise.random(self._off.shape, np.float32) * np.float32(0.9) + np.float32(0.05)
        self._lit = np.empty_like(self._off)
        self._places = rows * line + across[:, 0]
        self._items = canvas.words(plane)
        if not (self._places % PIECE).any():
            # The processor is faster with these.
            self._items, self._places = self._items[::PIECE], self._places // PIECE

    def draw(self, start: int, end: int, table: Floats) -> None:
        """Draw the light between two distances of the table."""
        near = self._first + start / RESOLUTION - self._half
        far = self._first + end / RESOLUTION + self._half
        first, last = np.searchsorted(self._middles, (near, far)).tolist()
        if first == last:
            return
        part = slice(first, last)
        lit = self._lit[: last - first]
        # No index is wrong, and "raise" would copy the result.
        table.take(self._indexes[part], out=lit, mode="wrap")
        lit *= self._gains[part]
        lit += self._off[part]
        np.clip(lit, 0, MAX_LUMA, out=lit)
        self._items[self._places[part]] = lit.astype(np.uint8).view(np.uint64)[:, 0]


def _pieces_near(scale: int, place: RingsPlace, profile: _Profile) -> tuple[Integers, Integers]:
    """Return the row of each piece that light can reach, and the column of each of its pixels."""
    found = [_pieces_of(box, scale, place) for box in place.boxes]
    rows, columns = (np.concatenate(each) for each in zip(*found, strict=True))
    x = (columns + PIECE / 2) * scale - place.x
    middles = np.hypot(x, (rows + 0.5) * scale - place.y)
    half = PIECE * scale / 2 + 1
    near = (middles > profile.first - half) & (middles < profile.end + half)
    return rows[near], columns[near, None] + np.arange(PIECE)


def _pieces_of(box: Box, scale: int, place: RingsPlace) -> tuple[Integers, Integers]:
    """Return row and first column of pieces that cover a box of a plane; the last may overlap."""
    left, right = box.left // scale, box.right // scale
    if right - left < PIECE:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    columns = np.minimum(np.arange(left, right, PIECE), right - PIECE)
    rows = np.arange(box.top // scale, box.bottom // scale)
    down, along = np.meshgrid(rows, columns, indexing="ij")
    return down.ravel(), along.ravel()


def _gains(x: Reals, y: Reals, distances: Reals, place: RingsPlace) -> Reals:
    towards = -(x + y) / (math.sqrt(2) * np.maximum(distances, 1))
    half = place.cover.width / 2
    outside = np.hypot(np.maximum(np.abs(x) - half, 0), np.maximum(np.abs(y) - half, 0))
    top, bottom = place.fade
    gains: Reals = MEAN_GAIN + MORE_GAIN * towards
    gains *= ease(outside / (COVER_SHADE * place.cover.width))
    gains *= ease((bottom - (y + place.y)) / max(bottom - top, 1))
    return gains
