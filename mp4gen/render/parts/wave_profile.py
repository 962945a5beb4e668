"""The opacities of a column of pixels of the wave, for each height of its curve. Draws nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mp4gen.render.colour import Floats

EDGE_OPACITY, AXIS_OPACITY, FILL_EXPONENT = 0.80, 0.10, 1.6
LINE_WIDTH = 2.4
# (Radius in units, opacity) of the light around the line.
GLOWS = (4.0, 0.50), (13.0, 0.22)
GLOW_REACH = 30
# How much longer than thick the line is in a column, by its slope.
STRETCHES = np.array([1.0, 1.15, 1.35, 1.7, 2.2, 3.0, 4.5, 7.0])
MAX_GLOW_STRETCH = 2.0
BACK_OPACITY, BACK_SCALE = 0.42, 1.18


class Profile:
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
            _opacities(fill, distance, stretch, self._unit, line_opacity) for stretch in STRETCHES
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


def _opacities(
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
