"""Addresses of sockets in the file system. Opens none, and needs no codec."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Python has none on Windows.
AF_UNIX = getattr(socket, "AF_UNIX", -1)
# Bytes that every system accepts.
_MAX_PATH = 100


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a path of the same file that is short enough for the address of a socket.

    Only Linux has one; elsewhere the path itself is yielded, and the socket reports an error.
    """
    if len(os.fsencode(path)) <= _MAX_PATH or not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
