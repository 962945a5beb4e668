"""Measure how loud each part of a whole track is, for a drawing of its waveform. Draws nothing."""

import numpy as np
from av import AudioFrame

from .colour import Floats
from .decode import Decoder
from .options import PathLike

# Full scale of the sample types that decoders return.
_FULL_SCALE = {"i2": 1 << 15, "i4": 1 << 31, "i8": 1 << 63, "u1": 1 << 7}
_HIGHEST = 100
# A few loud moments do not make the rest of a track small, and quiet parts stay visible as such.
_LOUD_SHARE, _CONTRAST = 0.97, 1.35


def measure_peaks(audio: PathLike, count: int) -> tuple[list[int], float]:
    """Return the loudness of `count` equal parts, from 0 to 100, and the seconds of the track.

    Raises:
        RenderError: not audio, damaged or too short.
        RenderIOError: the file cannot be read.
    """
    decoder = Decoder(audio)
    powers, seconds = [], []
    for frame in decoder:
        powers.append(_power(frame))
        seconds.append(frame.samples / frame.sample_rate)
    duration = float(sum(seconds))
    decoder.check(duration)
    levels = np.sqrt(_parts(np.array(powers), np.array(seconds), count))
    loud = max(float(np.quantile(levels, _LOUD_SHARE)), 1e-6)
    heights = _HIGHEST * np.minimum(levels / loud, 1.0) ** _CONTRAST
    return [round(float(height)) for height in heights], duration


def _power(frame: AudioFrame) -> float:
    samples = frame.to_ndarray()
    kind = samples.dtype.str[1:]
    values: Floats = samples.astype(np.float32)
    if kind == "u1":
        values -= np.float32(_FULL_SCALE[kind])
    values /= np.float32(_FULL_SCALE.get(kind, 1))
    # A file of floats may contain any number, and none.
    return float(np.nan_to_num(np.mean(np.square(np.clip(values, -1, 1)))))


def _parts(powers: Floats, seconds: Floats, count: int) -> Floats:
    """Return the mean power of `count` equal parts of the track."""
    ends = np.cumsum(seconds)
    energy = np.concatenate(([0.0], np.cumsum(powers * seconds)))
    edges = np.linspace(0.0, ends[-1], count + 1)
    means: Floats = np.diff(np.interp(edges, np.concatenate(([0.0], ends)), energy))
    means *= count / ends[-1]
    return means
