"""Instruments: a pitch, a length and a strength in, a sound out; places nothing in time or space.

Sounds are mono float32 at `RATE`, about 1 at their loudest. Lengths are seconds for which the note
is held; what rings on afterwards is the instrument's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]
Voice = Callable[[float, float, float], Sound]

RATE = 44_100
_TABLE = 4096
_TAU = 2 * np.pi


def electric_piano(pitch: float, hold: float, strength: float) -> Sound:
    """Struck tines: two sines that bend each other, bell-like when struck hard."""
    t = _clock(hold + 0.5)
    bark = (0.5 + 1.7 * strength) * np.exp(-t * 2.3)
    body = np.sin(_TAU * pitch * t + bark * np.sin(_TAU * pitch * t))
    tine = np.sin(_TAU * pitch * 7.0 * t) * np.exp(-t * 7) * 0.3 * strength
    return _shaped((body + tine) * np.exp(-t * 0.75), hold, attack=0.004, release=0.22)


def vibraphone(pitch: float, hold: float, strength: float) -> Sound:
    """A metal bar over a pipe, with the fan that makes it waver."""
    t = _clock(hold + 1.2)
    fan = 1 - 0.16 * (0.5 - 0.5 * np.cos(_TAU * 5.2 * t))
    bar = np.sin(_TAU * pitch * t) * np.exp(-t * 1.7)
    click = np.sin(_TAU * pitch * 4 * t) * np.exp(-t * 4.5) * 0.4 * strength
    click += np.sin(_TAU * pitch * 10 * t) * np.exp(-t * 22) * 0.15 * strength
    return _shaped((bar + click) * fan, hold, attack=0.002, release=0.9)


def music_box(pitch: float, hold: float, strength: float) -> Sound:
    """A plucked steel tooth: a pure tone under two quick, high partials."""
    t = _clock(hold + 1.4)
    tooth = np.sin(_TAU * pitch * t) * np.exp(-t * 2.4)
    glint = np.sin(_TAU * pitch * 3 * t) * np.exp(-t * 5.5) * 0.36
    spark = np.sin(_TAU * pitch * 6.02 * t) * np.exp(-t * 11) * 0.25 * strength
    return _shaped(tooth + glint + spark, hold + 0.4, attack=0.001, release=1.0)


def harp(pitch: float, hold: float, strength: float) -> Sound:
    """A string plucked near its middle; the high partials die first."""
    t = _clock(hold + 1.1)
    # Partial k is the k-th power of one turning, fading arrow: Horner's rule adds them all up.
    arrow = np.exp((-0.6 + 1j * _TAU * pitch) * t)
    tone = np.zeros_like(arrow)
    for partial in range(min(16, int(12_000 / pitch)), 0, -1):
        loud = abs(np.sin(np.pi * partial * 0.37)) / partial ** (1.45 - 0.5 * strength)
        tone = (tone + loud) * arrow
    string = 0.8 * tone.imag * np.exp(-t * 1.3)
    return _shaped(string, hold + 0.3, attack=0.002, release=0.8)


def strings(pitch: float, hold: float, strength: float) -> Sound:
    """A section: four players, never quite together, who lean into the note."""
    return _section(pitch, hold, strength, attack=0.42, release=0.8)


def warm_pad(pitch: float, hold: float, strength: float) -> Sound:
    """The same, quicker to speak."""
    return _section(pitch, hold, strength, attack=0.12, release=0.35)


def pluck(pitch: float, hold: float, strength: float) -> Sound:
    """A short synthesiser note whose brightness closes like a hand."""
    t = _clock(hold + 0.35)
    close = 0.1 + np.exp(-t * 10) * (0.4 + 0.5 * strength)
    tone = _opened(pitch, t, close) + 0.5 * _opened(pitch * 1.004, t, close)
    return _shaped(tone * np.exp(-t * 4.5) * 0.8, hold, attack=0.003, release=0.25)


def lead(pitch: float, hold: float, strength: float) -> Sound:
    """A singing synthesiser; the vibrato comes in late, as a singer's does."""
    t = _clock(hold + 0.3)
    sway = 0.0045 * np.clip((t - 0.25) * 4, 0, 1) * np.sin(_TAU * 5.4 * t)
    phase = np.cumsum(pitch * (1 + sway)) / RATE
    opening = 0.4 + 0.5 * strength * np.exp(-t * 2.2)
    tone = _saw(phase, opening)
    octave = 0.12 * np.sin(_TAU * 2 * phase)
    return _shaped(tone + octave, hold, attack=0.018, release=0.16)


