"""Read a music file's title, artist, covers and duration. Decodes no audio."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import av.error
from attrs import frozen
from av import AudioStream
from av.container import InputContainer

from mp4gen.lyrics.values import NO_LYRICS, Lyrics

from . import decode, tag_text
from .embedded import read_embedded
from .header import HEADERLESS, codec_of, fits, header_duration
from .options import AudioInfo, PathLike

_TITLES = ("title", "tit2", "\u00a9nam")
_ARTISTS = ("artist", "album_artist", "performer", "author", "tpe1", "\u00a9art")
_SIZE_FACTOR = 1.5
_ATTACHED_PIC = 0x400


@frozen(eq=False)
class Tags:
    """Title and artist of a file, or "", and its pictures, the front cover first.

    `lyrics` are texts that may have the times of LRC, `synced` are lyrics with times.
    """

    title: str
    artist: str
    covers: tuple[bytes, ...]
    lyrics: tuple[str, ...] = ()
    synced: Lyrics = NO_LYRICS


def unreadable_warnings(**tags: str) -> list[str]:
    """Return one sentence for each tag, named by its option, that has unreadable letters."""
    return [
        f"The {option} in the file's tags is in an unknown encoding: {text}. Choose the {option}."
        for option, text in tags.items()
        if tag_text.UNREADABLE in text
    ]


def probe(path: PathLike) -> AudioInfo:
    """Read the properties of an audio file without decoding it; milliseconds for most files.

    Raises:
        RenderError: the file is missing, is not audio, or has no audio stream.
    """
    with decode.open_audio(path) as (container, stream):
        tags = _tags(path, container, stream)
        context = stream.codec_context
        info = AudioInfo(
            duration=_duration(container, stream),
            title=tags.title or None,
            artist=tags.artist or None,
            codec=codec_of(stream),
            sample_rate=context.sample_rate,
            channels=context.layout.nb_channels,
            bit_rate=context.bit_rate or container.bit_rate or 0,
            has_cover=bool(tags.covers),
        )
    if info.duration <= 0:
        raise decode.too_short_error(path)
    return info


def read_tags(path: PathLike) -> Tags:
    """Read title, artist and attached pictures.

    Raises:
        RenderError: as for `probe`.
    """
    with decode.open_audio(path) as (container, stream):
        return _tags(path, container, stream)


def _tags(path: PathLike, container: InputContainer, stream: AudioStream) -> Tags:
    # Ogg keeps its comments with the stream, the other formats with the container.
    found = {**_lowercase_keys(stream.metadata), **_lowercase_keys(container.metadata)}
    with decode.open_file(path) as file:
        inside = read_embedded(file, container.format.name, codec_of(stream))
    return Tags(
        tag_text.join(inside.titles) or _first(found, _TITLES),
        tag_text.join(inside.artists) or _first(found, _ARTISTS),
        inside.pictures or tuple(_attached_pictures(container)),
        inside.lyrics or tuple(text for key, text in found.items() if key.startswith("lyrics")),
        inside.synced,
    )


def _lowercase_keys(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): text for key, text in metadata.items()}


def _first(found: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((text for key in keys if (text := tag_text.join([found.get(key, "")]))), "")


def _attached_pictures(container: InputContainer) -> Iterator[bytes]:
    """Yield the attached pictures, the front cover of a Matroska file first."""
    attached = [each for each in container.streams.video if each.disposition.value & _ATTACHED_PIC]
    found: dict[int, bytes] = {}
    if attached:
        try:
            # libavformat yields them before all other packets, and only once.
            for packet in container.demux(attached):
                if packet.size:
                    found.setdefault(packet.stream.index, bytes(packet))
                if len(found) == len(attached):
                    break
        except (av.error.FFmpegError, ValueError):
            pass
    names = {each.index: Path(each.metadata.get("filename", "")).stem for each in attached}
    yield from (found[index] for index in sorted(found, key=lambda one: names[one] != "cover"))


def _duration(container: InputContainer, stream: AudioStream) -> float:
    claimed = header_duration(container, stream)
    # Estimates by the first packets are far off, and so are some headers.
    is_stated = claimed > 0 and container.format.name not in HEADERLESS
    if is_stated and fits(claimed, stream, _SIZE_FACTOR * container.size):
        return claimed
    return decode.packet_duration(container, stream)
