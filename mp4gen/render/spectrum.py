"""Measure the level of every frequency band in each video frame. Reads and draws nothing.

Low bands use a long window, which separates tones, of the signal at an eighth of its rate. High
bands use the maximum of three short windows, which separates moments and leaves no gap between
frames. The windows are placed so that a beat shows when it is heard. Memory holds a few seconds of
audio and one byte a level. No step is a matrix product: its threads would cost more than they save.
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .colour import Bytes, Floats
from .options import FrameRate

Edges = NDArray[np.float64]

RATE, DECIMATION = 32000, 8
LOW_RATE = RATE // DECIMATION
LONG_WINDOW, SHORT_WINDOW = 4096, 1024
# Samples from the start of the long window to the time of its frame. Most of the window lies
# before the frame: a beat at the window's end would move the bars before it is heard.
LONG_WINDOW_LOOKBACK = 2976
MAX_LOOKAHEAD_FRAMES = 0.81
MIN_HZ, MAX_HZ = 40.0, 12000.0
CROSSOVER_HZ = (300.0, 700.0)
# Music loses level with every octave; the tilt raises the highest band by this much.
TILT_DB = 26.0
FLOOR_DB, STEP_DB = -110.0, 0.5
# The side of a stereo track below this is not audible, and is not worth an analysis of its own.
SILENT_SIDE = 1e-4
# Half the length of the low-pass filter, and the shape of its Kaiser window: 80 dB.
_FILTER_REACH, _FILTER_BETA = 4 * DECIMATION, 8.0
# Frames at a time: enough to share numpy's cost per call, few enough to stay in the cache.
_BLOCK = 16
# Bytes of all arrays of a block, rounded up.
_BLOCK_BYTES = 1 << 20


class LevelMeter:
    """Converts a stream of samples to rows of levels, one row a frame."""

    def __init__(self, fps: FrameRate, bands: int) -> None:
        # Once an array of this size was freed, malloc of glibc keeps as much freed memory. Before
        # that every block maps and clears new pages, which takes as long as the spectra.
        np.empty(_BLOCK_BYTES, np.uint8)
        self._fps = fps
        self._bands = bands
        edges = np.geomspace(MIN_HZ, MAX_HZ, bands + 1)
        self._share = _long_share(edges)
        self._long = _BandFilter(edges, self._share > 0, LONG_WINDOW // DECIMATION, LOW_RATE)
        self._short = _BandFilter(edges, self._share < 1, SHORT_WINDOW, RATE)
        self._low_pass = _low_pass()
        self._tilt = np.linspace(0.0, TILT_DB, bands, dtype=np.float32)
        self._start = -LONG_WINDOW_LOOKBACK - _FILTER_REACH
        self._buffered = -self._start
        self._buffer: list[Floats] = [np.zeros((2, self._buffered), np.float32)]
        self._row = 0
        self._rows = bytearray()

    def feed(self, samples: Floats) -> None:
        """Add samples (2, n) at `RATE`, and measure as many blocks of rows as they complete."""
        self._buffer.append(samples)
        self._buffered += samples.shape[1]
        while self._buffered >= self._needed(_BLOCK):
            self._measure(_BLOCK)

    def finish(self, rows: int) -> Bytes:
        """Return exactly `rows` rows; silence follows the last sample."""
        missing = self._needed(max(rows - self._row, 0)) - self._buffered
        self._buffer.append(np.zeros((2, max(missing, 0)), np.float32))
        self._buffered += self._buffer[-1].shape[1]
        while self._row < rows:
            self._measure(min(_BLOCK, rows - self._row))
        return np.frombuffer(self._rows, np.uint8).reshape(-1, self._bands)[:rows]

    def _at(self, row: int) -> int:
        """Return the sample at the time of a row."""
        return round(row * RATE / self._fps)

    def _needed(self, rows: int) -> int:
        """Return how many samples the buffer must hold for the next `rows` rows."""
        last = self._at(self._row + rows)
        return last - LONG_WINDOW_LOOKBACK + LONG_WINDOW + _FILTER_REACH - self._start

    def _measure(self, rows: int) -> None:
        # Joined once for all blocks that it completes.
        if len(self._buffer) > 1:
            self._buffer = [np.concatenate(self._buffer, axis=1)]
        samples = self._buffer[0]
        positions = np.array([self._at(self._row + row) for row in range(rows)]) - self._start
        power = self._powers(_middle_and_side(samples[:, : self._needed(rows)]), positions)
        decibels = 10 * np.log10(power + np.float32(1e-12)) + self._tilt
        steps = np.clip((decibels - FLOOR_DB) / STEP_DB, 0, 255)
        # The tilt must lift nothing out of nothing.
        steps[power == 0] = 0
        self._rows += steps.astype(np.uint8).tobytes()
        self._row += rows
        used = self._at(self._row) - LONG_WINDOW_LOOKBACK - _FILTER_REACH - self._start
        self._start += used
        self._buffer = [samples[:, used:]]
        self._buffered -= used

    def _powers(self, channels: Floats, positions: NDArray[np.int64]) -> Floats:
        """Return the power (rows, bands) of all channels at some positions."""
        windows = sliding_window_view(channels, self._low_pass.size, axis=1)[:, ::DECIMATION]
        slow = np.einsum("csk,k->cs", windows, self._low_pass)
        starts = (positions - LONG_WINDOW_LOOKBACK - _FILTER_REACH + DECIMATION // 2) // DECIMATION
        (spectra,) = self._long.spectra(slow, starts)
        low = self._long.sum_bands(spectra.sum(axis=0))
        step = RATE / self._fps
        third = round(step / 3)
        # A window that reached a whole frame ahead would show a beat before it is heard.
        lookahead = third + SHORT_WINDOW / 2 - MAX_LOOKAHEAD_FRAMES * step
        starts = positions - max(0, round(lookahead)) - SHORT_WINDOW // 2
        before, here, after = self._short.spectra(channels, starts - third, starts, starts + third)
        loudest = np.maximum(np.maximum(before, here, out=here), after, out=here)
        high = self._short.sum_bands(loudest.sum(axis=0))
        power = np.zeros((positions.size, self._bands), np.float32)
        power[:, self._long.bands] = low * self._share[self._long.bands]
        power[:, self._short.bands] += high * (1 - self._share[self._short.bands])
        return power


class _BandFilter:
    """Converts windows of samples to the power of some neighbouring bands.

    Attributes:
        bands: the bands.
    """

    def __init__(self, edges: Edges, used: NDArray[np.bool_], size: int, rate: int) -> None:
        indexes = np.flatnonzero(used)
        self.bands = slice(int(indexes[0]), int(indexes[-1]) + 1)
        weights = _weights(edges[:-1][used], edges[1:][used], size, rate)
        # Few bins have a weight in a band. They are gathered, one band after the other.
        band, bins = np.nonzero(weights)
        self._used_bins = slice(int(bins.min()), int(bins.max()) + 1)
        self._gather = bins - self._used_bins.start
        self._weights = weights[band, bins]
        self._band_starts = np.searchsorted(band, np.arange(weights.shape[0]))
        self._window = np.hanning(size + 1)[:-1].astype(np.float32) * np.float32(2 / size)

    def spectra(self, channels: Floats, *starts: NDArray[np.int64]) -> Iterator[Floats]:
        """Yield the power (channels, windows, bins) in the bins that have weights."""
        windows = sliding_window_view(channels, self._window.size, axis=1)
        for each in starts:
            pieces = windows[:, each]
            pieces *= self._window
            spectrum = np.fft.rfft(pieces)[..., self._used_bins]
            yield np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)

    def sum_bands(self, power: Floats) -> Floats:
        """Return the power of the bands."""
        weighted = power[:, self._gather] * self._weights
        sums: Floats = np.add.reduceat(weighted, self._band_starts, axis=1)
        return sums


def _long_share(edges: Edges) -> Floats:
    """Return how much of each band's power is that of the long window."""
    centres = np.sqrt(edges[1:] * edges[:-1])
    low, high = np.log(CROSSOVER_HZ)
    share: Floats = np.clip((high - np.log(centres)) / (high - low), 0, 1).astype(np.float32)
    return share


