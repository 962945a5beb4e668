"""The mixing desk: sounds at their place in time and space, a room, and the final level.

Stereo float32 arrays of shape (2, samples); it knows no notes and no files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .voices import RATE, Sound

Stereo = NDArray[np.float32]

LOUDNESS = 10 ** (-15.0 / 20)
CEILING = 10 ** (-1.0 / 20)
_BLOCK = 64
# The limiter looks so many blocks ahead, about 6 ms, and recovers over so many, about 50 ms.
_AHEAD = 4
_BEHIND = 32
# Seconds until each band of the room has died away; the high ones die first, as in a real one.
_ROOM = ((20, 250, 1.5), (250, 1_500, 1.7), (1_500, 5_000, 1.2), (5_000, 12_000, 0.6))


class Desk:
    """Where one piece is put together.

    Args:
        seconds: its length.
    """

    def __init__(self, seconds: float) -> None:
        size = int(seconds * RATE)
        self._dry = np.zeros((2, size), np.float32)
        self._send = np.zeros((2, size), np.float32)
        self._pumped = np.zeros((2, size), np.float32)
        self._kicks: list[float] = []

    def add(
        self, sound: Sound, at: float, *, pan: float, gain: float, room: float, pumped: bool
    ) -> None:
        """Put `sound` at second `at`.

        Args:
            sound: mono.
            at: seconds from the beginning.
            pan: -1 left to 1 right, at constant power.
            gain: a factor.
            room: how much of it the room hears.
            pumped: whether it makes way for the kick drum.
        """
        begin = max(0, int(at * RATE))
        heard = sound[: max(0, self._dry.shape[1] - begin)]
        angle = (pan + 1) * np.pi / 4
        sides = np.array([[np.cos(angle)], [np.sin(angle)]], np.float32) * np.float32(gain)
        span = slice(begin, begin + heard.size)
        (self._pumped if pumped else self._dry)[:, span] += heard * sides
        if room:
            self._send[:, span] += heard * sides * np.float32(room)

    def kick_at(self, at: float) -> None:
        """Let all that is `pumped` duck at second `at`."""
        self._kicks.append(at)

    def mixed(self, noise: np.random.Generator) -> Stereo:
        """Everything together, at the final level."""
        wet = _convolved(self._send, _room(noise))
        return mastered(self._dry + self._pumped * self._ducking() + wet)

    def _ducking(self) -> Stereo:
        gain = np.ones(self._dry.shape[1], np.float32)
        t = np.arange(int(0.34 * RATE)) / RATE
        dip = (1 - 0.62 * np.exp(-t * 11)).astype(np.float32)
        for at in self._kicks:
            begin = int(at * RATE)
            span = gain[begin : begin + dip.size]
            np.minimum(span, dip[: span.size], out=span)
        return gain[np.newaxis]


def mastered(mix: Stereo) -> Stereo:
    """`mix` at `LOUDNESS` (RMS), its peaks held below `CEILING`, silent at both ends."""
    mix = _faded(_brightened(mix))
    gain = LOUDNESS / max(_rms(mix), 1e-9)
    for _ in range(4):
        limited = _limited(mix * np.float32(gain))
        gain *= LOUDNESS / max(_rms(limited), 1e-9)
    limited = _limited(mix * np.float32(gain))
    return limited * np.float32(min(1.0, CEILING / max(float(np.abs(limited).max()), 1e-9)))


def _brightened(mix: Stereo) -> Stereo:
    """`mix` without what no loudspeaker can do below 30 Hz, and with some more air on top."""
    size = mix.shape[1]
    length = 1 << (size - 1).bit_length()
    pitch = np.fft.rfftfreq(length, 1 / RATE)
    below = pitch**4 / (pitch**4 + 30.0**4)
    air = 1 + 0.8 * pitch**2 / (pitch**2 + 2_500.0**2)
    heard = np.fft.irfft(np.fft.rfft(mix, length) * below * air, length)
    return _exactly(heard[:, :size])


def _limited(mix: Stereo) -> Stereo:
    """`mix` turned down just before each peak, and back up slowly after it."""
    size = mix.shape[1]
    blocks = -(-size // _BLOCK)
    padded = np.zeros(blocks * _BLOCK, np.float32)
    padded[:size] = np.abs(mix).max(axis=0)
    wanted = np.minimum(1.0, CEILING / np.maximum(padded.reshape(blocks, _BLOCK).max(axis=1), 1e-9))
    # A peak is heard of before it comes, and weighs on what follows: a slow recovery.
    around = np.pad(wanted, (_BEHIND, _AHEAD + 1), constant_values=1.0)
    windows = np.lib.stride_tricks.sliding_window_view(around, _BEHIND + _AHEAD + 2)
    lowest = windows.min(axis=1)
    weights = np.hanning(2 * _AHEAD + 3)[1:-1]
    smooth = np.convolve(np.pad(lowest, _AHEAD, mode="edge"), weights / weights.sum(), "valid")
    centres = (np.arange(blocks) + 0.5) * _BLOCK
    gain = np.interp(np.arange(size), centres, smooth[:blocks])
    return _exactly(mix * gain)


def _room(noise: np.random.Generator) -> Stereo:
    """The answer of a small hall to one clap."""
    size = int(1.9 * RATE)
    t = np.arange(size) / RATE
    pitch = np.fft.rfftfreq(size, 1 / RATE)
    answer = np.zeros((2, size))
    for low, high, dies in _ROOM:
        band = np.fft.rfft(noise.standard_normal((2, size)), axis=1)
        band *= (pitch >= low) & (pitch < high)
        answer += np.fft.irfft(band, size, axis=1) * np.exp(-t * 6.9 / dies)
    answer *= np.clip((t - 0.012) / 0.01, 0, 1)
    return _exactly(answer / np.sqrt((answer**2).sum(axis=1, keepdims=True)))


def _convolved(sound: Stereo, answer: Stereo) -> Stereo:
    size = sound.shape[1]
    length = 1 << (size + answer.shape[1]).bit_length()
    both = np.fft.rfft(sound, length, axis=1) * np.fft.rfft(answer, length, axis=1)
    return _exactly(np.fft.irfft(both, length, axis=1)[:, :size])


def _faded(mix: Stereo) -> Stereo:
    size = mix.shape[1]
    index = np.arange(size)
    begin = np.clip(index / (0.005 * RATE), 0, 1)
    end = np.clip((size - 1 - index) / (0.9 * RATE), 0, 1)
    return _exactly(mix * begin * end * end * (3 - 2 * end))


def _rms(mix: Stereo) -> float:
    return float(np.sqrt(np.mean(np.square(mix, dtype=np.float64))))


def _exactly(sound: Any) -> Stereo:
    return np.asarray(sound, np.float32)
