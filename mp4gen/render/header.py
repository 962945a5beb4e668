"""Read what an audio file states about itself. Decodes nothing."""

from collections.abc import Callable
from typing import BinaryIO

import av
from attrs import frozen
from av import AudioStream
from av.container import InputContainer

# libavformat estimates the duration of these by their first packets.
HEADERLESS = ("aac", "ac3", "eac3")
# Programs that write a WAV to a pipe state a size near the maximum.
_UNKNOWN_SIZE = 0x7FFF0000
# Chunks of a CAF before its audio.
_MAX_CHUNKS = 64


@frozen
class Header:
    """The properties of an audio file before it is decoded.

    Attributes:
        container: libavformat's first name of it: "mov" for an m4a.
        codec: canonical name, as of `codec_of`.
        config: the decoder's configuration, such as an AudioSpecificConfig, or empty.
        sample_format: "fltp", for example.
        sample_rate: Hz.
        layout: "stereo", for example.
        channels: number of channels.
        bit_rate: bits per second, 0 if unknown.
        duration: seconds, 0 if unknown; an estimate for some files.
        promised: seconds of the complete file, 0 if the header states none. An incomplete file
            has less.
    """

    container: str = ""
    codec: str = ""
    config: bytes = b""
    sample_format: str = ""
    sample_rate: int = 0
    layout: str = ""
    channels: int = 0
    bit_rate: int = 0
    duration: float = 0.0
    promised: float = 0.0


NO_HEADER = Header()


def read_header(container: InputContainer, stream: AudioStream, file: BinaryIO) -> Header:
    """Return the header of an open file, whose bytes are read from `file`.

    Raises:
        OSError: `file` cannot be read.
    """
    context, name = stream.codec_context, container.format.name.partition(",")[0]
    duration = header_duration(container, stream)
    return Header(
        container=name,
        codec=codec_of(stream),
        config=bytes(context.extradata or b""),
        sample_format=context.format.name if context.format else "",
        sample_rate=context.sample_rate,
        layout=context.layout.name,
        channels=context.layout.nb_channels,
        bit_rate=stream.bit_rate or container.bit_rate or 0,
        duration=duration,
        promised=_promised(name, stream, duration, container.size, file),
    )


def codec_of(stream: AudioStream) -> str:
    """Return the codec's canonical name: "mp3", also if the decoder is "mp3float"."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else ""


def header_duration(container: InputContainer, stream: AudioStream) -> float:
    """Return the seconds that the header claims or libavformat estimates, 0 if unknown."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def fits(seconds: float, stream: AudioStream, size: float) -> bool:
    """Return whether audio of that length fits into `size` bytes, if its bit rate is constant."""
    rate = stream.codec_context.bit_rate or 0
    return not codec_of(stream).startswith(("pcm_", "adpcm_")) or seconds * rate / 8 <= size


def _promised(name: str, stream: AudioStream, duration: float, size: int, file: BinaryIO) -> float:
    # The header of an MP3 also states the encoder's delay; without one the length is estimated.
    if name in HEADERLESS or (name == "mp3" and not stream.start_time):
        return 0.0
    if name not in _STATED_SIZES:
        return duration
    file.seek(0)
    stated = _STATED_SIZES[name](file)
    if not size < stated < _UNKNOWN_SIZE:
        return 0.0
    # libavformat cuts most lengths of such a header down to the size of the file.
    return duration * stated / size if fits(duration, stream, size) else duration


def _wav_size(file: BinaryIO) -> int:
    head = file.read(8)
    return int.from_bytes(head[4:], "little") + 8 if head[:4] == b"RIFF" else 0


def _w64_size(file: BinaryIO) -> int:
    return int.from_bytes(file.read(24)[16:], "little")


def _caf_size(file: BinaryIO) -> int:
    place = 8
    for _ in range(_MAX_CHUNKS):
        file.seek(place)
        head = file.read(12)
        place += 12 + int.from_bytes(head[4:], "big")
        if head[:4] == b"data" or place > _UNKNOWN_SIZE:
            return place
    return 0


_STATED_SIZES: dict[str, Callable[[BinaryIO], int]] = {
    "wav": _wav_size, "w64": _w64_size, "caf": _caf_size,
}  # fmt: skip