def round_bass(pitch: float, hold: float, strength: float) -> Sound:
    """An upright: a soft thump, then the string."""
    t = _clock(hold + 0.15)
    string = np.sin(_TAU * pitch * t) + 0.42 * np.sin(_TAU * pitch * 2 * t) * np.exp(-t * 3)
    string += 0.16 * np.sin(_TAU * pitch * 3 * t) * np.exp(-t * 6)
    thump = 0.5 * strength * np.exp(-t * 55) * np.sin(_TAU * pitch * 4.1 * t)
    return _shaped(np.tanh(1.3 * string * np.exp(-t * 1.1)) + thump, hold, 0.007, 0.09)


def synth_bass(pitch: float, hold: float, strength: float) -> Sound:
    """A driven bass with a quick bite."""
    t = _clock(hold + 0.08)
    tone = _opened(pitch, t, 0.55 * strength * np.exp(-t * 16)) + 0.7 * np.sin(_TAU * pitch * t)
    return _shaped(np.tanh(1.5 * tone), hold, attack=0.003, release=0.05)


def hertz(note: str) -> float:
    """The pitch of a note's name, such as `Eb4`; A4 is 440 Hz."""
    steps = {"C": -9, "D": -7, "E": -5, "F": -4, "G": -2, "A": 0, "B": 2}
    accidental = note.count("#") - note.count("b")
    octave = int(note.lstrip("ABCDEFG#b"))
    return float(440.0 * 2 ** ((steps[note[0]] + accidental) / 12 + octave - 4))


def _clock(seconds: float) -> NDArray[np.float64]:
    return np.arange(int(seconds * RATE)) / RATE


def _shaped(tone: NDArray[np.float64], hold: float, attack: float, release: float) -> Sound:
    """`tone` with a soft beginning, and let go of after `hold`; silent at its very end."""
    t = np.arange(tone.size) / RATE
    rise = np.clip(t / attack, 0, 1)
    fall = np.exp(-np.clip(t - hold, 0, None) * 4 / release)
    end = np.clip((tone.size - np.arange(tone.size)) / (0.01 * RATE), 0, 1)
    return (tone * rise * rise * (3 - 2 * rise) * fall * end).astype(np.float32)


def _section(pitch: float, hold: float, strength: float, attack: float, release: float) -> Sound:
    t = _clock(hold + release)
    tone = np.zeros_like(t)
    swell = 0.3 + 0.4 * strength * np.clip(t / max(hold, 0.1), 0, 1)
    for player, cents in enumerate((-8.0, -2.5, 3.5, 9.0)):
        drift = 1.5 * np.sin(_TAU * (0.21 + 0.07 * player) * t + player)
        tone += _opened(pitch * 2 ** (cents / 1200), t, swell, drift / 1200)
    return _shaped(tone * 0.35, hold, attack, release)


def _opened(
    pitch: float,
    t: NDArray[np.float64],
    opening: NDArray[np.float64],
    drift: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """A saw tooth behind a filter: `opening` fades between its dull and its bright sound."""
    return _saw(pitch * t * (1 + drift * 0.02) + pitch % 1, opening)


def _saw(phase: NDArray[np.float64], opening: NDArray[np.float64]) -> NDArray[np.float64]:
    place = (phase * _TABLE).astype(np.int32) & (_TABLE - 1)
    return np.asarray(_dull()[place] + opening * _brightness()[place])


@cache
def _dull() -> NDArray[np.float64]:
    return _cycle([1 / partial**2.2 for partial in range(1, 7)])


@cache
def _brightness() -> NDArray[np.float64]:
    """What has to be added to the dull sound to make the bright one."""
    return _cycle([1 / partial for partial in range(1, 29)]) - _dull()


def _cycle(partials: Sequence[float]) -> NDArray[np.float64]:
    """One period of a wave with these partials."""
    angle = _TAU * np.arange(_TABLE) / _TABLE
    wave = np.sum([loud * np.sin(k * angle) for k, loud in enumerate(partials, 1)], axis=0)
    return np.asarray(wave / np.abs(wave).max())
