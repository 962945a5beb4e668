"""Rewrite a fragmented MP4 in place as a progressive one, whose index is before its content.

A muxer that writes the index itself keeps 72 bytes of each packet until the end, 20 MB for an hour.
One that writes fragments keeps those of one, and here a packet takes 4 bytes.
"""

import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .mp4_samples import Track, box, boxes, read_fragment

# Options of the muxer: fragments of a quarter of a second, a header that knows the edit lists.
MUXER_OPTIONS = {"movflags": "+delay_moov+default_base_moof", "frag_duration": "250000"}

_FILE_TYPE = b"isom\0\0\2\0isomiso2avc1mp41"
# With more content, places in the file may need 64 bits.
_MAX_SMALL_CONTENT, _MAX_32_BITS = 0xF0000000, 0xFFFFFFFF


def rewrite(path: Path) -> None:
    """Rewrite the file that a muxer with `MUXER_OPTIONS` has written.

    Raises:
        OSError: the file cannot be read or written.
    """
    with path.open("rb+") as file:
        tracks: dict[int, Track] = {}
        parts: list[tuple[int, int]] = []
        header, size = b"", 0
        for kind, place, content in _file_boxes(file):
            if kind == b"moov":
                header = content
            for number, run in read_fragment(content) if kind == b"moof" else ():
                tracks.setdefault(number, Track()).add(run, size)
                parts.append((place + run.place, sum(run.sizes)))
                size += parts[-1][1]
        _move(file, _front(header, tracks, size), parts)


def _file_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield (kind, place, content) of the boxes of a file, without media data."""
    place, end = 0, file.seek(0, 2)
    while place < end:
        file.seek(place)
        size, kind = struct.unpack(">I4s", file.read(8))
        yield kind, place, b"" if kind == b"mdat" else file.read(size - 8)
        place += size


def _move(file: BinaryIO, front: bytes, parts: list[tuple[int, int]]) -> None:
    """Write `front`, and behind it the parts (place, length) of the file, in order.

    What is written waits until all that it overwrites has been read.
    """
    waiting, written = deque([front]), 0
    for place, length in parts:
        file.seek(place)
        waiting.append(file.read(length))
        while waiting and written + len(waiting[0]) <= place + length:
            written = _write(file, written, waiting.popleft())
    for part in waiting:
        written = _write(file, written, part)
    file.truncate(written)


def _write(file: BinaryIO, place: int, part: bytes) -> int:
    file.seek(place)
    file.write(part)
    return place + len(part)


def _front(header: bytes, tracks: dict[int, Track], size: int) -> bytes:
    """Return all that comes before the content of `size` bytes."""
    front = b""
    # The index has the same length, wherever the content starts.
    for _ in range(2):
        index = _index(header, tracks, len(front), large=size > _MAX_SMALL_CONTENT)
        front = box(b"ftyp", _FILE_TYPE) + index + box(b"mdat", b"", size)
    return front


def _index(header: bytes, tracks: dict[int, Track], start: int, *, large: bool) -> bytes:
    """Return the box moov, made of the content of a fragmented file's."""
    found = [*boxes(header)]
    clock = _number(dict(found)[b"mvhd"], 12)
    kept, longest = [], 0
    for kind, content in found:
        if kind == b"trak":
            # The cover among the tags is a track without samples.
            if track := tracks.get(_number(dict(boxes(content))[b"tkhd"], 12)):
                rebuilt, duration = _track(content, track, clock, track.tables(start, large=large))
                kept.append((kind, rebuilt))
                longest = max(longest, duration)
        elif kind != b"mvex":
            kept.append((kind, content))
    next_track = struct.pack(">I", max(tracks) + 1)
    movie = _with_number(dict(found)[b"mvhd"], 16, longest)[:-4] + next_track
    rest = b"".join(box(kind, content) for kind, content in kept if kind != b"mvhd")
    return box(b"moov", box(b"mvhd", movie) + rest)


def _track(content: bytes, track: Track, clock: int, tables: bytes) -> tuple[bytes, int]:
    """Return (content of the box trak, its duration in ticks of the file's clock)."""
    parts = dict(boxes(content))
    own_clock = _number(dict(boxes(parts[b"mdia"]))[b"mdhd"], 12)
    edits = dict(boxes(parts.get(b"edts", b""))).get(b"elst")
    skipped = _number(edits, len(edits) - 8) if edits else 0
    duration = -(-(track.duration - skipped) * clock // own_clock)

    def rebuild(kind: bytes, content: bytes) -> bytes:
        if kind in (b"mdia", b"minf", b"edts"):
            content = b"".join(rebuild(*part) for part in boxes(content))
        elif kind == b"stbl":
            content = box(b"stsd", dict(boxes(content))[b"stsd"]) + tables
        elif kind == b"mdhd":
            content = _media_header(content, track.duration)
        elif kind == b"tkhd":
            content = _with_number(content, 20, duration)
        elif kind == b"elst":
            # The last edit plays the track from a time to its end.
            content = _with_number(content, len(content) - 12, duration)
        return box(kind, content)

    return b"".join(rebuild(*part) for part in boxes(content)), duration


def _media_header(content: bytes, duration: int) -> bytes:
    if duration <= _MAX_32_BITS:
        return _with_number(content, 16, duration)
    created, modified, clock = struct.unpack_from(">III", content, 4)
    return struct.pack(">IQQIQ", 1 << 24, created, modified, clock, duration) + content[20:]


def _number(content: bytes, place: int) -> int:
    (number,) = struct.unpack_from(">I", content, place)
    return int(number)


def _with_number(content: bytes, place: int, number: int) -> bytes:
    return content[:place] + struct.pack(">I", number) + content[place + 4 :]
