"""Read a music file's title, artist, cover and duration. Decodes no audio."""

from collections.abc import Mapping
from contextlib import suppress

import av.error
from attrs import frozen
from av import AudioStream
from av.container import InputContainer

from . import decode
from .options import AudioInfo, PathLike
from .text import sanitize

_TITLES = ("title", "tit2", "\u00a9nam")
_ARTISTS = ("artist", "album_artist", "performer", "author", "tpe1", "\u00a9art")
_WAV_FACTOR = 1.5


@frozen(eq=False)
class Tags:
    """Title and artist of a file, or "", and the bytes of its cover, or None."""

    title: str
    artist: str
    cover: bytes | None


def probe(path: PathLike) -> AudioInfo:
    """Read the properties of an audio file without decoding it; milliseconds for most files.

    Raises:
        RenderError: the file is missing, is not audio, or has no audio stream.
    """
    with decode.open_audio(path) as (container, stream):
        tags = _tags(container, stream)
        context = stream.codec_context
        info = AudioInfo(
            duration=_duration(container, stream),
            title=tags.title or None,
            artist=tags.artist or None,
            codec=decode.codec_of(stream),
            sample_rate=context.sample_rate,
            channels=context.layout.nb_channels,
            bit_rate=context.bit_rate or container.bit_rate or 0,
            has_cover=bool(_cover_streams(container)),
        )
    if info.duration <= 0:
        raise decode.too_short_error(path)
    return info


def read_tags(path: PathLike) -> Tags:
    """Read title, artist and attached cover.

    Raises:
        RenderError: as for `probe`.
    """
    with decode.open_audio(path) as (container, stream):
        return _tags(container, stream, with_cover=True)


def _tags(container: InputContainer, stream: AudioStream, *, with_cover: bool = False) -> Tags:
    # Ogg keeps its comments with the stream, the other formats with the container.
    found = {**_lowercase_keys(stream.metadata), **_lowercase_keys(container.metadata)}
    cover = _attached_cover(container) if with_cover else None
    return Tags(_first(found, _TITLES), _first(found, _ARTISTS), cover)


def _lowercase_keys(metadata: Mapping[str, str]) -> dict[str, str]:
    # Bytes in an unknown encoding become replacement characters.
    return {
        key.lower(): text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for key, text in metadata.items()
    }


def _first(found: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((text for key in keys if (text := sanitize(found.get(key)))), "")


def _cover_streams(container: InputContainer) -> list[int]:
    return [
        stream.index
        for stream in container.streams.video
        if "attached_pic" in str(stream.disposition).lower() or (stream.disposition.value & 0x400)
    ]


def _attached_cover(container: InputContainer) -> bytes | None:
    with suppress(av.error.FFmpegError, ValueError):
        for index in _cover_streams(container)[:1]:
            packets = container.demux(container.streams[index])
            return next((bytes(packet) for packet in packets if packet.size), None)
    return None


def _duration(container: InputContainer, stream: AudioStream) -> float:
    claimed = decode.header_duration(container, stream)
    # Raw AAC has no header at all, and libavformat's guess from the first packets is far off.
    if claimed > 0 and container.format.name != "aac" and _is_plausible(container, stream, claimed):
        return claimed
    return decode.packet_duration(container, stream)


def _is_plausible(container: InputContainer, stream: AudioStream, seconds: float) -> bool:
    """Return whether PCM of that length fits into the file."""
    rate = stream.codec_context.bit_rate or 0
    if not decode.codec_of(stream).startswith("pcm_") or not rate:
        return True
    return seconds * rate / 8 <= container.size * _WAV_FACTOR
