"""Open audio files safely and decode them as one stream of frames without gaps. Writes nothing.

Every file is treated as hostile. Only the containers and codecs listed here are opened, and no
other file is read. Only decoded audio counts as duration.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av import AudioFrame, AudioStream
from av.container import InputContainer

from mp4gen.errors import RenderError, RenderIOError

from .cancellation import CancelToken, check_cancelled
from .formats import FORMAT_NAMES, FORMATS
from .header import Header, codec_of, read_header
from .options import PathLike

# Without these lists libavformat would open a text file that names other files, and read those.
CONTAINERS = ",".join(dict.fromkeys(each.demuxer for each in FORMATS))
CODECS = (
    "mp3", "aac", "flac", "alac", "opus", "vorbis", "mp2", "ac3", "eac3", "wavpack",
    "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt",
)  # fmt: skip
_LOSSY_CODECS = ("mp3", "aac", "opus", "vorbis", "mp2", "ac3", "eac3")
# Full scale is 1. The loudest masters decode to about 2, damaged packets to thousands.
_MAX_LOSSY_SAMPLE = 8
MIN_DURATION = 0.5
MAX_DAMAGED_SHARE = 0.1
_OPTIONS = {
    "format_whitelist": CONTAINERS,
    "protocol_whitelist": "file",
    # Packets of a WAV in which libavformat searches for DTS and S/PDIF. All 32 take 60 ms.
    "max_probe_packets": "3",
}
# PyAV before 19 raises on tags in an unknown encoding; later versions always keep the bytes.
_METADATA_OPTIONS: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# After this many failures in a row the demuxer does not recover.
_MAX_DEMUX_FAILURES = 16
DECODING_ERRORS = (av.error.FFmpegError, ValueError)


def display_name(path: PathLike) -> str:
    """Return a file's name for errors: no folder, no control characters, at most 80 long."""
    name = "".join(c if c.isprintable() else "?" for c in Path(os.fspath(path)).name or ".")
    return name if len(name) <= 80 else f"{name[:76]}..."


@contextmanager
def open_audio(path: PathLike) -> Iterator[tuple[InputContainer, AudioStream]]:
    """Open an audio file and find its audio stream.

    Python reads the file: many demuxers of FFmpeg take a failed read for the end of the file.

    Raises:
        RenderError: the file is not audio, or has no usable audio stream.
        RenderIOError: the file is missing or cannot be read.
    """
    name = display_name(path)
    with open_file(path) as source:
        try:
            container = av.open(_Seekable(source), options=_OPTIONS, **_METADATA_OPTIONS)
        except DECODING_ERRORS as error:
            raise RenderError(f"Not a readable audio file: {name}. Use {FORMAT_NAMES}.") from error
        with container:
            yield container, _audio_stream(container, name)


class _Seekable:
    """A file that returns an error code for an impossible seek, as libavformat expects."""

    def __init__(self, file: FileIO) -> None:
        self.name = file.name
        self.read, self.tell, self.seekable = file.read, file.tell, file.seekable
        self._file = file

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # An exception would be reported as a failed disk.
            return -errno.EINVAL


@contextmanager
def open_file(path: PathLike) -> Iterator[FileIO]:
    """Open an audio file for reading its bytes.

    Raises:
        RenderError: not a file, empty, or not permitted.
        RenderIOError: the file is missing or cannot be read, also within the block.
    """
    file = Path(os.fspath(path))
    name = display_name(file)
    with _io_errors(name), _open_file(file, name) as source:
        yield source


@contextmanager
def _io_errors(name: str) -> Iterator[None]:
    """Raise the block's `OSError` as one of ours; those of FFmpeg are about the content."""
    try:
        yield
    except av.error.FFmpegError:
        raise
    except FileNotFoundError as error:
        raise RenderIOError(f"The audio file does not exist: {name}. Check the path.") from error
    except OSError as error:
        # Missing permissions do not come back by waiting.
        kind = RenderError if isinstance(error, PermissionError) else RenderIOError
        raise kind(
            f"Cannot read the audio file: {name}: {error.strerror}. Check the file."
        ) from error


def _open_file(file: Path, name: str) -> FileIO:
    try:
        if file.exists() and not file.is_file():
            raise RenderError(f"Not a file: {name}. Choose an audio file.")
        if not file.stat().st_size:
            raise RenderError(f"The audio file is empty: {name}. Use another file.")
        return FileIO(file)
    except ValueError as error:
        raise RenderError(f"Cannot read the audio file: {name}. Check the path.") from error


def _audio_stream(container: InputContainer, name: str) -> AudioStream:
    if not container.streams.audio:
        raise RenderError(f"No audio in the file: {name}. Choose an audio file.")
    stream = container.streams.audio[0]
    codec = codec_of(stream)
    if codec not in CODECS and not codec.startswith("pcm_"):
        raise RenderError(
            f"Unsupported audio codec in {name}: {codec or 'unknown'}. "
            f"Use {', '.join(CODECS)} or PCM."
        )
    return stream


