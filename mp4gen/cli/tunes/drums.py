"""Drums: a strength and a source of noise in, one hit out; keeps no time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .voices import RATE, Sound

Drum = Callable[[float, np.random.Generator], Sound]

_TAU = 2 * np.pi


def kick(strength: float, noise: np.random.Generator) -> Sound:
    """A round bass drum: a falling tone with a felt beater."""
    t = _clock(0.42)
    tone = np.sin(_TAU * (47 * t + 2.1 * (1 - np.exp(-t * 34)))) * np.exp(-t * 8.5)
    beater = _hiss(noise, t.size) * np.exp(-t * 260) * 0.2
    return _hit(np.tanh(1.6 * tone) + beater, strength)


def snare(strength: float, noise: np.random.Generator) -> Sound:
    """A small drum with its wires on."""
    t = _clock(0.28)
    skin = (np.sin(_TAU * 188 * t) + 0.5 * np.sin(_TAU * 331 * t)) * np.exp(-t * 26)
    return _hit(0.55 * skin + 0.75 * _hiss(noise, t.size) * np.exp(-t * 19), strength)


def brush(strength: float, noise: np.random.Generator) -> Sound:
    """A snare stroked rather than struck."""
    t = _clock(0.32)
    swell = np.clip(t / 0.018, 0, 1) * np.exp(-t * 14)
    return _hit(0.7 * _hiss(noise, t.size) * swell + 0.2 * np.sin(_TAU * 176 * t) * swell, strength)


def hat(strength: float, noise: np.random.Generator) -> Sound:
    """A closed hi-hat."""
    t = _clock(0.09)
    return _hit(_air(noise, t.size) * np.exp(-t * 62), strength)


def open_hat(strength: float, noise: np.random.Generator) -> Sound:
    """A hi-hat left to ring."""
    t = _clock(0.3)
    return _hit(_air(noise, t.size) * np.exp(-t * 13), strength)


def shaker(strength: float, noise: np.random.Generator) -> Sound:
    """A handful of seeds, thrown and caught."""
    t = _clock(0.12)
    return _hit(_air(noise, t.size) * np.clip(t / 0.03, 0, 1) * np.exp(-t * 38), strength * 0.8)


def clap(strength: float, noise: np.random.Generator) -> Sound:
    """A few hands, not quite together."""
    t = _clock(0.26)
    hands = sum(np.exp(-np.clip(t - at, 0, None) * 190) * (t >= at) for at in (0.0, 0.011, 0.023))
    tail = np.exp(-np.clip(t - 0.03, 0, None) * 21) * (t >= 0.03) * 0.6
    return _hit(_hiss(noise, t.size) * (hands + tail) * 0.6, strength)


def triangle(strength: float, noise: np.random.Generator) -> Sound:
    """A bent steel rod; no two strokes hit quite the same place."""
    t = _clock(1.4)
    high = 4_120 * (1 + 0.004 * noise.standard_normal())
    tone = np.sin(_TAU * high * t) + 0.6 * np.sin(_TAU * high * 1.51 * t) * np.exp(-t * 4)
    return _hit(tone * np.exp(-t * 3.2) * 0.25, strength)


def _clock(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * RATE)) / RATE


def _hiss(noise: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Noise without its rumble."""
    raw = noise.standard_normal(size + 1) * 0.5
    return raw[1:] - 0.6 * raw[:-1]


def _air(noise: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Noise of the highest octaves only."""
    raw = noise.standard_normal(size + 2) * 0.35
    return raw[2:] - 2 * raw[1:-1] + raw[:-2]


def _hit(tone: NDArray[np.float64], strength: float) -> Sound:
    end = np.clip((tone.size - np.arange(tone.size)) / (0.01 * RATE), 0, 1)
    return (tone * end * strength).astype(np.float32)
