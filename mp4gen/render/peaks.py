"""Measure how loud each part of a whole track is, for a drawing of its waveform. Draws nothing."""

import numpy as np
from av import AudioFrame

from .colour import Floats
from .decode import Decoder
from .options import PathLike
from .waveform import CONTRAST, mean_powers, relative

# Full scale of the sample types that decoders return.
_FULL_SCALE = {"i2": 1 << 15, "i4": 1 << 31, "i8": 1 << 63, "u1": 1 << 7}
_HIGHEST = 100


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
    heights = _HIGHEST * relative(np.sqrt(mean_powers(powers, seconds, count))) ** CONTRAST
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