class Decoder:
    """Decodes one file from its start, once.

    Iterating yields frames. Packets that cannot be decoded, or only to samples far above full
    scale, are counted and left out. A file whose header and packets exceed `max_duration` seconds
    is refused before the first. A header can also claim too little: the caller must count.

    Attributes:
        header: complete with the first frame.
        packet_count: packets read so far.
        damaged_packets: those of them that were left out.
        profile: variant of the codec, known at the end, or "".
    """

    def __init__(
        self,
        path: PathLike,
        cancel: CancelToken | None = None,
        max_duration: float = math.inf,
    ) -> None:
        self.header = Header()
        self.packet_count = 0
        self.damaged_packets = 0
        self.profile = ""
        self._path = path
        self._cancel = cancel
        self._max_duration = max_duration

    def __iter__(self) -> Generator[AudioFrame, None, None]:
        with open_audio(self._path) as (container, stream):
            with open_file(self._path) as file:
                self.header = read_header(container, stream, file)
            self._check_duration(self.header.duration)
            for packet in packets_of(container, stream, self._cancel, self._count_damage):
                self.packet_count += 1
                try:
                    frames = packet.decode()
                except DECODING_ERRORS:
                    self.damaged_packets += 1
                    continue
                if self.header.codec in _LOSSY_CODECS and any(map(_is_noise, frames)):
                    self.damaged_packets += 1
                    continue
                yield from frames
            try:
                frames = stream.codec_context.decode(None)
            except DECODING_ERRORS:
                frames = []
            yield from frames
            self.profile = stream.codec_context.profile or ""

    def _check_duration(self, claimed: float) -> None:
        limit = self._max_duration
        if claimed <= limit:
            return
        with open_audio(self._path) as (container, stream):
            if packet_duration(container, stream, self._cancel, limit) > limit:
                raise too_long_error(display_name(self._path), limit)

    def _count_damage(self) -> None:
        self.packet_count += 1
        self.damaged_packets += 1

    def check(self, seconds: float) -> None:
        """Refuse a file that turned out to be noise or almost empty.

        Raises:
            RenderError: less than half a second, or too many damaged packets.
        """
        if self.damaged_packets > MAX_DAMAGED_SHARE * max(self.packet_count, 1):
            raise RenderError(
                f"The audio file is damaged: {display_name(self._path)}. "
                f"{self.damaged_packets} of its {self.packet_count} packets cannot be decoded."
            )
        if seconds < MIN_DURATION:
            raise too_short_error(self._path, seconds)


def _is_noise(frame: AudioFrame) -> bool:
    """Return whether a lossy codec decoded samples that no music has."""
    if frame.format.name != "fltp":
        return False
    planes = (np.frombuffer(memoryview(plane), np.float32, frame.samples) for plane in frame.planes)
    limit = _MAX_LOSSY_SAMPLE
    # So that NaN is noise as well.
    return not all(-limit <= plane.min() and plane.max() <= limit for plane in planes)


def packets_of(
    container: InputContainer,
    stream: AudioStream,
    cancel: CancelToken | None,
    on_damage: Callable[[], None] = lambda: None,
) -> Iterator[av.Packet[AudioStream]]:
    """Yield the packets of the audio stream up to its end, or as far as the demuxer can follow.

    `on_damage` is called for each gap, and if the rest cannot be followed.

    Raises:
        RenderIOError: the file cannot be read any further.
    """
    failures = 0
    with _io_errors(display_name(container.name)):
        while failures < _MAX_DEMUX_FAILURES:
            try:
                for packet in container.demux(stream):
                    failures = 0
                    check_cancelled(cancel)
                    if packet.size:
                        yield packet
            except DECODING_ERRORS as error:
                if isinstance(error, EOFError):
                    return
                failures += 1
                if failures == 1:
                    on_damage()
            else:
                return


def too_long_error(name: str, max_duration: float) -> RenderError:
    """Build the error for audio longer than `max_duration` seconds."""
    return RenderError(
        f"The audio is longer than {max_duration / 60:.4g} minutes: {name}. "
        "Shorten it or raise max_duration."
    )


def too_short_error(path: PathLike, seconds: float = 0.0) -> RenderError:
    """Build the error for audio shorter than `MIN_DURATION`."""
    # Rounded down: 0.4996 s would become the minimum.
    return RenderError(
        f"Only {math.floor(seconds * 1000) / 1000:.3f} s of audio in the file: "
        f"{display_name(path)}. Use at least {MIN_DURATION} s."
    )


def packet_duration(
    container: InputContainer,
    stream: AudioStream,
    cancel: CancelToken | None = None,
    stop_at: float = math.inf,
) -> float:
    """Add up the seconds of the packets, without decoding them, until they exceed `stop_at`."""
    ticks, tick = 0, float(stream.time_base or 0)
    for packet in packets_of(container, stream, cancel):
        ticks += packet.duration or 0
        if ticks * tick > stop_at:
            break
    return ticks * tick
