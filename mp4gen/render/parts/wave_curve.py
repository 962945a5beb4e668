"""Smooth the movement of the bands over time, and draw curves through them. Draws nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mp4gen.render.colour import Floats
from mp4gen.render.easing import ease

BACK_SECONDS, BACK_DECAY = 0.8, 0.73
SMOOTHING_SECONDS = 0.1
# Share of the width in which the curve rises from its ends.
TAPER = 0.085


class Columns:
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
        self._taper = ease(edge / TAPER).astype(np.float32)

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


def smoothed(heights: Floats, fps: float) -> Floats:
    """Average each frame with those of the last tenth of a second, the latest most."""
    lags = np.arange(math.ceil(SMOOTHING_SECONDS * fps))
    weights = 1 - lags / (SMOOTHING_SECONDS * fps)
    return _lagged_sum(heights, weights / weights.sum())


def _lagged_sum(heights: Floats, weights: NDArray[np.float64]) -> Floats:
    total = heights * np.float32(weights[0])
    for lag, weight in enumerate(weights[1:].tolist(), start=1):
        total[lag:] += heights[:-lag] * np.float32(weight)
    return total


def highest_of(heights: Floats, fps: float) -> Floats:
    """Return the highest of the last heights, the earlier ones lowered towards rest."""
    highest = heights.copy()
    for lag in range(1, round(BACK_SECONDS * fps)):
        lowered = heights[:-lag] * np.float32(math.exp(-lag / fps / BACK_DECAY))
        np.maximum(highest[lag:], lowered, out=highest[lag:])
    return highest
