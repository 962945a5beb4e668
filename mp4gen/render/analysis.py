"""Measures what is heard, picture by picture, in one pass and little memory; draws nothing.

Each picture gets the loudness of every bar's band as one byte. Low bands are read through a long
window, which tells tones apart, high ones through three short ones, which tell moments apart and
leave no gap between pictures; all are placed so that a beat shows when it is heard.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from attrs import frozen
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from mp4gen.errors import RenderError

from .cancellation import CancelToken
from .decode import DECODING_ERRORS, Decoder, check_duration, display_name, too_long_error
from .options import PathLike

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

RATE = 32000
LONG_WINDOW, SHORT_WINDOW = 4096, 1024
# How many samples before its picture's moment the long window starts. It looks back, since a beat
# at its far end would else move the bars before it is heard.
LONG_WINDOW_LOOKBACK = 2976
MAX_LOOKAHEAD_FRAMES = 0.81
MIN_HZ, MAX_HZ = 40.0, 12000.0
CROSSOVER_HZ = (300.0, 700.0)
# Music loses level with every octave; the tilt lifts the top by this much against the bottom.
TILT_DB = 26.0
FLOOR_DB, STEP_DB = -110.0, 0.5
# Full scale is 1; files of floats may hold anything.
MAX_SAMPLE = 1e6
# A decoder of AAC may find its true rate and channels only after some packets.
FORMAT_PROBE_SECONDS = 1
_BLOCK = 64


@frozen(eq=False)
class Features:
    """What was heard, one row a picture.

    Attributes:
        levels: (pictures, bands), one byte each: `STEP_DB` steps above `FLOOR_DB`.
        duration: seconds of decoded sound.
        damaged_packets: packets that could not be decoded and were left out.
        format_changes: whether the sound's rate or channels change on the way.
        digest: 32 bytes that stand for this very music, whatever the video's size and rate.
    """

    levels: Bytes
    duration: float
    damaged_packets: int
    format_changes: bool
    digest: bytes


def analyse(
    path: PathLike,
    *,
    fps: int,
    bands: int,
    max_duration: float,
    cancel: CancelToken | None = None,
) -> Features:
    """Decode `path` once and measure `bands` levels for each of `fps` frames per second.

    Raises:
        RenderError: not music, damaged, too short, or longer than `max_duration` seconds.
        RenderCancelledError: `cancel` was set.
    """
    check_duration(path, max_duration, cancel)
    decoder = Decoder(path, cancel)
    meter, digest = _LevelMeter(fps, bands), hashlib.sha256()
    seconds, formats = Fraction(0), set()
    for frame, samples in _mono(decoder, display_name(path)):
        seconds += Fraction(frame.samples, frame.sample_rate)
        if seconds > max_duration:
            raise too_long_error(display_name(path), max_duration)
        if seconds > FORMAT_PROBE_SECONDS:
            formats.add((frame.sample_rate, frame.layout.name))
        meter.feed(samples)
        digest.update(samples.data)
    decoder.check(float(seconds))
    # Rounded up: the picture never ends before the sound.
    frame_count = math.ceil(seconds * fps)
    return Features(
        levels=meter.finish(frame_count),
        duration=float(seconds),
        damaged_packets=decoder.damaged_packets,
        format_changes=len(formats) > 1,
        digest=digest.digest(),
    )


def _mono(decoder: Decoder, name: str) -> Iterator[tuple[AudioFrame, Floats]]:
    """Each decoded frame with its sound as one channel at `RATE`.

    A file may change its rate or layout on the way; each stretch gets its own resampler.
    """
    resampler, previous_format = _resampler(), None
    for frame in decoder:
        frame_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        frame.pts = None
        late: list[AudioFrame] = []
        try:
            if previous_format not in (None, frame_format):
                late, resampler = resampler.resample(None), _resampler()
            parts = [_samples(part) for part in late + resampler.resample(frame)]
        except DECODING_ERRORS as error:
            raise RenderError(
                f"{name} holds {frame.layout.nb_channels} channels at {frame.sample_rate} Hz, "
                "which cannot be mixed down."
            ) from error
        previous_format = frame_format
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        if not (np.abs(samples) <= MAX_SAMPLE).all():
            raise RenderError(f"{name} holds samples that are no numbers or beyond all measure.")
        yield frame, samples


def _resampler() -> AudioResampler:
    return AudioResampler(format="flt", layout="mono", rate=RATE)


def _samples(frame: AudioFrame) -> Floats:
    # One plane of floats as it lies there: `to_ndarray` would copy it twice.
    return np.frombuffer(memoryview(frame.planes[0]), np.float32, frame.samples).copy()


class _LevelMeter:
    """Turns a stream of samples into rows of levels; holds a few seconds of sound at most."""

    def __init__(self, fps: int, bands: int) -> None:
        self._fps = fps
        self._bands = bands
        self._long, self._short, self._mix = _filters(bands)
        self._tilt = np.linspace(0.0, TILT_DB, bands, dtype=np.float32)
        self._window_long = np.hanning(LONG_WINDOW).astype(np.float32) * np.float32(2 / LONG_WINDOW)
        self._window_short = np.hanning(SHORT_WINDOW).astype(np.float32) * np.float32(
            2 / SHORT_WINDOW
        )
        self._buffer: list[Floats] = [np.zeros(LONG_WINDOW_LOOKBACK, np.float32)]
        self._buffered = LONG_WINDOW_LOOKBACK
        self._start = -LONG_WINDOW_LOOKBACK
        self._row = 0
        self._rows = bytearray()

    def feed(self, samples: Floats) -> None:
        """Take the next samples; rows are measured a block at a time."""
        self._buffer.append(samples)
        self._buffered += samples.size
        while self._buffered >= self._needed(_BLOCK):
            self._measure(_BLOCK)

    def finish(self, rows: int) -> Bytes:
        """All levels, for exactly `rows` pictures; what is missing at the end is silence."""
        left = rows - self._row
        if left > 0:
            self._buffer.append(np.zeros(max(self._needed(left) - self._buffered, 0), np.float32))
            self._buffered += self._buffer[-1].size
            while self._row < rows:
                self._measure(min(_BLOCK, rows - self._row))
        levels = np.frombuffer(self._rows, np.uint8).reshape(-1, self._bands)
        return levels[:rows]

    def _at(self, row: int) -> int:
        return round(row * RATE / self._fps)

    def _needed(self, rows: int) -> int:
        last = self._at(self._row + rows)
        return last - LONG_WINDOW_LOOKBACK + LONG_WINDOW - self._start

    def _measure(self, rows: int) -> None:
        samples = np.concatenate(self._buffer)
        positions = np.array([self._at(self._row + row) for row in range(rows)]) - self._start
        power = self._powers(samples, positions)
        decibels = 10 * np.log10(power + np.float32(1e-12)) + self._tilt
        steps = np.clip((decibels - FLOOR_DB) / STEP_DB, 0, 255)
        self._rows += steps.astype(np.uint8).tobytes()
        self._row += rows
        used = self._at(self._row) - LONG_WINDOW_LOOKBACK - self._start
        self._start += used
        self._buffer = [samples[used:]]
        self._buffered = samples.size - used

    def _powers(self, samples: Floats, positions: NDArray[np.int64]) -> Floats:
        low = _spectra(samples, positions - LONG_WINDOW_LOOKBACK, self._window_long) @ self._long
        step = RATE / self._fps
        third = round(step / 3)
        # No window reaches a whole picture ahead, or a beat would be seen before it is heard.
        positions = positions - max(
            0, round(third + SHORT_WINDOW / 2 - MAX_LOOKAHEAD_FRAMES * step)
        )
        before, here, after = (
            _spectra(samples, positions + shift - SHORT_WINDOW // 2, self._window_short)
            for shift in (-third, 0, third)
        )
        high = np.maximum(np.maximum(before, here, out=here), after, out=here) @ self._short
        mixed: Floats = low * self._mix + high * (1 - self._mix)
        return mixed


def _spectra(samples: Floats, starts: NDArray[np.int64], window: Floats) -> Floats:
    pieces = np.lib.stride_tricks.sliding_window_view(samples, window.size)[starts] * window
    spectrum = np.fft.rfft(pieces, axis=1)
    power: Floats = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power


def _filters(bands: int) -> tuple[Floats, Floats, Floats]:
    """(bins to bands for the long window, the same for the short one, share of the long one)."""
    edges = np.geomspace(MIN_HZ, MAX_HZ, bands + 1)
    centres = np.sqrt(edges[1:] * edges[:-1])
    low, high = np.log(CROSSOVER_HZ)
    share = np.clip((high - np.log(centres)) / (high - low), 0, 1).astype(np.float32)
    return _filter(edges, LONG_WINDOW), _filter(edges, SHORT_WINDOW), share


def _filter(edges: NDArray[np.float64], size: int) -> Floats:
    """Weights that take the mean power of the bins within each band, softly at its edges."""
    width = RATE / size
    bins = (np.arange(size // 2 + 1) * width)[:, None]
    low, high = edges[None, :-1], edges[None, 1:]
    # A band narrower than a bin borrows from both of its neighbours.
    spread = np.maximum((high - low) / 2, width)
    middle = (low + high) / 2
    weights = np.clip(1.5 - np.abs(bins - middle) / spread, 0, 1)
    normal: Floats = (weights / weights.sum(axis=0)).astype(np.float32)
    return normal
