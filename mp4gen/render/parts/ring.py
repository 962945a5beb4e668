"""Draw the spectrum around a round cover, the arc of the position, and the light of the beat."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import Bytes, Floats, Integers, Planes, rgb_to_yuv420
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run, smooth_bands

from .rising_pixels import Grid, Strokes, grid_of, rising_planes
from .updates import hold, light_levels

# How much lighter the end of the longest spoke is than the colour of its band.
TIP_WHITE = 0.22
DONE_OPACITY = 0.92
LIGHT_OPACITY, LIGHT_LEVELS = 0.4, 8
CONTRAST, SMOOTHING = 0.85, 0.7


@frozen(eq=False)
class RingPlace:
    """Where the ring lies, in pixels.

    Attributes:
        x: centre.
        y: centre.
        cover: radius of the cover.
        start: radius at which the spokes begin.
        longest: length of a full spoke.
        spokes: number of spokes, even.
        width: width of a spoke.
        arc: radius of the middle of the arc.
        arc_width: width of the arc.
    """

    x: float
    y: float
    cover: float
    start: float
    longest: float
    spokes: int
    width: float
    arc: float
    arc_width: float

    @property
    def arc_length(self) -> float:
        """Length of the whole arc."""
        return 2 * math.pi * self.arc

    def box(self, width: int, height: int) -> Box:
        """Return the even box of all that the ring can change in a frame."""
        reach = math.ceil(self.start + self.longest) + 1
        x, y = round(self.x), round(self.y)
        return Box(x - reach, y - reach, x + reach, y + reach).expanded(0, width, height)


class Ring:
    """Spokes, arc and light. Half of the spokes are the bands, from below to above, mirrored.

    Args:
        stage: shows the cover and the arc that is yet to fill.
        place: where the ring lies.
        colours: (bands, 3) sRGB.
        light: sRGB colour of the beat.
    """

    def __init__(self, stage: Stage, place: RingPlace, colours: Floats, light: Floats) -> None:
        layout, canvas = stage.spec.layout, stage.canvas
        self._place = place
        self._frame_count = max(stage.spec.frame_count, 1)
        self._box = box = place.box(layout.width, layout.height)
        self.boxes: Sequence[Box] = (box,)
        area = stage.pixels[box.slices]
        grid = grid_of(box, 0)
        spoke, along, _ = _spokes(grid, place)
        share = np.clip(along / np.float32(place.longest), 0, 1) * np.float32(TIP_WHITE)
        colour = np.concatenate([colours, colours])[spoke]
        lit = rgb_to_yuv420(colour + (1 - colour) * share)
        done = rgb_to_yuv420(area + (1 - area) * np.float32(DONE_OPACITY))
        find_spokes = functools.partial(_spoke_strokes, place=place)
        find_arc = functools.partial(_arc_stroke, place=place)
        self._spokes = rising_planes(canvas, box, lit, find_spokes)
        self._arc = rising_planes(canvas, box, done, find_arc)
        strength = np.float32(LIGHT_OPACITY) * _beat_light(grid, place)[..., None]
        glowing = rgb_to_yuv420(area + (light - area) * strength)
        self._light = [_Light(canvas, plane, box, glowing, place) for plane in range(3)]
        self._levels = [np.zeros((1, place.spokes), np.int64) for _ in self._spokes]
        self._ends = [np.zeros((1, 1), np.int64) for _ in self._arc]

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Draw the frames; the arc and dimming light change in those of `slow_updates` only."""
        moves = [*self._move_spokes(run), *self._move_arc(run, slow_updates)]
        light = light_levels(run.glows, slow_updates, LIGHT_LEVELS, self._light[0].level)
        for level, *_ in zip(light, *moves, strict=True):
            for plane in self._light:
                plane.show(level)
            yield

    def _move_spokes(self, run: Run) -> Iterator[Iterator[None]]:
        place = self._place
        # Neighbouring bands are smoothed, so that the ring has an outline.
        heights = np.power(smooth_bands(run.heights, SMOOTHING, "symmetric"), np.float32(CONTRAST))
        # At rest a spoke is a dot of its own width.
        lengths = np.concatenate([heights, heights], axis=1) * (place.longest - place.width)
        for number, plane in enumerate(self._spokes):
            levels = np.concatenate([self._levels[number], plane.levels(lengths)])
            self._levels[number] = levels[-1:]
            yield plane.draw_frames(levels[:-1], levels[1:])

    def _move_arc(self, run: Run, slow_updates: Flags) -> Iterator[Iterator[None]]:
        lengths = self._place.arc_length * (run.frames + 1) / self._frame_count
        for number, plane in enumerate(self._arc):
            ends = np.concatenate([self._ends[number], plane.levels(lengths)[:, None]])
            ends = hold(ends, slow_updates)
            self._ends[number] = ends[-1:]
            yield plane.draw_frames(ends[:-1], ends[1:])


