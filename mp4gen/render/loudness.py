"""Measure how loud each video frame is: its RMS and its largest sample. Reads and draws nothing."""

import numpy as np
from attrs import frozen

from .colour import Floats
from .options import FrameRate
from .spectrum import RATE


def _empty() -> Floats:
    return np.zeros(0, np.float32)


@frozen(eq=False)
class Loudness:
    """The loudness of each frame; full scale is 1.

    Attributes:
        rms: (frames,) root mean square of both channels.
        peaks: (frames,) largest sample of either channel.
    """

    rms: Floats
    peaks: Floats


NO_LOUDNESS = Loudness(_empty(), _empty())


class LoudnessMeter:
    """Measures a stream of samples. It keeps two numbers a frame."""

    def __init__(self, fps: FrameRate) -> None:
        self._fps = fps
        self._fed = 0
        # The last of them is incomplete.
        self._energies, self._peaks = [0.0], [0.0]

    def feed(self, samples: Floats) -> None:
        """Add samples (2, n) at `RATE`."""
        if not samples.size:
            return
        starts = self._starts(samples.shape[1])
        energies = np.add.reduceat(np.square(samples), starts, axis=1).sum(axis=0)
        highest = np.maximum.reduceat(samples, starts, axis=1).max(axis=0)
        lowest = np.minimum.reduceat(samples, starts, axis=1).min(axis=0)
        peaks = np.maximum(highest, -lowest)
        self._energies[-1] += float(energies[0])
        self._peaks[-1] = max(self._peaks[-1], float(peaks[0]))
        self._energies += energies[1:].tolist()
        self._peaks += peaks[1:].tolist()
        self._fed += samples.shape[1]
        if self._start(len(self._peaks)) == self._fed:
            self._energies.append(0.0)
            self._peaks.append(0.0)

    def finish(self, frames: int) -> Loudness:
        """Return the loudness of exactly `frames` frames; silence follows the last sample."""
        bounds = np.rint(np.arange(frames + 1) * float(RATE / self._fps))
        found = np.zeros((2, frames), np.float32)
        count = min(frames, len(self._peaks))
        found[:, :count] = self._energies[:count], self._peaks[:count]
        return Loudness(np.sqrt(found[0] / (2 * np.diff(bounds))).astype(np.float32), found[1])

    def _starts(self, count: int) -> list[int]:
        """Return where frames begin in the next `count` samples, and the first sample."""
        starts = [0]
        number = len(self._peaks)
        while (start := self._start(number) - self._fed) < count:
            starts.append(start)
            number += 1
        return starts

    def _start(self, number: int) -> int:
        """Return the first sample of a frame."""
        return round(number * RATE / self._fps)
