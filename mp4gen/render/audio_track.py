"""Write the video's audio: the input's own packets if an MP4 can hold them, else encoded again.

Both ways start at sample 0 of the decoded audio: a codec's delay becomes an edit list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction

import attrs
import numpy as np
from attrs import frozen
from av import (
    AudioCodecContext,
    AudioFifo,
    AudioFrame,
    AudioResampler,
    AudioStream,
    BitStreamFilterContext,
    Packet,
)
from av.container import OutputContainer

from . import aac, decode
from .aac_encoder import AacEncoder, fast_options
from .analysis import Features
from .cancellation import CancelToken
from .clip import WHOLE, Clip, cut
from .header import Header
from .options import AudioMode, AudioOptions, PathLike

STEREO_BIT_RATE, MONO_BIT_RATE = 320_000, 192_000
# The bit rate of dense music relative to the usual one, if none was requested.
DENSE_FACTOR = 1.4
# A header's bit rate may include the container's share.
_BIT_RATE_TOLERANCE = 1.05
COPYABLE_CODECS: dict[AudioMode, tuple[str, ...]] = {
    "compatible": ("aac",),
    "copy": ("aac", "mp3", "flac", "alac", "opus"),
}
# Matroska rounds times to milliseconds, which an MP4 would keep.
_INEXACT_CONTAINERS = ("matroska",)
_PLAYER_LIMITS = {
    "mp3": "MP3 in an MP4 is silent in Safari, QuickTime and every browser on iOS",
    "flac": "FLAC in an MP4 does not play in older Safari and on many upload sites",
    "alac": "ALAC plays in Apple's players and is silent in Chrome and Firefox",
    "opus": "Opus in an MP4 does not play in older Safari and on some upload sites",
}
_VARIANT_LIMIT = "AAC other than AAC-LC in stereo at 48 kHz does not play in every browser"
_REENCODED_WARNING = "The audio is damaged or changes its format, so it was encoded as AAC."


@frozen
class AudioPlan:
    """The audio of the MP4.

    Attributes:
        codec: "aac", or another if the caller chose it.
        source: header of the audio file.
        copied: whether the packets are the input's.
        warning: a known limit of players, or "".
        gain: factor for all samples if they are encoded.
        clip: the part of the track that is encoded.
        bit_rate: bits per second of encoded AAC; None for the usual rate (more for dense music),
            or if the audio is not encoded as AAC.
        sample_rate: rate to encode at in Hz; None: the input's if every player knows it.
    """

    codec: str
    source: Header
    copied: bool
    warning: str = ""
    gain: float = 1.0
    clip: Clip = WHOLE
    bit_rate: int | None = None
    sample_rate: int | None = None


def plan_audio(options: AudioOptions, features: Features) -> AudioPlan:
    """Choose the codec; copy nothing unless all packets are undamaged and of one format."""
    mode, header = options.mode, features.header
    codec = header.codec
    is_variant = codec == "aac" and not aac.plays_everywhere(header, features.profile)
    encoded = AudioPlan(
        "aac",
        header,
        copied=False,
        gain=aac.gain_for(features.peak),
        clip=features.clip,
        bit_rate=options.bit_rate,
        sample_rate=options.sample_rate,
    )
    copyable = (
        codec in COPYABLE_CODECS[mode]
        and header.container not in _INEXACT_CONTAINERS
        and features.clip == WHOLE
        and not (is_variant and mode == "compatible")
    )
    if features.damaged_packets or features.format_changes:
        lost = copyable or mode == "copy"
        return attrs.evolve(encoded, warning=_REENCODED_WARNING if lost else "")
    if mode == "compatible" and not (copyable and _fits(header, options)):
        return encoded
    codec = codec if copyable else "flac"
    limit = _VARIANT_LIMIT if is_variant and copyable else _PLAYER_LIMITS.get(codec)
    warning = f'{limit}. Use audio_mode="compatible" for all players.' if limit else ""
    return AudioPlan(codec, header, copied=copyable, warning=warning, clip=features.clip)


def _fits(header: Header, options: AudioOptions) -> bool:
    """Return whether a file has the bit rate and the sample rate that were asked for."""
    rate, bit_rate = options.sample_rate, options.bit_rate
    return (rate is None or header.sample_rate == rate) and (
        bit_rate is None or header.bit_rate <= bit_rate * _BIT_RATE_TOLERANCE
    )


def usual_bit_rate(channels: int) -> int:
    """Return the bits per second of encoded AAC, if the music is not dense."""
    return MONO_BIT_RATE if channels == 1 else STEREO_BIT_RATE


class StreamCopy:
    """Copies packets unchanged, shifted in time so that the first audible sample is at zero."""

    def __init__(self, path: PathLike, output: OutputContainer, cancel: CancelToken | None) -> None:
        self._closing = ExitStack()
        container, stream = self._closing.enter_context(decode.open_audio(path))
        self._output = output
        self._stream = output.add_stream_from_template(stream)
        packets = decode.packets_of(container, stream, cancel)
        is_adts = container.format.name == "aac"
        self._packets = _without_headers(packets, stream) if is_adts else packets
        self._start = stream.start_time or 0
        self._tick = float(stream.time_base or 0)
        self._seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Write the audio up to `seconds`."""
        while self._seconds < seconds:
            packet = next(self._packets, None)
            if packet is None:
                self._seconds = float("inf")
                return
            if packet.pts is None or packet.dts is None:
                continue
            packet.pts -= self._start
            packet.dts -= self._start
            self._seconds = packet.pts * self._tick
            packet.stream = self._stream
            self._output.mux(packet)

    def finish(self) -> None:
        """Write the rest."""
        self.advance(float("inf"))

    def close(self) -> None:
        """Close the input."""
        self._closing.close()


