"""Build the files of the fake service: tiny, valid MP4 containers without a codec; no I/O."""

import hashlib
import struct

_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def tiny_mp4(seed: str, size: int = 1024) -> bytes:
    """Return a valid MP4 of at least `size` bytes, the same for each `seed`."""
    file_type = _box(b"ftyp", b"isom" + struct.pack(">I", 0x200) + b"isomiso2mp41")
    header = file_type + _box(b"moov", _movie_header())
    payload_size = max(16, size - len(header) - 8)
    pattern = hashlib.sha256(seed.encode()).digest()
    return header + _box(b"mdat", (pattern * (payload_size // len(pattern) + 1))[:payload_size])


def etag(content: bytes) -> str:
    """Return a strong validator of `content`."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _movie_header() -> bytes:
    """Return the header of a movie without tracks (ISO/IEC 14496-12, section 8.2.2)."""
    times = struct.pack(">IIIII", 0, 0, 0, 1000, 0)
    rate_and_volume = struct.pack(">IHHII", 0x10000, 0x100, 0, 0, 0)
    return _box(b"mvhd", times + rate_and_volume + _MATRIX + bytes(24) + struct.pack(">I", 1))


def _box(box_type: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + box_type + content
