"""Read the texts, lyrics and pictures inside a music file with mutagen. Decodes no audio.

libavformat leaves out unsynchronised ID3, all but one of several artists, and pictures with an
unusual MIME type. What mutagen cannot read is left to libavformat.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from attrs import frozen
from mutagen import MutagenError
from mutagen.aiff import AIFF
from mutagen.flac import FLAC, Picture
from mutagen.id3 import ID3
from mutagen.mp4 import MP4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE
from mutagen.wavpack import WavPack

from mp4gen.lyrics.events import LyricEvent, join_events
from mp4gen.lyrics.values import NO_LYRICS, Lyrics

_FRONT, _OTHER, _ICONS = 3, 0, (1, 2)
# Synchronised lyrics in ID3: their times in milliseconds, and that they are lyrics or unknown.
_MILLISECONDS, _LYRICS = 2, (0, 1)
_MAX_EVENTS = 50_000
_LYRICS_COMMENTS = "syncedlyrics", "lyrics", "unsyncedlyrics"
# A hostile file may make any of these out of mutagen.
_ERRORS = (
    MutagenError, ArithmeticError, AttributeError, EOFError, LookupError, MemoryError,
    NotImplementedError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip


@frozen
class Embedded:
    """The values of a file's tags, and its pictures: the front cover first, icons last.

    `lyrics` are texts, which may have the times of LRC; `synced` are those of ID3 with times.
    """

    titles: tuple[str, ...] = ()
    artists: tuple[str, ...] = ()
    pictures: tuple[bytes, ...] = ()
    lyrics: tuple[str, ...] = ()
    synced: Lyrics = NO_LYRICS


def read_embedded(file: BinaryIO, container: str, codec: str) -> Embedded:
    """Read an open file, named as libavformat names its container and codec.

    Raises:
        OSError: the file cannot be read.
    """
    is_ogg_flac = (container, codec) == ("ogg", "flac")
    kind = codec if container == "ogg" and not is_ogg_flac else container.partition(",")[0]
    reader = _READERS.get(kind)
    if reader is None:
        return Embedded()
    source = _Source(file)
    try:
        return reader(source)
    except (OSError, *_ERRORS):
        # mutagen takes a failed read for a damaged tag.
        if source.error is not None:
            raise source.error from None
        return Embedded()


class _Source:
    """A file that remembers a failed read."""

    def __init__(self, file: BinaryIO) -> None:
        self.error: OSError | None = None
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            self.error = error
            raise


def _ordered(pictures: Iterable[tuple[int, bytes]]) -> tuple[bytes, ...]:
    def rank(picture: tuple[int, bytes]) -> int:
        return 0 if picture[0] == _FRONT else 2 if picture[0] in _ICONS else 1

    return tuple(bytes(data) for _, data in sorted(pictures, key=rank) if data)


def _id3(tags: Any) -> Embedded:
    if tags is None:
        return Embedded()

    def texts(*names: str) -> tuple[str, ...]:
        frames: list[Any] = next(filter(None, map(tags.getall, names)), [])
        return tuple(str(text) for frame in frames for text in frame.text)

    pictures = [(frame.type, frame.data) for frame in tags.getall("APIC") if frame.mime != "-->"]
    plain = tuple(str(frame.text) for frame in tags.getall("USLT"))
    synced = map(_synced, tags.getall("SYLT"))
    return Embedded(
        texts("TIT2"),
        texts("TPE1", "TPE2"),
        _ordered(pictures),
        plain,
        next((lyrics for lyrics in synced if lyrics.lines), NO_LYRICS),
    )


def _synced(frame: Any) -> Lyrics:
    """Return the lyrics of a frame, whose texts are words or whole lines."""
    if frame.format != _MILLISECONDS or frame.type not in _LYRICS:
        return NO_LYRICS
    texts = [(str(text), time / 1000) for text, time in frame.text[:_MAX_EVENTS]]
    # Words have a line break before each line; without any, each text is a line.
    line_break = "" if any("\n" in text.strip() or text[:1] == "\n" for text, _ in texts) else "\n"
    return join_events([LyricEvent(time, line_break + text) for text, time in texts])


def _comments(tags: Any, pictures: Iterable[Picture]) -> Embedded:
    found = tags or {}
    shown = [(int(picture.type), picture.data) for picture in pictures]
    shown += [(_FRONT, data) for data in _base64(found.get("coverart", ()))]
    artists = next(filter(None, (found.get(key) for key in ("artist", "albumartist"))), ())
    lyrics = (text for key in _LYRICS_COMMENTS for text in found.get(key, ()))
    return Embedded(tuple(found.get("title", ())), tuple(artists), _ordered(shown), tuple(lyrics))


def _base64(values: Iterable[str]) -> Iterator[bytes]:
    for value in values:
        try:
            yield base64.b64decode(value)
        except binascii.Error:
            continue


def _ogg_pictures(tags: Any) -> Iterator[Picture]:
    for block in _base64((tags or {}).get("metadata_block_picture", ())):
        try:
            yield Picture(block)
        except _ERRORS:
            continue


def _flac(source: _Source) -> Embedded:
    file = FLAC(source)
    return _comments(file.tags, file.pictures)


def _ogg(kind: Callable[[_Source], Any]) -> Callable[[_Source], Embedded]:
    def read(source: _Source) -> Embedded:
        tags = kind(source).tags
        return _comments(tags, _ogg_pictures(tags))

    return read


def _mp4(source: _Source) -> Embedded:
    tags: Any = MP4(source).tags or {}
    artists = next(filter(None, (tags.get(key) for key in ("\u00a9ART", "aART"))), ())
    pictures = [(_OTHER, picture) for picture in tags.get("covr", ())]
    lyrics = tuple(tags.get("\u00a9lyr", ()))
    return Embedded(tuple(tags.get("\u00a9nam", ())), tuple(artists), _ordered(pictures), lyrics)


def _wavpack(source: _Source) -> Embedded:
    tags: Any = WavPack(source).tags or {}
    artists = next(filter(None, (tags.get(key) for key in ("artist", "album artist"))), ())
    # A picture follows its file name.
    pictures = [
        (_FRONT if key.lower() == "cover art (front)" else _OTHER, value.value.partition(b"\0")[2])
        for key, value in tags.items()
        if key.lower().startswith("cover art")
    ]
    lyrics = tuple(tags.get("lyrics", ()))
    return Embedded(tuple(tags.get("title", ())), tuple(artists), _ordered(pictures), lyrics)


_READERS: dict[str, Callable[[_Source], Embedded]] = {
    "mp3": lambda source: _id3(ID3(source)),
    "aac": lambda source: _id3(ID3(source)),
    "wav": lambda source: _id3(WAVE(source).tags),
    "aiff": lambda source: _id3(AIFF(source).tags),
    "flac": _flac,
    "mov": _mp4,
    "wv": _wavpack,
    "vorbis": _ogg(OggVorbis),
    "opus": _ogg(OggOpus),
    "ogg": _ogg(OggFLAC),
}
