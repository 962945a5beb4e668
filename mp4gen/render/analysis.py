"""Decode an audio file once and find out what a render needs to know of it. Draws nothing."""

import hashlib
import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction

import numpy as np
from attrs import frozen
from av import AudioFifo, AudioFrame, AudioResampler

from mp4gen.errors import RenderError

from . import aac
from .cancellation import CancelToken
from .clip import WHOLE, Clip, cut
from .colour import Bytes, Floats
from .decode import DECODING_ERRORS, Decoder, display_name, too_long_error
from .header import NO_HEADER, Header
from .loudness import NO_LOUDNESS, Loudness, LoudnessMeter
from .options import FrameRate, PathLike
from .spectrum import RATE, LevelMeter

# Full scale is 1, but a file of floats may contain any number.
MAX_SAMPLE = 1e6
# An AAC decoder may find the true rate and channels only after some packets.
FORMAT_PROBE_SECONDS = 1
# Different tracks differ within this time, and each part of a track has the same digest.
DIGEST_SECONDS = 30
# Samples at a time: enough to share the cost per call, few enough to stay in the cache.
_BATCH = 16384


@frozen(eq=False)
class Features:
    """The analysis of a track, or of the part of it that becomes a video.

    Attributes:
        levels: (frames, bands), one byte each: `STEP_DB` steps above `FLOOR_DB`.
        duration: seconds of decoded audio.
        damaged_packets: packets that could not be decoded and were left out.
        format_changes: whether the sample rate or the channels change within the track.
        digest: 32 bytes that identify the track, by its first 30 seconds; the same for each part,
            size and frame rate.
        peak: largest sample of any channel, mixed down to stereo; full scale is 1.
        header: what the file states about itself.
        clip: the part that was analysed.
        track_seconds: seconds of the track that were decoded, up to the clip's end.
        profile: variant of the codec that was decoded, such as "LC" of AAC, or "".
        loudness: that of each frame.
    """

    levels: Bytes
    duration: float
    damaged_packets: int = 0
    format_changes: bool = False
    digest: bytes = b""
    peak: float = 0.0
    header: Header = NO_HEADER
    clip: Clip = WHOLE
    track_seconds: float = 0.0
    profile: str = ""
    loudness: Loudness = NO_LOUDNESS


def analyse(
    path: PathLike,
    *,
    fps: FrameRate,
    bands: int,
    max_duration: float,
    clip: Clip = WHOLE,
    encoded_rate: int | None = None,
    cancel: CancelToken | None = None,
) -> Features:
    """Decode `path` once and measure `bands` levels for each of `fps` frames per second of `clip`.

    The peak is that of the samples at `encoded_rate`, or at the rate that every player supports.

    Raises:
        RenderError: not audio, damaged, too short, or a clip longer than `max_duration` seconds.
        RenderCancelledError: `cancel` was set.
    """
    # Only decoding tells how much of a long file belongs to the clip.
    decoder = Decoder(path, cancel, max_duration if clip == WHOLE else math.inf)
    name, identifier = display_name(path), _Identifier(iter(decoder))
    track = _Counter(identifier)
    part = _Counter(cut(iter(track), clip))
    meter, loudness, peak = LevelMeter(fps, bands), LoudnessMeter(fps), 0.0
    for samples, batch_peak in _stereo(part, name, encoded_rate):
        if part.seconds > max_duration:
            raise too_long_error(name, max_duration)
        peak = max(peak, batch_peak)
        meter.feed(samples)
        loudness.feed(samples)
    seconds = part.seconds
    decoder.check(float(track.seconds))
    clip.check(name, float(track.seconds), float(seconds))
    damaged_packets = decoder.damaged_packets
    # Rounded up: the video never ends before the audio.
    frames = math.ceil(seconds * fps)
    return Features(
        levels=meter.finish(frames),
        duration=float(seconds),
        damaged_packets=damaged_packets,
        format_changes=len(part.formats) > 1,
        digest=identifier.digest(),
        peak=peak,
        header=decoder.header,
        clip=clip,
        track_seconds=float(track.seconds),
        profile=decoder.profile,
        loudness=loudness.finish(frames),
    )


class _Identifier:
    """Passes frames on, and computes the digest of the first channel of the first seconds."""

    def __init__(self, frames: Iterator[AudioFrame]) -> None:
        self._frames = frames
        self._hash = hashlib.sha256()
        self._seconds = 0.0

    def __iter__(self) -> Iterator[AudioFrame]:
        for frame in self._frames:
            if self._seconds < DIGEST_SECONDS:
                self._add(frame)
            yield frame

    def digest(self) -> bytes:
        """Return the digest; read what is missing if the frames were left before their end."""
        # Damage behind the clip does not concern it.
        with suppress(RenderError):
            while self._seconds < DIGEST_SECONDS and (frame := next(self._frames, None)):
                self._add(frame)
        return self._hash.digest()

    def _add(self, frame: AudioFrame) -> None:
        self._seconds += frame.samples / frame.sample_rate
        channels = 1 if frame.format.is_planar else frame.layout.nb_channels
        size = frame.samples * frame.format.bytes * channels
        self._hash.update(memoryview(frame.planes[0])[:size])


