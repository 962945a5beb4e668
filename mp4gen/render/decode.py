"""Opens music files safely and decodes them as one unbroken stream of sound; writes nothing.

Every file is taken for hostile: only the containers and codecs named here are opened, nothing
but the file itself is read, and only what was decoded counts as duration.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from mp4gen.errors import RenderError

from .cancellation import CancelToken, check_cancelled
from .options import PathLike

# Without these lists a text file that names other files would be opened, and they with it.
CONTAINERS = "mp3,mov,flac,ogg,wav,aac,aiff"
CODECS = ("mp3", "aac", "flac", "alac", "opus", "vorbis")
MIN_DURATION = 0.5
MAX_DAMAGED_SHARE = 0.1
# Tags in no known encoding are read as far as they go. PyAV 19 has no such option: it keeps the
# bytes that it cannot decode as surrogates.
_METADATA_OPTIONS: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
DECODING_ERRORS = (av.error.FFmpegError, ValueError)


def display_name(path: PathLike) -> str:
    """A file's name as it appears in errors: without its folder, control characters or length."""
    name = "".join(c if c.isprintable() else "?" for c in Path(os.fspath(path)).name or ".")
    return name if len(name) <= 80 else f"{name[:76]}..."


@contextmanager
def open_audio(path: PathLike) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open a music file and find its sound.

    Raises:
        RenderError: there is no such file, it is no music, or it holds no sound.
    """
    file = Path(os.fspath(path))
    _check_file(file)
    try:
        # An absolute path cannot be taken for a protocol ("http:...", "concat:...").
        container = av.open(
            str(file.resolve()),
            options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            **_METADATA_OPTIONS,
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise RenderError(
            f"{display_name(file)} is not music that can be read: mp3, m4a, aac, flac, ogg, opus and wav "
            "can."
        ) from error
    with container:
        yield container, _audio_stream(container, file)


class Decoder:
    """Decodes one file from its start, once.

    Iterating gives frames without gaps: packets that cannot be decoded are counted and left out.

    Attributes:
        packet_count: packets seen so far.
        damaged_packets: how many of them could not be decoded.
    """

    def __init__(self, path: PathLike, cancel: CancelToken | None = None) -> None:
        self.packet_count = 0
        self.damaged_packets = 0
        self._path = path
        self._cancel = cancel

    def __iter__(self) -> Iterator[AudioFrame]:
        with open_audio(self._path) as (container, stream):
            for packet in packets_of(container, stream, self._cancel):
                self.packet_count += 1
                try:
                    frames = packet.decode()
                except DECODING_ERRORS:
                    self.damaged_packets += 1
                    continue
                yield from frames
            yield from self._flush(stream)

    def check(self, seconds: float) -> None:
        """Refuse what turned out to be noise or next to nothing.

        Raises:
            RenderError: less than half a second, or too many packets that are no sound.
        """
        if self.damaged_packets > MAX_DAMAGED_SHARE * max(self.packet_count, 1):
            raise RenderError(
                f"{display_name(self._path)} is damaged_packets: {self.damaged_packets} of {self.packet_count} packets cannot "
                "be decoded."
            )
        if seconds < MIN_DURATION:
            raise too_short_error(self._path, seconds)

    def _flush(self, stream: AudioStream) -> list[AudioFrame]:
        try:
            return list(stream.codec_context.decode(None))
        except DECODING_ERRORS:
            return []


def packets_of(
    container: InputContainer, stream: AudioStream, cancel: CancelToken | None
) -> Iterator[av.Packet[AudioStream]]:
    """The packets of the sound; a file that breaks off ends them as if it were its end."""
    demuxed = container.demux(stream)
    while True:
        check_cancelled(cancel)
        try:
            packet = next(demuxed, None)
        except DECODING_ERRORS:
            return
        if packet is None:
            return
        if packet.size:
            yield packet


def check_duration(path: PathLike, max_duration: float, cancel: CancelToken | None) -> None:
    """Refuse a file whose packets, not only its header, say that it is longer than `max_duration`.

    It reads without decoding, and only where the header raises the suspicion: a header may lie
    both ways, so a true length is also kept watch on while decoding.

    Raises:
        RenderError: longer than `max_duration` seconds.
    """
    with open_audio(path) as (container, stream):
        if header_duration(container, stream) > max_duration:
            packet_duration(
                container, stream, cancel, max_duration=max_duration, name=display_name(path)
            )


def too_long_error(name: str, max_duration: float) -> RenderError:
    """The error for music beyond the max_duration, in seconds."""
    return RenderError(
        f"{name} is longer than the max_duration of {max_duration / 60:.4g} minutes; shorten it or raise "
        "max_duration."
    )


def too_short_error(path: PathLike, seconds: float = 0.0) -> RenderError:
    """The error for a file that holds next to nothing."""
    return RenderError(
        f"{display_name(path)} holds {seconds:.2f} s of sound; at least {MIN_DURATION} s are needed."
    )


def header_duration(container: InputContainer, stream: AudioStream) -> float:
    """What the header claims, in seconds; 0 where it claims nothing."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def packet_duration(
    container: InputContainer,
    stream: AudioStream,
    cancel: CancelToken | None = None,
    *,
    max_duration: float = float("inf"),
    name: str = "",
) -> float:
    """The length that the packets add up to, in seconds, without decoding them."""
    ticks, tick = 0, float(stream.time_base or 0)
    for packet in packets_of(container, stream, cancel):
        ticks += packet.duration or 0
        if ticks * tick > max_duration:
            raise too_long_error(name, max_duration)
    return ticks * tick


def _check_file(file: Path) -> None:
    try:
        if not file.exists():
            raise RenderError(f"The music file {display_name(file)} does not exist.")
        if not file.is_file():
            raise RenderError(f"{display_name(file)} is not a file.")
        if not file.stat().st_size:
            raise RenderError(f"The music file {display_name(file)} is empty.")
    except (OSError, ValueError) as error:
        raise RenderError(f"The music file {display_name(file)} cannot be read.") from error


def _audio_stream(container: InputContainer, file: Path) -> AudioStream:
    if not container.streams.audio:
        raise RenderError(f"{display_name(file)} holds no sound.")
    stream = container.streams.audio[0]
    codec = codec_of(stream)
    if codec not in CODECS and not codec.startswith("pcm_"):
        raise RenderError(
            f"The sound of {display_name(file)} is {codec or 'of an unknown kind'}, which is not "
            f"supported; {', '.join(CODECS)} and PCM are."
        )
    return stream


def codec_of(stream: AudioStream) -> str:
    """The codec's plain name: "mp3" also where the decoder calls itself "mp3float"."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else ""
