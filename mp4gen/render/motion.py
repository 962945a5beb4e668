"""Turns measured levels into the heights of the bars and the beat's glow; pure and repeatable.

Bars rise at once and fall with gravity. Loudness is judged against the whole track, so that a
quiet recording moves as much as a loud one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .analysis import FLOOR_DB, STEP_DB, Bytes, Features, Floats

WINDOW_DB = 40.0
QUIETEST_TOP_DB = -66.0
# A band of its own may be this far below the loudest and still fill its bar half the way.
BAND_REACH_DB = 18.0
CONTRAST = 1.6
# A band this far below the loudest is silent: an old recording or a low bit rate has no treble.
SILENT_DB = 38.0
GRAVITY = 8.0
GLOW_SECONDS = 0.12


def motion(features: Features, fps: int) -> Iterator[tuple[Floats, float]]:
    """For each picture: the bars' heights and the glow, all from 0 to 1."""
    levels = features.levels
    bands = levels.shape[1]
    tops, heard = _tops(levels)
    # What the music has is spread over all bars, so that none is dead from start to end.
    spread = np.linspace(0, heard - 1, bands, dtype=np.float32)
    tops = np.interp(spread, np.arange(bands), tops).astype(np.float32)
    height = np.zeros(bands, np.float32)
    speed = np.zeros(bands, np.float32)
    beat = _Beat(fps)
    for row in levels:
        target = _target(_spread(row, spread), tops)
        fallen = height - speed / fps
        rising = target >= fallen
        height = np.where(rising, target, np.maximum(fallen, 0)).astype(np.float32)
        speed = np.where(rising, 0, speed + GRAVITY / fps).astype(np.float32)
        yield height, beat.glow(row)


def _spread(row: Bytes, places: Floats) -> Floats:
    bands = row.size
    if places[-1] == bands - 1:
        return _decibels(row)
    return np.interp(places, np.arange(bands), _decibels(row)).astype(np.float32)


def _target(levels: Floats, tops: Floats) -> Floats:
    share = 1 - (tops - levels) / WINDOW_DB
    share = np.clip(share, 0, 1)
    # Neighbours lean on each other: a tone becomes a hill, not a needle.
    padded = np.pad(share, 1, mode="edge")
    soft = padded[:-2] * 0.2 + share * 0.6 + padded[2:] * 0.2
    target: Floats = np.power(soft, CONTRAST).astype(np.float32)
    return target


def _decibels(steps: NDArray[np.generic]) -> Floats:
    decibels: Floats = (np.asarray(steps, np.float32) * STEP_DB + FLOOR_DB).astype(np.float32)
    return decibels


def _tops(levels: Bytes) -> tuple[Floats, int]:
    """(the level that fills each bar, in dB, between the track's top and the band's, bands heard).

    At least half of the bands count as heard, whatever the music.
    """
    counts = np.zeros((levels.shape[1], 256), np.int64)
    for band in range(levels.shape[1]):
        counts[band] = np.bincount(levels[:, band], minlength=256)
    loudest = max(float(_percentile(counts.sum(axis=0)[None], 0.995)[0]), QUIETEST_TOP_DB)
    own = _percentile(counts, 0.99)
    heard = int(np.flatnonzero(own >= loudest - SILENT_DB).max(initial=0)) + 1
    own = np.maximum(own, loudest - BAND_REACH_DB)
    tops: Floats = ((loudest + own) / 2).astype(np.float32)
    return tops, max(heard, levels.shape[1] // 2)


def _percentile(counts: NDArray[np.int64], share: float) -> Floats:
    running = np.cumsum(counts, axis=1)
    return _decibels((running < running[:, -1:] * share).sum(axis=1))


class _Beat:
    """The glow: up with an onset that stands out from the last second and a half, then gone."""

    def __init__(self, fps: int) -> None:
        self._decay = float(np.exp(-1 / (fps * GLOW_SECONDS)))
        self._average_decay = float(np.exp(-1 / (fps * 1.5)))
        self._before: Floats | None = None
        self._average = 0.0
        self._glow = 0.0

    def glow(self, row: Bytes) -> float:
        now = np.maximum(_decibels(row), -72.0)
        before = now if self._before is None else self._before
        flux = float(np.maximum(now - before, 0).mean())
        self._before = now
        onset = min(max((flux - 1.4 * self._average - 0.8) / 6.0, 0.0), 1.0)
        self._average += (flux - self._average) * (1 - self._average_decay)
        self._glow = max(onset, self._glow * self._decay)
        return self._glow
