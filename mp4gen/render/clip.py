"""Cut decoded audio to a part of a track, to the sample. Decodes nothing.

Only a cut is faded: the true start and the true end of a track stay as they are.
"""

import math
from collections.abc import Generator
from contextlib import closing
from fractions import Fraction

import numpy as np
from attrs import frozen
from av import AudioFrame

from mp4gen.errors import RenderError

from .colour import Floats
from .decode import MIN_DURATION
from .times import exact_clock, parse_time

# Enough to avoid a click, too short to be heard as a fade.
FADE_SECONDS = 0.015
_SAMPLE_TYPES = {
    "u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64,
    "flt": np.float32, "dbl": np.float64,
}  # fmt: skip
_SILENT_BYTE = 128

_Frames = Generator[AudioFrame, None, None]


@frozen
class Clip:
    """The part of a track that becomes a video.

    Attributes:
        start: seconds into the track.
        length: seconds, or None for the rest of the track. A shorter track ends it earlier.
    """

    start: float = 0.0
    length: float | None = None

    @property
    def stop(self) -> float:
        """The second of the track at which the clip ends, or infinity."""
        return math.inf if self.length is None else self.start + self.length

    def duration_in(self, track_seconds: float) -> float:
        """Return the seconds of the clip in a track of that length."""
        return max(min(self.stop, track_seconds) - self.start, 0.0)

    def check(self, name: str, track_seconds: float, seconds: float) -> None:
        """Refuse a clip of which too little is left.

        Args:
            name: the file's name for the error.
            track_seconds: the decoded seconds of the track.
            seconds: those of them that belong to the clip.

        Raises:
            RenderError: the start is too near the track's end.
        """
        if seconds < MIN_DURATION:
            raise RenderError(
                f"Invalid start: {exact_clock(self.start)}, but the audio of {name} ends at "
                f"{exact_clock(track_seconds)}. Choose an earlier start."
            )


WHOLE = Clip()


def clip_of(start: float | str, length: float | str | None) -> Clip:
    """Return the clip of a caller's arguments.

    Raises:
        RenderError: one of them is not a time, or the length is too short.
    """
    seconds = None if length is None else parse_time(length, "length")
    if seconds is not None and seconds < MIN_DURATION:
        raise RenderError(f"Invalid length: {length!r}. Use at least {MIN_DURATION} s.")
    return Clip(parse_time(start, "start"), seconds)


def cut(frames: _Frames, clip: Clip) -> _Frames:
    """Return the frames of a clip; its first and last are cut and faded.

    Args:
        frames: all frames from the start of the track; closed at the end of the clip.
        clip: the part to keep.
    """
    return frames if clip == WHOLE else _cut(frames, clip)


def _cut(frames: _Frames, clip: Clip) -> _Frames:
    before = Fraction(0)
    # Parts near the end, with their samples' distances from it: if the track ends here as well,
    # they are not faded.
    held: list[tuple[AudioFrame, Floats]] = []
    is_cut = False
    with closing(frames):
        for frame in frames:
            rate, count = frame.sample_rate, frame.samples
            first = _sample(clip.start, before, rate)
            last = count + 1 if clip.length is None else _sample(clip.stop, before, rate)
            before += Fraction(count, rate)
            is_cut = last < count or last <= 0
            begin, end = max(first, 0), min(last, count)
            if begin < end:
                part = frame if end - begin == count else _part(frame, begin, end)
                places = np.arange(begin, end, dtype=np.float32) + np.float32(0.5)
                if clip.start and begin - first < FADE_SECONDS * rate:
                    part = _faded(part, (places - first) / np.float32(rate))
                if clip.length is not None and last - end < FADE_SECONDS * rate:
                    held.append((part, (last - places) / np.float32(rate)))
                else:
                    yield part
            if is_cut:
                break
    for part, distances in held:
        yield _faded(part, distances) if is_cut else part


def _sample(seconds: float, before: Fraction, rate: int) -> int:
    """Return the sample at a time of the track in a frame that starts at the time `before`."""
    return math.floor((Fraction(seconds) - before) * rate + Fraction(1, 2))


def _part(frame: AudioFrame, begin: int, end: int) -> AudioFrame:
    part = AudioFrame(frame.format, frame.layout, end - begin)
    part.sample_rate = frame.sample_rate
    if frame.time_base is not None:
        part.time_base = frame.time_base
    step = frame.format.bytes * _channels_of_plane(frame)
    for target, source in zip(part.planes, frame.planes, strict=True):
        memoryview(target)[: (end - begin) * step] = memoryview(source)[begin * step : end * step]
    return part


def _faded(frame: AudioFrame, distances: Floats) -> AudioFrame:
    """Return a copy, faded by the samples' seconds from a cut: half a period of a cosine."""
    # The decoder may still use its frame.
    copy = _part(frame, 0, frame.samples)
    shares = np.clip(distances / np.float32(FADE_SECONDS), 0, 1)
    gains = (0.5 - 0.5 * np.cos(np.pi * shares))[:, None]
    name = frame.format.name.removesuffix("p")
    offset = _SILENT_BYTE if name == "u8" else 0
    channels = _channels_of_plane(frame)
    for plane in copy.planes:
        samples = np.frombuffer(memoryview(plane), _SAMPLE_TYPES[name], frame.samples * channels)
        faded = (samples.reshape(-1, channels) - offset) * gains + offset
        is_whole = samples.dtype.kind in "iu"
        samples[:] = (np.rint(faded) if is_whole else faded).reshape(-1)
    return copy


def _channels_of_plane(frame: AudioFrame) -> int:
    return 1 if frame.format.is_planar else frame.layout.nb_channels
