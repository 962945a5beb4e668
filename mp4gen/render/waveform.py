"""Convert the loudness of moments to the heights of a waveform's columns. Reads and draws nothing.

All heights are relative to the loud parts of the same track, so that a quiet recording looks as
full as a loud one.
"""

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike

from .colour import Floats
from .loudness import Loudness

# A few loud moments do not make the rest of a track small, and quiet parts stay visible as such.
LOUD_SHARE, CONTRAST = 0.97, 1.35
# Of a column's height the mean loudness decides this share, and its loudest moments the rest.
RMS_SHARE, PEAK_QUANTILE = 0.6, 0.9
_SILENCE = 1e-6


def column_heights(loudness: Loudness, count: int) -> Floats:
    """Return the heights of `count` columns from 0 to 1, which share the frames equally."""
    seconds = np.ones_like(loudness.rms)
    mean = relative(np.sqrt(mean_powers(np.square(loudness.rms), seconds, count)))
    loudest = relative(_loudest(loudness.peaks, count))
    heights: Floats = (RMS_SHARE * mean + (1 - RMS_SHARE) * loudest) ** np.float32(CONTRAST)
    return heights.astype(np.float32)


def relative(levels: Floats) -> Floats:
    """Return levels as shares of the loud ones, from 0 to 1."""
    loud = max(float(np.quantile(levels, LOUD_SHARE)), _SILENCE)
    shares: Floats = np.minimum(levels / np.float32(loud), np.float32(1))
    return shares


def mean_powers(powers: ArrayLike, seconds: ArrayLike, count: int) -> Floats:
    """Return the mean power of `count` equal parts of a track.

    Args:
        powers: that of each moment.
        seconds: the length of each moment.
        count: number of parts.
    """
    ends = np.cumsum(np.asarray(seconds, np.float64))
    energy = np.concatenate(([0.0], np.cumsum(np.multiply(powers, seconds, dtype=np.float64))))
    edges = np.linspace(0.0, ends[-1], count + 1)
    means = np.diff(np.interp(edges, np.concatenate(([0.0], ends)), energy))
    # Differences of sums may be a little below 0.
    positive: Floats = np.maximum(means * (count / ends[-1]), 0).astype(np.float32)
    return positive


def _loudest(peaks: Floats, count: int) -> Floats:
    edges = np.linspace(0, peaks.size, count + 1)
    parts = [
        peaks[math.floor(first) : max(math.ceil(end), math.floor(first) + 1)]
        for first, end in itertools.pairwise(edges.tolist())
    ]
    return np.array([np.quantile(part, PEAK_QUANTILE) for part in parts], np.float32)