class _Counter:
    """Passes frames on, and counts their seconds and formats.

    Attributes:
        formats: the sample rates and layouts after the first second.
    """

    def __init__(self, frames: Iterable[AudioFrame]) -> None:
        self.formats: set[tuple[str, int]] = set()
        self._frames = frames
        self._before = Fraction(0)
        self._samples, self._rate = 0, 1

    @property
    def seconds(self) -> Fraction:
        """The seconds of all frames up to now."""
        return self._before + Fraction(self._samples, self._rate)

    def __iter__(self) -> Generator[AudioFrame, None, None]:
        for frame in self._frames:
            if frame.sample_rate != self._rate:
                self._before, self._samples, self._rate = self.seconds, 0, frame.sample_rate
            self._samples += frame.samples
            if float(self._before) + self._samples / self._rate > FORMAT_PROBE_SECONDS:
                self.formats.add((frame.layout.name, frame.sample_rate))
            yield frame


def _stereo(
    frames: Iterable[AudioFrame], name: str, encoded_rate: int | None
) -> Iterator[tuple[Floats, float]]:
    """Yield the samples (2, n) at `RATE` in batches, each with its peak.

    Each stretch of equal rate and layout gets its own resamplers.
    """
    for parts, peak in _batches(frames, name, encoded_rate):
        if not peak <= MAX_SAMPLE:
            raise RenderError(f"NaN or out-of-range samples in the file: {name}. Export it again.")
        if parts:
            yield np.concatenate(parts, axis=1), peak


def _batches(
    frames: Iterable[AudioFrame], name: str, encoded_rate: int | None
) -> Iterator[tuple[list[Floats], float]]:
    stretch: _Stretch | None = None
    for frame in frames:
        frame.pts = None
        if stretch is None or stretch.format != _format_of(frame):
            if stretch is not None:
                yield from stretch.finish()
            stretch = _Stretch(frame, name, encoded_rate)
        yield from stretch.feed(frame)
    if stretch is not None:
        yield from stretch.finish()


def _format_of(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


class _Stretch:
    """Converts frames of one format: as the AAC encoder gets them for the peak, then to `RATE`."""

    def __init__(self, first: AudioFrame, name: str, encoded_rate: int | None) -> None:
        self.format = _format_of(first)
        self._name, self._channels = name, first.layout.nb_channels
        layout = aac.layout_for(first.layout.nb_channels)
        rate = encoded_rate or aac.rate_for(first.sample_rate)
        self._fifo = AudioFifo()
        self._encoded = AudioResampler(format="fltp", layout=layout, rate=rate)
        self._analysed = AudioResampler(format="fltp", layout=layout, rate=RATE)

    def feed(self, frame: AudioFrame) -> Iterator[tuple[list[Floats], float]]:
        """Yield the samples at `RATE`, and the largest of those to encode, if a batch is full."""
        self._fifo.write(frame)
        if self._fifo.samples >= _BATCH:
            yield self._resample(self._fifo.read(partial=True))

    def finish(self) -> Iterator[tuple[list[Floats], float]]:
        """Yield the rest of the samples."""
        if self._fifo.samples:
            yield self._resample(self._fifo.read(partial=True))
        yield self._resample(None)

    def _resample(self, frame: AudioFrame | None) -> tuple[list[Floats], float]:
        try:
            encoded = self._encoded.resample(frame)
            parts: list[AudioFrame | None] = [*encoded] if frame else [*encoded, None]
            small = [each for part in parts for each in self._analysed.resample(part)]
        except DECODING_ERRORS as error:
            raise RenderError(
                f"Cannot mix down the audio of {self._name}: {self._channels} channels at "
                f"{self.format[-1]} Hz. Use mono or stereo."
            ) from error
        peak = max((_peak(_samples(part)) for part in encoded), default=0.0)
        return [np.broadcast_to(_samples(each), (2, each.samples)) for each in small], peak


def _samples(frame: AudioFrame) -> Floats:
    # `to_ndarray` would copy the planes twice.
    planes = (np.frombuffer(memoryview(plane), np.float32, frame.samples) for plane in frame.planes)
    return np.stack([*planes])


def _peak(samples: Floats) -> float:
    return float(np.maximum(samples.max(initial=0), -samples.min(initial=0)))
