"""File locks and atomic writes; the only module that depends on the operating system."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_locked(path: Path, *, follow_links: bool = True, mode: int = 0o600) -> int:
    """Open `path`, created if missing, and lock it until it is closed or the process dies.

    Child processes do not inherit the descriptor, so they cannot keep the lock.

    Args:
        path: The file to open for reading and writing.
        follow_links: Whether `path` may be a symbolic link. If not, `OSError` has `errno.ELOOP`.
        mode: The permissions of a new file.

    Raises:
        BlockingIOError: Another open file holds the lock.
        OSError: The file cannot be opened or locked.
    """
    flags = os.O_RDWR | os.O_CREAT | (0 if follow_links else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; make its file durable as `target` after the block.

    If the block raises, `target` stays as it was. A killed process can leave `.mp4gen-*.part`.

    Raises:
        OSError: The file cannot be synced or renamed.
    """
    part = target.parent / f".mp4gen-{secrets.token_hex(6)}.part"
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames and new files in `folder` survive a power cut.

    Raises:
        OSError: The folder cannot be read, or its file system cannot sync folders.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
