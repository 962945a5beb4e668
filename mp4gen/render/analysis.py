"""Measure the loudness of every bar's frequency band in each frame, in one pass. Draws nothing.

Low bands use a long window, which separates tones. High bands use the maximum of three short
windows, which separates moments and leaves no gap between frames. The windows are placed so that
a beat shows when it is heard. Memory holds a few seconds of audio and one byte a level.
"""

import hashlib
import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from attrs import frozen
from av import AudioFrame, AudioResampler
from numpy.typing import NDArray

from mp4gen.errors import RenderError

from . import aac
from .cancellation import CancelToken
from .colour import Bytes, Floats
from .decode import (
    DECODING_ERRORS,
    Decoder,
    check_duration,
    display_name,
    promised_duration,
    too_long_error,
)
from .options import PathLike

RATE = 32000
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
# Full scale is 1, but a file of floats may contain any number.
MAX_SAMPLE = 1e6
# An AAC decoder may find the true rate and channels only after some packets.
FORMAT_PROBE_SECONDS = 1
# The side of a stereo track below this is not audible, and is not worth an analysis of its own.
SILENT_SIDE = 1e-4
_BLOCK = 64


@frozen(eq=False)
class Features:
    """The analysis of a complete track.

    Attributes:
        levels: (frames, bands), one byte each: `STEP_DB` steps above `FLOOR_DB`.
        duration: seconds of decoded audio.
        damaged_packets: packets that could not be decoded and were left out.
        format_changes: whether the sample rate or the channels change within the track.
        digest: 32 bytes that identify the audio, at any size and frame rate.
        peak: largest sample of any channel, mixed down to stereo; full scale is 1.
        promised: seconds that the header states, 0 if it states none.
        profile: variant of the codec that was decoded, such as "LC" of AAC, or "".
    """

    levels: Bytes
    duration: float
    damaged_packets: int = 0
    format_changes: bool = False
    digest: bytes = b""
    peak: float = 0.0
    promised: float = 0.0
    profile: str = ""


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
        RenderError: not audio, damaged, too short, or longer than `max_duration` seconds.
        RenderCancelledError: `cancel` was set.
    """
    check_duration(path, max_duration, cancel)
    decoder, name = Decoder(path, cancel), display_name(path)
    meter, digest = _LevelMeter(fps, bands), hashlib.sha256()
    seconds, formats, peak = Fraction(0), set(), 0.0
    for frame, samples, frame_peak in _stereo(decoder, name):
        seconds += Fraction(frame.samples, frame.sample_rate)
        if seconds > max_duration:
            raise too_long_error(name, max_duration)
        if seconds > FORMAT_PROBE_SECONDS:
            formats.add((frame.sample_rate, frame.layout.name))
        peak = max(peak, frame_peak)
        # One channel is half the work, and no two tracks share one.
        digest.update(samples[0].data)
        meter.feed(samples)
    decoder.check(float(seconds))
    return Features(
        # Rounded up: the video never ends before the audio.
        levels=meter.finish(math.ceil(seconds * fps)),
        duration=float(seconds),
        damaged_packets=decoder.damaged_packets,
        format_changes=len(formats) > 1,
        digest=digest.digest(),
        peak=peak,
        promised=promised_duration(path),
        profile=decoder.profile,
    )


def _stereo(decoder: Decoder, name: str) -> Iterator[tuple[AudioFrame, Floats, float]]:
    """Yield each decoded frame, its samples (2, n) at `RATE`, and its peak.

    Each stretch of equal rate and layout gets its own resamplers.
    """
    stretch: _Stretch | None = None
    for frame in decoder:
        frame.pts = None
        try:
            late: list[Floats] = []
            if stretch is None or stretch.format != _format_of(frame):
                late = stretch.resample(None)[0] if stretch else []
                stretch = _Stretch(frame)
            parts, peak = stretch.resample(frame)
        except DECODING_ERRORS as error:
            raise RenderError(
                f"Cannot mix down the audio of {name}: {frame.layout.nb_channels} channels at "
                f"{frame.sample_rate} Hz. Use mono or stereo."
            ) from error
        if not peak <= MAX_SAMPLE:
            raise RenderError(f"NaN or out-of-range samples in the file: {name}. Export it again.")
        yield frame, np.concatenate([np.zeros((2, 0), np.float32), *late, *parts], axis=1), peak


def _format_of(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


class _Stretch:
    """Converts frames of one format: as the AAC encoder gets them for the peak, then to `RATE`."""

    def __init__(self, first: AudioFrame) -> None:
        self.format = _format_of(first)
        layout, rate = aac.layout_for(first.layout.nb_channels), aac.rate_for(first.sample_rate)
        self._encoded = AudioResampler(format="fltp", layout=layout, rate=rate)
        self._analysed = AudioResampler(format="fltp", layout=layout, rate=RATE)

    def resample(self, frame: AudioFrame | None) -> tuple[list[Floats], float]:
        """Return the samples at `RATE`, and the largest of those to encode; None flushes."""
        encoded = self._encoded.resample(frame)
        peak = max((float(np.abs(_samples(part)).max(initial=0)) for part in encoded), default=0.0)
        parts: list[AudioFrame | None] = [*encoded] if frame else [*encoded, None]
        return [
            np.broadcast_to(_samples(small), (2, small.samples))
            for part in parts
            for small in self._analysed.resample(part)
        ], peak


def _samples(frame: AudioFrame) -> Floats:
    # `to_ndarray` would copy the planes twice.
    planes = (np.frombuffer(memoryview(plane), np.float32, frame.samples) for plane in frame.planes)
    return np.stack([*planes])


class _LevelMeter:
    """Converts a stream of samples to rows of levels, one row a frame."""

    def __init__(self, fps: int, bands: int) -> None:
        self._fps = fps
        self._bands = bands
        self._long, self._short, self._mix = _filters(bands)
        self._tilt = np.linspace(0.0, TILT_DB, bands, dtype=np.float32)
        self._window_long, self._window_short = (
            np.hanning(size).astype(np.float32) * np.float32(2 / size)
            for size in (LONG_WINDOW, SHORT_WINDOW)
        )
        self._buffer: list[Floats] = [np.zeros((2, LONG_WINDOW_LOOKBACK), np.float32)]
        self._buffered = LONG_WINDOW_LOOKBACK
        self._start = -LONG_WINDOW_LOOKBACK
        self._row = 0
        self._rows = bytearray()

    def feed(self, samples: Floats) -> None:
        """Add samples (2, n), and measure as many blocks of rows as they complete."""
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
        return last - LONG_WINDOW_LOOKBACK + LONG_WINDOW - self._start

    def _measure(self, rows: int) -> None:
        samples = np.concatenate(self._buffer, axis=1)
        positions = np.array([self._at(self._row + row) for row in range(rows)]) - self._start
        # Left and right have the power of their middle and their side. Added up first, they would
        # cancel out if their phases were opposite.
        left, right = samples[:, : self._needed(rows)] / 2
        power = self._powers(left + right, positions)
        if np.abs(side := left - right).max(initial=0) > SILENT_SIDE:
            power += self._powers(side, positions)
        decibels = 10 * np.log10(power + np.float32(1e-12)) + self._tilt
        steps = np.clip((decibels - FLOOR_DB) / STEP_DB, 0, 255)
        self._rows += steps.astype(np.uint8).tobytes()
        self._row += rows
        used = self._at(self._row) - LONG_WINDOW_LOOKBACK - self._start
        self._start += used
        self._buffer = [samples[:, used:]]
        self._buffered = samples.shape[1] - used

    def _powers(self, samples: Floats, positions: NDArray[np.int64]) -> Floats:
        starts = positions - LONG_WINDOW_LOOKBACK
        low = _spectra(samples, starts, self._window_long, self._long) @ self._long
        step = RATE / self._fps
        third = round(step / 3)
        # A window that reached a whole frame ahead would show a beat before it is heard.
        lookahead = third + SHORT_WINDOW / 2 - MAX_LOOKAHEAD_FRAMES * step
        positions = positions - max(0, round(lookahead)) - SHORT_WINDOW // 2
        before, here, after = (
            _spectra(samples, positions + shift, self._window_short, self._short)
            for shift in (-third, 0, third)
        )
        high = np.maximum(np.maximum(before, here, out=here), after, out=here) @ self._short
        mixed: Floats = low * self._mix + high * (1 - self._mix)
        return mixed


def _spectra(samples: Floats, starts: NDArray[np.int64], window: Floats, weights: Floats) -> Floats:
    """Return the power of the bins that have weights."""
    pieces = np.lib.stride_tricks.sliding_window_view(samples, window.size)[starts] * window
    spectrum = np.fft.rfft(pieces, axis=1)[:, : weights.shape[0]]
    return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)


def _filters(bands: int) -> tuple[Floats, Floats, Floats]:
    """Return (long window's bins to bands, short window's, the long window's share of a band)."""
    edges = np.geomspace(MIN_HZ, MAX_HZ, bands + 1)
    centres = np.sqrt(edges[1:] * edges[:-1])
    low, high = np.log(CROSSOVER_HZ)
    share = np.clip((high - np.log(centres)) / (high - low), 0, 1).astype(np.float32)
    long, short = _filter(edges, LONG_WINDOW) * (share > 0), _filter(edges, SHORT_WINDOW)
    return _cut(long), _cut(short), share


def _cut(weights: Floats) -> Floats:
    """Leave out the bins above those that any band needs."""
    return weights[: int(np.flatnonzero(weights.any(axis=1)).max()) + 1]


def _filter(edges: NDArray[np.float64], size: int) -> Floats:
    """Return weights for the mean power of the bins in each band, with soft edges."""
    width = RATE / size
    bins = (np.arange(size // 2 + 1) * width)[:, None]
    low, high = edges[None, :-1], edges[None, 1:]
    # A band narrower than a bin takes part of both neighbouring bins.
    spread = np.maximum((high - low) / 2, width)
    middle = (low + high) / 2
    weights = np.clip(1.5 - np.abs(bins - middle) / spread, 0, 1)
    normal: Floats = (weights / weights.sum(axis=0)).astype(np.float32)
    return normal
