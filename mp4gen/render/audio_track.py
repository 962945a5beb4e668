"""The video's sound: the input's own packets where they fit an MP4, else encoded afresh.

Both ways start at sample 0 of what was decoded: a codec's delay becomes an edit list.
"""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from typing import Protocol

from attrs import frozen
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from . import decode
from .cancellation import CancelToken
from .options import AudioMode, PathLike

STEREO_BIT_RATE, MONO_BIT_RATE = 320_000, 192_000
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# A third of the default coder's work at a little more signal to noise.
AAC_OPTIONS = {"aac_coder": "fast", "aac_pns": "0", "aac_is": "0", "aac_tns": "0"}
COPYABLE_CODECS: dict[AudioMode, tuple[str, ...]] = {
    "compatible": ("aac",),
    "copy": ("aac", "mp3", "flac", "alac", "opus"),
}
_PLAYER_LIMITS = {
    "mp3": "MP3 inside an MP4 stays silent in Safari, QuickTime and every browser on iOS",
    "flac": "FLAC inside an MP4 does not play in older Safari and on many upload sites",
    "alac": "ALAC plays with Apple's players and is silent in Chrome and Firefox",
    "opus": "Opus inside an MP4 does not play in older Safari and on some upload sites",
}
_REENCODED_WARNING = (
    "The sound is damaged or changes its kind on the way, so it was encoded as AAC."
)


class AudioWriter(Protocol):
    """What the muxing loop needs of the sound."""

    def advance(self, seconds: float) -> None:
        """Write what is heard before `seconds`."""

    def finish(self) -> None:
        """Write the rest."""

    def close(self) -> None:
        """Let go of the input."""


@frozen
class AudioPlan:
    """How the sound gets into the MP4.

    Attributes:
        codec: of the sound in the MP4.
        copied: whether its packets are the input's own.
        warning: a known limit of players, or "".
    """

    codec: str
    copied: bool
    warning: str


def plan_audio(path: PathLike, mode: AudioMode, *, intact: bool) -> AudioPlan:
    """Decide; packets that are damaged, or of more than one kind, are never handed on.

    Args:
        path: the music file.
        mode: what is wished.
        intact: whether every packet could be decoded, all at one rate and with the same channels.
    """
    with decode.open_audio(path) as (_, stream):
        codec = decode.codec_of(stream)
    if not intact:
        lost = codec in COPYABLE_CODECS[mode] or mode == "copy"
        return AudioPlan("aac", copied=False, warning=_REENCODED_WARNING if lost else "")
    if codec in COPYABLE_CODECS[mode]:
        limit = _PLAYER_LIMITS.get(codec, "")
        warning = f'{limit}; audio_mode="compatible" plays everywhere.' if limit else ""
        return AudioPlan(codec, copied=True, warning=warning)
    if mode == "copy" and (codec == "vorbis" or codec.startswith("pcm_")):
        warning = f'{_PLAYER_LIMITS["flac"]}; audio_mode="compatible" plays everywhere.'
        return AudioPlan("flac", copied=False, warning=warning)
    return AudioPlan("aac", copied=False, warning="")


def open_audio_writer(
    audio_plan: AudioPlan, path: PathLike, output: OutputContainer, cancel: CancelToken | None
) -> AudioWriter:
    """Add the sound's stream to the output."""
    return (StreamCopy if audio_plan.copied else AudioEncoder)(audio_plan, path, output, cancel)


class StreamCopy:
    """Hands packets on as they are, moved so that the first sample heard is at zero."""

    def __init__(
        self,
        audio_plan: AudioPlan,
        path: PathLike,
        output: OutputContainer,
        cancel: CancelToken | None,
    ) -> None:
        self._closing = ExitStack()
        container, self._input = self._closing.enter_context(decode.open_audio(path))
        self._output = output
        self._stream = output.add_stream_from_template(self._input)
        self._packets = decode.packets_of(container, self._input, cancel)
        self._start = self._input.start_time or 0
        self._tick = float(self._input.time_base or 0)
        self._seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Write what is heard before `seconds`."""
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


class AudioEncoder:
    """Decodes and encodes: AAC-LC that plays everywhere, or FLAC that loses nothing of 24 bits."""

    def __init__(
        self,
        audio_plan: AudioPlan,
        path: PathLike,
        output: OutputContainer,
        cancel: CancelToken | None,
    ) -> None:
        with decode.open_audio(path) as (_, source):
            context = source.codec_context
            rate, channels = context.sample_rate, context.layout.nb_channels
            name = context.format.name if context.format else "fltp"
            layout = context.layout.name
        self._frames = iter(decode.Decoder(path, cancel))
        self._output = output
        self._stream = (
            _aac(output, rate, channels)
            if audio_plan.codec == "aac"
            else _flac(output, rate, layout, name)
        )
        self._coder: AudioCodecContext = self._stream.codec_context
        self._tick = Fraction(1, self._coder.sample_rate)
        self._fifo = AudioFifo()
        self._resampler = self._new_resampler()
        self._input_format: tuple[str, str, int] | None = None
        self._sent = 0

    def advance(self, seconds: float) -> None:
        """Write what is heard before `seconds`."""
        while self._sent / self._coder.sample_rate < seconds:
            frame = next(self._frames, None)
            if frame is None:
                return
            self._push(frame)
            self._encode_buffered(self._coder.frame_size or 4096)

    def finish(self) -> None:
        """Write the rest, down to the last sample."""
        self.advance(float("inf"))
        self._buffer(self._resampler.resample(None))
        self._encode_buffered(self._coder.frame_size or 4096)
        rest = self._fifo.read(0, partial=True) if self._fifo.samples else None
        if rest is not None:
            self._encode_frame(rest)
        self._output.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the input."""
        close = getattr(self._frames, "close", None)
        if close is not None:
            close()

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

    def _encode_buffered(self, size: int) -> None:
        while (frame := self._fifo.read(size)) is not None:
            self._encode_frame(frame)

    def _encode_frame(self, frame: AudioFrame) -> None:
        frame.pts, frame.time_base = self._sent, self._tick
        self._sent += frame.samples
        self._output.mux(self._stream.encode(frame))

    def _new_resampler(self) -> AudioResampler:
        coder = self._coder
        return AudioResampler(format=coder.format, layout=coder.layout, rate=coder.sample_rate)


def aac_rate(rate: int) -> int:
    """The rate to encode at: the input's own up to 48 kHz, above it the one it is a multiple of."""
    if rate > AAC_RATES[-1]:
        return 44100 if rate % 44100 == 0 else 48000
    return next(known for known in AAC_RATES if known >= rate)


def _aac(output: OutputContainer, rate: int, channels: int) -> AudioStream:
    stream = output.add_stream("aac", rate=aac_rate(rate), options=AAC_OPTIONS)
    coder = stream.codec_context
    coder.format = "fltp"
    coder.layout = "mono" if channels == 1 else "stereo"
    coder.bit_rate = MONO_BIT_RATE if channels == 1 else STEREO_BIT_RATE
    return stream


def _flac(output: OutputContainer, rate: int, layout: str, name: str) -> AudioStream:
    stream = output.add_stream("flac", rate=rate)
    coder = stream.codec_context
    coder.format = "s16" if name in ("u8", "u8p", "s16", "s16p") else "s32"
    coder.layout = layout
    return stream