def _weights(low: Edges, high: Edges, size: int, rate: int) -> Floats:
    """Return weights (bands, bins) for the mean power of the bins in each band, with soft edges."""
    width = rate / size
    bins = np.arange(size // 2 + 1) * width
    low, high = low[:, None], high[:, None]
    # A band narrower than a bin takes part of both neighbouring bins.
    spread = np.maximum((high - low) / 2, width)
    weights = np.clip(1.5 - np.abs(bins - (low + high) / 2) / spread, 0, 1)
    normal: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal


def _middle_and_side(samples: Floats) -> Floats:
    """Return the middle and, if it is audible, the side of a stereo signal.

    They have the power of left and right, which would cancel out if they were only added up and
    their phases were opposite.
    """
    left, right = samples * np.float32(0.5)
    middle, side = left + right, left - right
    is_audible = max(side.max(initial=0), -side.min(initial=0)) > SILENT_SIDE
    return np.stack([middle, side]) if is_audible else middle[None]


def _low_pass() -> Floats:
    """Return the filter before the decimation: flat in the low bands, 80 dB down in aliases."""
    taps = np.arange(-_FILTER_REACH, _FILTER_REACH + 1)
    filtered = np.sinc(taps / DECIMATION) * np.kaiser(taps.size, _FILTER_BETA)
    normal: Floats = (filtered / filtered.sum()).astype(np.float32)
    return normal