class _Light:
    """The light between cover and arc in one plane, in a few levels.

    Attributes:
        level: the level that is shown.
    """

    def __init__(
        self, canvas: Canvas, plane: int, box: Box, glowing: Planes, place: RingPlace
    ) -> None:
        self.level = 0
        grid = grid_of(box, plane)
        radius = _radius(grid, place)
        # In small frames one chroma sample may lie in both light and arc.
        outer = place.arc - place.arc_width / 2 - 0.5
        mask = (radius.mean(axis=2) > place.cover) & (radius.max(axis=2) < outer)
        rows, columns = grid.rows[mask], grid.columns[mask]
        off = canvas.planes[plane][rows, columns].astype(np.float32)
        shares = np.linspace(0, 1, LIGHT_LEVELS + 1, dtype=np.float32)[:, None]
        mixed = np.rint(off + (glowing[plane][mask] - off) * shares)
        self._table: Bytes = mixed.astype(np.uint8)
        self._places = rows * canvas.line_sizes[plane] + columns
        self._buffer = canvas.buffers[plane]

    def show(self, level: int) -> None:
        if level != self.level:
            self.level = level
            self._buffer[self._places] = self._table[level]


def _radius(grid: Grid, place: RingPlace) -> Floats:
    radius: Floats = np.hypot(grid.x - np.float32(place.x), grid.y - np.float32(place.y))
    return radius


def _spokes(grid: Grid, place: RingPlace) -> tuple[Integers, Floats, Floats]:
    """Return for each pixel (its spoke, distance along it, distance from its middle).

    The distances are those of each point of the pixel; the first is from the centre of the
    spoke's round start.
    """
    x, y = grid.x - np.float32(place.x), grid.y - np.float32(place.y)
    step = 2 * math.pi / place.spokes
    half = place.spokes // 2
    middle_x, middle_y = x.mean(axis=2), y.mean(axis=2)
    band = (np.arctan2(np.abs(middle_x), middle_y) / step).astype(np.int64)
    np.minimum(band, half - 1, out=band)
    is_left = middle_x < 0
    angle = ((band + 0.5) * step * np.where(is_left, -1, 1)).astype(np.float32)[..., None]
    along = x * np.sin(angle) + y * np.cos(angle) - np.float32(place.start + place.width / 2)
    across = x * np.cos(angle) - y * np.sin(angle)
    spoke: Integers = band + half * is_left
    return spoke, along, across


def _spoke_strokes(grid: Grid, place: RingPlace) -> tuple[NDArray[np.bool_], Strokes]:
    spoke, along, across = _spokes(grid, place)
    reach, longest = place.width / 2 + 0.5, place.longest - place.width
    inside = (np.abs(across) < reach) & (along > -reach) & (along < longest + reach)
    beyond_arc = _radius(grid, place).min(axis=2) > place.arc + place.arc_width / 2 + 0.5
    mask = np.asarray(inside.any(axis=2) & beyond_arc, np.bool_)
    return mask, Strokes(spoke[mask], along[mask], across[mask], place.width, place.spokes)


def _arc_stroke(grid: Grid, place: RingPlace) -> tuple[NDArray[np.bool_], Strokes]:
    x, y = grid.x - np.float32(place.x), grid.y - np.float32(place.y)
    # Clockwise from above.
    along = (np.arctan2(x, -y) % np.float32(2 * math.pi)) * np.float32(place.arc)
    # The points of a pixel above the centre lie at both ends.
    along = np.where(np.ptp(along, axis=2)[..., None] > place.arc, np.float32(0), along)
    across = _radius(grid, place) - np.float32(place.arc)
    mask = np.abs(across).min(axis=2) < place.arc_width / 2 + 0.5
    elements = np.zeros(int(mask.sum()), np.int64)
    return mask, Strokes(elements, along[mask], across[mask], place.arc_width, 1)


def _beat_light(grid: Grid, place: RingPlace) -> Floats:
    """Return light that fades out towards the cover and the arc."""
    radius = _radius(grid, place)[..., 0]
    inner, outer = place.cover, place.arc - place.arc_width / 2
    share = np.clip((radius - inner) / max(outer - inner, 1.0), 0, 1)
    light: Floats = np.sin(np.pi * share).astype(np.float32)
    return light
