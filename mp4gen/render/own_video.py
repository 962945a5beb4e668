"""Recognise the videos that this package has written. Decodes nothing."""

import os
from pathlib import Path

from .options import PathLike

# Written as the comment of each video.
ENCODER = "mp4gen"
# The comment in the tags of an MP4: type 1 is UTF-8, the locale is 0.
_COMMENT = b"data\0\0\0\1\0\0\0\0" + ENCODER.encode()


def is_own_video(path: PathLike) -> bool:
    """Return whether a file is a complete MP4 that this package has written.

    Raises:
        OSError: the file cannot be read.
    """
    found = set()
    with Path(os.fspath(path)).open("rb") as file:
        size, start = os.fstat(file.fileno()).st_size, 0
        while start < size:
            file.seek(start)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if not 8 <= length <= size - start:
                return False
            found.add(kind)
            file.seek(start)
            if kind == b"moov" and _COMMENT not in file.read(length):
                return False
            start += length
    return {b"ftyp", b"moov", b"mdat"} <= found