def _without_headers(
    packets: Iterable[Packet[AudioStream]], stream: AudioStream
) -> Iterator[Packet[AudioStream]]:
    """Remove the header that each packet of an ADTS file has; an MP4 has one for all."""
    remover = BitStreamFilterContext("aac_adtstoasc", stream)
    for packet in packets:
        yield from remover.filter(packet)


class AudioEncoder:
    """Decodes and encodes: AAC-LC for all players, or FLAC, lossless up to 24 bits."""

    def __init__(
        self, plan: AudioPlan, path: PathLike, output: OutputContainer, cancel: CancelToken | None
    ) -> None:
        self._encoder: AacEncoder | AudioCodecContext
        if plan.codec == "aac":
            self._stream, self._encoder = add_aac(output, plan)
        else:
            self._stream = add_flac(output, plan.source)
            self._encoder = self._stream.codec_context
        self._gain = np.float32(plan.gain)
        self._frames = cut(iter(decode.Decoder(path, cancel)), plan.clip)
        self._output = output
        self._coder = self._stream.codec_context
        self._tick = Fraction(1, self._coder.sample_rate)
        self._fifo = AudioFifo()
        self._resampler = self._new_resampler()
        self._input_format: tuple[str, str, int] | None = None
        self._sent = 0

    def advance(self, seconds: float) -> None:
        """Write the audio up to `seconds`."""
        while self._sent / self._coder.sample_rate < seconds:
            frame = next(self._frames, None)
            if frame is None:
                return
            self._encode(frame)

    def finish(self) -> None:
        """Write the rest, down to the last sample."""
        self.advance(float("inf"))
        self._buffer(self._resampler.resample(None))
        self._encode_buffered(partial=True)
        self._mux(None)

    def close(self) -> None:
        """Close the input."""
        self._frames.close()

    def _encode(self, frame: AudioFrame) -> None:
        self._push(frame)
        self._encode_buffered()

    def _push(self, frame: AudioFrame) -> None:
        frame_format = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._input_format not in (None, frame_format):
            self._buffer(self._resampler.resample(None))
            self._resampler = self._new_resampler()
        self._input_format = frame_format
        frame.pts = None
        self._buffer(self._resampler.resample(frame))

    def _buffer(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            frame.pts, frame.time_base = None, self._tick
            self._fifo.write(frame)

    def _encode_buffered(self, *, partial: bool = False) -> None:
        size = self._coder.frame_size or 4096
        while (frame := self._fifo.read(size, partial)) is not None:
            frame.pts, frame.time_base = self._sent, self._tick
            self._sent += frame.samples
            if self._gain != 1:
                _amplify(frame, self._gain)
            self._mux(frame)

    def _mux(self, frame: AudioFrame | None) -> None:
        for packet in self._encoder.encode(frame):
            self._write(packet)

    def _write(self, packet: Packet[AudioStream]) -> None:
        packet.stream = self._stream
        self._output.mux(packet)

    def _new_resampler(self) -> AudioResampler:
        coder = self._coder
        return AudioResampler(format=coder.format, layout=coder.layout, rate=coder.sample_rate)


def _amplify(frame: AudioFrame, gain: np.float32) -> None:
    for plane in frame.planes:
        samples = np.frombuffer(memoryview(plane), np.float32, frame.samples)
        samples *= gain


def add_aac(output: OutputContainer, plan: AudioPlan) -> tuple[AudioStream, AacEncoder]:
    """Add a stream for AAC, and return it with its encoder."""
    rate = plan.sample_rate or aac.rate_for(plan.source.sample_rate)
    layout, channels = aac.layout_for(plan.source.channels), min(plan.source.channels, 2)
    usual = usual_bit_rate(channels)
    bit_rate = aac.usable_bit_rate(plan.bit_rate or usual, rate, channels)
    stream = output.add_stream("aac", rate=rate, options=fast_options(bit_rate, channels))
    coder = stream.codec_context
    coder.format, coder.layout, coder.bit_rate = "fltp", layout, bit_rate
    if plan.bit_rate is not None:
        return stream, AacEncoder(coder)
    dense = aac.usable_bit_rate(round(usual * DENSE_FACTOR), rate, channels)
    return stream, AacEncoder(coder, dense)


def add_flac(output: OutputContainer, source: Header) -> AudioStream:
    """Add a stream for lossless audio."""
    stream = output.add_stream("flac", rate=source.sample_rate)
    is_short = source.sample_format in ("u8", "u8p", "s16", "s16p")
    stream.codec_context.format = "s16" if is_short else "s32"
    stream.codec_context.layout = source.layout
    return stream
