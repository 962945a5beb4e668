"""The samples of the tracks of an MP4: read from fragments, written as tables. Opens no file.

Boxes and their fields are those of ISO/IEC 14496-12.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator

from attrs import define, field

# Flags of tfhd and trun: which fields they have, in this order.
_TFHD_FIELDS = {0x1: ">Q", 0x2: ">I", 0x8: ">I", 0x10: ">I", 0x20: ">I"}
_DEFAULT_DURATION, _DEFAULT_SIZE, _DEFAULT_FLAGS = 0x8, 0x10, 0x20
_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_DURATION, _SIZE, _FLAGS, _TIME_OFFSET = _SAMPLE_FIELDS = (0x100, 0x200, 0x400, 0x800)
_IS_NOT_KEY = 0x10000
_MAX_32_BITS = 0xFFFFFFFF


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, content) of each box."""
    start = 0
    while start < len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        yield kind, data[start + 8 : start + size]
        start += size


def box(kind: bytes, content: bytes, more: int = 0) -> bytes:
    """Return a box, or its beginning if `more` bytes of content follow."""
    size = 8 + len(content) + more
    if size > _MAX_32_BITS:
        return struct.pack(">I4sQ", 1, kind, size + 8) + content
    return struct.pack(">I4s", size, kind) + content


@define
class Track:
    """The samples of one track, in order: 4 bytes for each.

    Attributes:
        duration: ticks of the track's clock.
    """

    duration: int = 0
    _sizes: array[int] = field(factory=lambda: array("I"))
    _keys: array[int] = field(factory=lambda: array("I"))
    # [number of samples, ticks of each]
    _durations: list[list[int]] = field(factory=list)
    # Chunks are runs of samples without gaps. (first chunk, samples of each, 1)
    _chunks: list[tuple[int, int, int]] = field(factory=list)
    _offsets: array[int] = field(factory=lambda: array("Q"))

    def add(self, run: _Run, offset: int) -> None:
        """Add a run that begins `offset` bytes after the start of the content."""
        before = len(self._sizes)
        self._sizes.extend(run.sizes)
        self._keys.extend(before + number for number in run.keys)
        for ticks in run.durations:
            self.duration += ticks
            if self._durations and self._durations[-1][1] == ticks:
                self._durations[-1][0] += 1
            else:
                self._durations.append([1, ticks])
        self._offsets.append(offset)
        if not self._chunks or self._chunks[-1][1] != len(run.sizes):
            self._chunks.append((len(self._offsets), len(run.sizes), 1))

    def tables(self, start: int, *, large: bool) -> bytes:
        """Return the boxes that describe the samples; their content starts at the byte `start`."""
        count = len(self._sizes)
        parts = [_table(b"stts", (number for pair in self._durations for number in pair), 2)]
        if len(self._keys) < count:
            parts.append(_table(b"stss", self._keys))
        parts.append(_table(b"stsc", (number for chunk in self._chunks for number in chunk), 3))
        parts.append(box(b"stsz", struct.pack(">III", 0, 0, count) + _pack("I", self._sizes)))
        offsets = (start + offset for offset in self._offsets)
        parts.append(_table(b"co64", offsets, kind="Q") if large else _table(b"stco", offsets))
        return b"".join(parts)


@define
class _Run:
    """Samples of one track without gaps; `keys` are numbers of key frames, from 1."""

    place: int
    sizes: array[int]
    durations: array[int]
    keys: list[int]


def read_fragment(moof: bytes) -> Iterator[tuple[int, _Run]]:
    """Yield (number of the track, run) of a fragment; places are counted from its box."""
    for kind, content in boxes(moof):
        if kind != b"traf":
            continue
        parts = [*boxes(content)]
        number, defaults = _read_defaults(dict(parts)[b"tfhd"])
        for part, fields in parts:
            if part == b"trun":
                yield number, _read_run(fields, defaults)


def _read_defaults(fields: bytes) -> tuple[int, dict[int, int]]:
    """Return (number of the track, fields that all its samples share)."""
    flags, number = struct.unpack_from(">II", fields)
    place, found = 8, {}
    for flag, kind in _TFHD_FIELDS.items():
        if flags & flag:
            (found[flag],) = struct.unpack_from(kind, fields, place)
            place += struct.calcsize(kind)
    return number, found


def _read_run(fields: bytes, defaults: dict[int, int]) -> _Run:
    numbers = _unpack(fields)
    flags, count = numbers[0] & 0xFFFFFF, numbers[1]
    place = numbers[2] if flags & _DATA_OFFSET else 0
    first = 2 + bool(flags & _DATA_OFFSET)
    first_flags = numbers[first] if flags & _FIRST_FLAGS else None
    samples = numbers[first + bool(flags & _FIRST_FLAGS) :]
    present = [flag for flag in _SAMPLE_FIELDS if flags & flag]

    def of_samples(flag: int, default: int) -> array[int]:
        if flags & flag:
            return samples[present.index(flag) :: len(present)]
        return array("I", [defaults.get(default, 0)]) * count

    sample_flags = of_samples(_FLAGS, _DEFAULT_FLAGS)
    if first_flags is not None:
        sample_flags[0] = first_flags
    keys = [number for number, bits in enumerate(sample_flags, 1) if not bits & _IS_NOT_KEY]
    sizes, durations = of_samples(_SIZE, _DEFAULT_SIZE), of_samples(_DURATION, _DEFAULT_DURATION)
    return _Run(place, sizes, durations, keys)


def _table(name: bytes, numbers: Iterable[int], width: int = 1, kind: str = "I") -> bytes:
    """Return a box of rows of `width` numbers."""
    data = _pack(kind, numbers)
    rows = len(data) // (array(kind).itemsize * width)
    return box(name, struct.pack(">II", 0, rows) + data)


def _pack(kind: str, numbers: Iterable[int]) -> bytes:
    values = array(kind, numbers)
    if sys.byteorder == "little":
        values.byteswap()
    return values.tobytes()


def _unpack(data: bytes) -> array[int]:
    values = array("I", data)
    if sys.byteorder == "little":
        values.byteswap()
    return values
