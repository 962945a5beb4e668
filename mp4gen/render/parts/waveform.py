"""Draw the waveform of the whole video: the played part lit, the newest columns moving.

The light around the position moves when a column does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen

from mp4gen.render.colour import Floats, Integers, dithered_yuv420, oklch_to_rgb, rgb_to_levels
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run, swells
from mp4gen.render.waveform import column_heights, relative

from .waveform_cells import GROWTH, LIGHT_END, Cells, Inks, Steps, WaveformPlace

# How many of the newest columns grow, and how fast that fades with the distance.
GROWING, GROWTH_DISTANCE = 8, 3.2
# Loud music is hardly ever quiet; its beats show by this power of its loudness.
SWELL_CONTRAST = 2
LIGHT_LIGHTNESS, LIGHT_CHROMA = 0.70, 0.16
# Steps in which the column at the position fills.
FILL_STEPS = 8


@frozen
class _State:
    """What is shown: the column at the position, how far it is filled, and the grown heights."""

    column: int
    share: float
    heights: tuple[int, ...]


class Waveform:
    """All columns, and the light around the position.

    Args:
        stage: where to draw.
        place: where the waveform lies.
        colours: (columns, 3) sRGB.
    """

    def __init__(self, stage: Stage, place: WaveformPlace, colours: Floats) -> None:
        spec = stage.spec
        self._place = place
        self.boxes: Sequence[Box] = (place.box,)
        self._frame_count = max(spec.frame_count, 1)
        loudness = stage.features.loudness
        self._heights = column_heights(loudness, place.count) * np.float32(place.up)
        self._swells = swells(relative(loudness.rms) ** SWELL_CONTRAST, spec.fps)
        self._steps = Steps(place)
        self._rest = self._steps.nearest(self._heights)
        light = oklch_to_rgb(LIGHT_LIGHTNESS, LIGHT_CHROMA * spec.accent.strength, spec.accent.hue)
        inks = Inks(rgb_to_levels(colours), rgb_to_levels(light))
        planes = dithered_yuv420(stage.pixels[place.box.slices])
        self._planes = [
            Cells(self._steps, plane, stage.canvas.view(place.box)[plane], planes[plane], inks)
            for plane in range(3)
        ]
        self._reach = math.ceil(LIGHT_END * place.light_width / place.pitch)
        self._shown: _State | None = None

    def draw_frames(self, run: Run, _slow_updates: Flags) -> Iterator[None]:
        """Draw the frames; any of them may be the first."""
        for state in self._states(run.frames):
            if state != self._shown:
                before, self._shown = self._shown, state
                self._draw(before, state)
            yield

    def _states(self, frames: Integers) -> Iterator[_State]:
        positions = self._place.count * (frames + 1) / self._frame_count
        columns = np.minimum(positions.astype(np.int64), self._place.count - 1)
        shares = np.floor((positions - columns) * FILL_STEPS) / FILL_STEPS
        newest = columns[:, None] - np.arange(GROWING + 1)
        steps = self._steps.nearest(
            self._heights[np.maximum(newest, 0)] * (1 + _growth(self._swells[frames]))
        )
        for column, share, heights in zip(
            columns.tolist(), shares.tolist(), steps.tolist(), strict=True
        ):
            yield _State(column, share, tuple(heights))

    def _draw(self, before: _State | None, state: _State) -> None:
        column = state.column
        newest = column - min(GROWING, column)
        if before is None or before.column != column:
            first, end = self._light_up(before, column)
            self._draw_cells(first, self._rest[first:newest], 1)
            self._draw_cells(column + 1, self._rest[column + 1 : end], 0)
        grown = np.array(state.heights[column - newest :: -1])
        self._draw_cells(newest, grown[:-1], 1)
        self._draw_cells(column, grown[-1:], state.share)

    def _light_up(self, before: _State | None, column: int) -> tuple[int, int]:
        """Move the light to a column, and return the first and last cell that it has left."""
        if before is None:
            first, end = -self._place.box.width, self._place.box.width
        else:
            first = min(before.column, column) - max(self._reach, GROWING)
            end = max(before.column, column) + self._reach + 1
        for plane in self._planes:
            plane.light_up(column, first, end)
        return max(first, 0), min(end, self._place.count)

    def _draw_cells(self, first: int, steps: Integers, share: float) -> None:
        if steps.size:
            for plane in self._planes:
                plane.draw(first, steps, share)


def _growth(swells: Floats) -> Floats:
    """Return by what share the newest columns grow, (frames, columns), the newest first."""
    distances = np.arange(GROWING + 1)
    falloff = np.exp(-distances / GROWTH_DISTANCE)
    # The last of them is at rest.
    falloff = (falloff - falloff[-1]) / (1 - falloff[-1])
    growth: Floats = (GROWTH * swells[:, None] * falloff).astype(np.float32)
    return growth
