"""Convert measured levels to the heights of the bars and the beat's glow. Draws nothing.

Bars rise at once and fall with gravity. Loudness is relative to the whole track, so a quiet
recording moves as much as a loud one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from .analysis import Features
from .colour import Bytes, Floats
from .options import FrameRate
from .spectrum import FLOOR_DB, STEP_DB

WINDOW_DB = 40.0
MIN_REFERENCE_DB = -50.0
# A band this far below the loudest still fills half of its bar.
BAND_REACH_DB = 18.0
CONTRAST = 1.9
# A band this far below the loudest is silent: an old recording or a low bit rate has no treble.
SILENT_DB = 38.0
# A full bar falls in half a second.
GRAVITY = 8.0
GLOW_SECONDS, AVERAGE_SECONDS = 0.12, 1.5
# Decibels above the average at which an onset begins to count, and from there to its full glow.
ONSET_FACTOR, ONSET_DB, ONSET_RANGE_DB = 1.4, 0.8, 6.0
# Of onsets that start rings of light: the least glow, and the least seconds between two.
MIN_ONSET, ONSET_GAP = 0.15, 0.3
MIN_DB = -72.0
HISTORY_SECONDS = 1.0
ENDING_SECONDS, MIN_SECONDS_WITH_ENDING = 1.2, 8
SWELL_SECONDS = 0.18
Edges = Literal["edge", "symmetric"]
# Frames at a time: enough to share numpy's cost per call, few enough to stay in the cache.
_BLOCK = 64


@frozen(eq=False)
class Run:
    """The movement of some frames in a row.

    Attributes:
        first: number of the first frame.
        heights: (frames, bands) from 0 to 1.
        glows: (frames,) the light of the beat, from 0 to 1.
        before: (frames of `HISTORY_SECONDS`, bands) the heights just before the first frame; 0
            before the video begins.
    """

    first: int
    heights: Floats
    glows: Floats
    before: Floats

    @property
    def end(self) -> int:
        """The number after that of the last frame."""
        return self.first + self.glows.size

    @property
    def frames(self) -> NDArray[np.int64]:
        """The number of each frame."""
        return np.arange(self.first, self.end)

    def part(self, first: int, end: int) -> Run | None:
        """Return the frames from number `first` up to, but not including, `end`."""
        start, stop = max(first - self.first, 0), min(end, self.end) - self.first
        if stop <= start:
            return None
        before = np.concatenate([self.before, self.heights[:start]])[start:]
        heights, glows = self.heights[start:stop], self.glows[start:stop]
        return Run(self.first + start, heights, glows, before)

    def with_bands(self, count: int) -> Run:
        """Return the same movement in another number of bands."""
        if self.heights.shape[1] == count:
            return self
        heights, before = (_resampled(rows, count) for rows in (self.heights, self.before))
        return Run(self.first, heights, self.glows, before)


def _resampled(rows: Floats, count: int) -> Floats:
    places = np.linspace(0, rows.shape[1] - 1, count, dtype=np.float32)
    left = np.floor(places).astype(np.int64)
    right = np.minimum(left + 1, rows.shape[1] - 1)
    found: Floats = rows[:, left] + (rows[:, right] - rows[:, left]) * (places - left)
    return found.astype(np.float32)


def animate(features: Features, fps: FrameRate) -> Iterator[Run]:
    """Yield the movement of all frames, in runs."""
    levels = features.levels
    bands = levels.shape[1]
    reference_levels, lowest, highest = _reference_levels(levels)
    # The audible bands are spread over all bars, so that every bar moves.
    spread = np.linspace(lowest, highest, bands, dtype=np.float32)
    reference_levels = np.interp(spread, np.arange(bands), reference_levels).astype(np.float32)
    height = np.zeros(bands, np.float32)
    drop = np.zeros(bands, np.float32)
    faster = np.float32(GRAVITY / fps**2)
    glows = beat_glows(levels, fps)
    before = np.zeros((math.ceil(fps * HISTORY_SECONDS), bands), np.float32)
    ending = ending_of(levels.shape[0], fps)
    for first in range(0, levels.shape[0], _BLOCK):
        heights = _targets(levels[first : first + _BLOCK], spread, reference_levels)
        heights[max(ending - first, 0) :] = 0
        for target in heights:
            height = height - drop
            drop = (drop + faster) * (height > target)
            height = np.maximum(height, target, out=target)
        yield Run(first, heights, np.fromiter(glows, np.float32, heights.shape[0]), before)
        before = np.concatenate([before, heights])[-before.shape[0] :]


def ending_of(frame_count: int, fps: FrameRate) -> int:
    """Return the first frame of the ending, in which the bands fall to rest.

    Players show the last frame for long, so it must look whole. A short clip has no ending.
    """
    frames = round(ENDING_SECONDS * fps)
    return frame_count - frames if frame_count >= MIN_SECONDS_WITH_ENDING * fps else frame_count


def onsets(levels: Bytes, fps: FrameRate) -> NDArray[np.int64]:
    """Return the frames at which something begins to sound, the strongest within each `ONSET_GAP`.

    Args:
        levels: those of the whole track.
        fps: frames per second.
    """
    glows = np.fromiter(beat_glows(levels, fps), np.float64, levels.shape[0])
    rises = np.diff(glows, prepend=0.0) > 0
    candidates = np.flatnonzero(rises & (glows >= MIN_ONSET))
    gap = math.ceil(ONSET_GAP * fps)
    is_free = np.ones(glows.size, np.bool_)
    found = []
    for frame in candidates[np.argsort(-glows[candidates], kind="stable")].tolist():
        if is_free[frame]:
            found.append(frame)
            is_free[max(frame - gap + 1, 0) : frame + gap] = False
    return np.array(sorted(found), np.int64)


def swells(loudness: Floats, fps: FrameRate) -> Floats:
    """Return for each frame how loud it is, from 0 to 1: up at once, then slowly down.

    Args:
        loudness: (frames,) from 0 to 1.
        fps: frames per second.
    """
    decay = math.exp(-1 / (fps * SWELL_SECONDS))
    fallen = itertools.accumulate(loudness.tolist(), lambda before, now: max(now, before * decay))
    return np.fromiter(fallen, np.float32, loudness.size)


def smooth_bands(heights: Floats, radius: float, edges: Edges = "edge") -> Floats:
    """Smooth over neighbouring bands.

    Args:
        heights: (frames, bands).
        radius: the sigma in bands.
        edges: "edge" repeats the first and the last band beyond the ends, "symmetric" mirrors all.
    """
    reach = math.ceil(2 * radius)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * radius**2))
    weights /= weights.sum()
    padded = np.pad(heights, ((0, 0), (reach, reach)), mode=edges)
    count = heights.shape[1]
    total = np.zeros_like(heights)
    for start, weight in enumerate(weights.tolist()):
        total += padded[:, start : start + count] * np.float32(weight)
    return total


def _targets(levels: Bytes, places: Floats, reference_levels: Floats) -> Floats:
    """Return the height that each bar of a run of frames moves to."""
    left = np.floor(places).astype(np.int64)
    right = np.minimum(left + 1, levels.shape[1] - 1)
    part = places - left
    rows = _decibels(levels)
    spread = rows[:, left] * (1 - part) + rows[:, right] * part
    share = np.clip(1 - (reference_levels - spread) / np.float32(WINDOW_DB), 0, 1)
    # Neighbouring bars are smoothed: a tone moves several bars, not a single one.
    padded = np.pad(share, ((0, 0), (1, 1)), mode="edge")
    soft = padded[:, :-2] * 0.2 + share * 0.6 + padded[:, 2:] * 0.2
    targets: Floats = np.power(soft, np.float32(CONTRAST)).astype(np.float32)
    return targets


def _decibels(steps: NDArray[np.generic]) -> Floats:
    return (np.asarray(steps, np.float32) * STEP_DB + FLOOR_DB).astype(np.float32)


def _reference_levels(levels: Bytes) -> tuple[Floats, int, int]:
    """Return (the level in dB that fills each bar, the lowest audible band, the highest).

    A reference is halfway between the track's loudest level and the band's own.
    """
    counts = np.array([np.bincount(band, minlength=256) for band in levels.T])
    loudest = max(float(_percentile(counts.sum(axis=0)[None], 0.995)[0]), MIN_REFERENCE_DB)
    own = _percentile(counts, 0.99)
    audible = np.flatnonzero(own >= loudest - SILENT_DB)
    own = np.maximum(own, loudest - BAND_REACH_DB)
    reference_levels: Floats = ((loudest + own) / 2).astype(np.float32)
    return reference_levels, *_widened(audible, levels.shape[1])


def _widened(audible: NDArray[np.int64], bands: int) -> tuple[int, int]:
    """Return the ends of the audible bands, at least half of all bands apart."""
    if not audible.size:
        return 0, bands - 1
    lowest, highest = int(audible[0]), int(audible[-1])
    missing = max(bands // 2 - 1 - (highest - lowest), 0)
    lowest = min(max(lowest - missing // 2, 0), bands - bands // 2)
    return lowest, max(highest, lowest + bands // 2 - 1)


def _percentile(counts: NDArray[np.int64], share: float) -> Floats:
    running = np.cumsum(counts, axis=1)
    return _decibels((running < running[:, -1:] * share).sum(axis=1))


def beat_glows(levels: Bytes, fps: FrameRate) -> Iterator[float]:
    """Yield each frame's glow: up with an onset above the recent average, then decaying."""
    decay = math.exp(-1 / (fps * GLOW_SECONDS))
    follow = 1 - math.exp(-1 / (fps * AVERAGE_SECONDS))
    average = glow = 0.0
    for flux in _fluxes(levels):
        onset = min(max((flux - ONSET_FACTOR * average - ONSET_DB) / ONSET_RANGE_DB, 0.0), 1.0)
        average += (flux - average) * follow
        glow = max(onset, glow * decay)
        yield glow


def _fluxes(levels: Bytes) -> Iterator[float]:
    """Yield the mean rise of all bands since the frame before, in dB."""
    before = np.maximum(_decibels(levels[:1]), MIN_DB)
    for start in range(0, levels.shape[0], _BLOCK):
        rows = np.maximum(_decibels(levels[start : start + _BLOCK]), MIN_DB)
        rises = np.diff(np.concatenate([before, rows]), axis=0)
        before = rows[-1:]
        yield from np.maximum(rises, 0).mean(axis=1).tolist()
