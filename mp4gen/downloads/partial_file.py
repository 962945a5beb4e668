"""Write the unfinished file beside its target: lock it, check it, rename it; no network.

Its name depends on the target alone, so the next download of the same target resumes what a
killed process left. Only the holder of its lock renames or removes it; the next holder must check
that the file is still there.
"""

import asyncio
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final, Self

import attrs

from mp4gen.errors import DownloadError
from mp4gen.filesystem import open_locked, replace, sync_file, sync_folder

_CHECK_FOLDER: Final = " Check the folder and the disk."
_NO_LOCKS: Final = " Use a folder on another one."
_NOT_A_FOLDER: Final = " Use a folder, or a path that ends in .mp4."
_HINTS = {
    errno.ENOSPC: " Free some space, then download again.",
    errno.EDQUOT: " Free some space, then download again.",
    errno.EFBIG: " Raise `ulimit -f`, or use a file system for larger files.",
    errno.ENOENT: " Use a folder that exists.",
    errno.EINVAL: " Use another path.",
    errno.ENAMETOOLONG: " Use a shorter name.",
    errno.EEXIST: _NOT_A_FOLDER,
    errno.ENOTDIR: _NOT_A_FOLDER,
    errno.EMFILE: " Raise `ulimit -n`, or lower the concurrency.",
    errno.ENOLCK: _NO_LOCKS,
    errno.ENOSYS: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.ENOTSUP: _NO_LOCKS,
}
if sys.platform == "win32":
    _HINTS[errno.EACCES] = " Close it in other programs, or use another folder."
# The temporary name is six characters longer than the target's.
_MAX_WINDOWS_PATH: Final = 259 - 6
_BOX_TYPES: Final = frozenset(
    b"ftyp styp moov mdat moof mfra sidx ssix free skip wide uuid meta meco pdin prft emsg".split()
)
# Fragmented MP4s have two boxes for every few seconds; more than this is an attack.
_MAX_BOXES: Final = 100_000


class TargetTakenError(DownloadError):
    """Another download writes or has written the target."""


@attrs.define
class PartialFile:
    """The bytes so far, and which file they begin.

    Attributes:
        target: The final path.
        file: The open, unbuffered temporary file.
        received: The bytes written.
        total: The size of the complete file in bytes; None if unknown.
        validator: The ETag or date that distinguishes this file from a later one of the same link.
    """

    target: Path
    file: FileIO
    received: int = 0
    total: int | None = None
    validator: str | None = None

    def restart(self) -> None:
        """Drop all bytes.

        Raises:
            DownloadError: The file cannot be truncated.
        """
        with translate_os_errors(self.target):
            self.file.seek(0)
            self.file.truncate()
        self.received, self.total, self.validator = 0, None, None

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            DownloadError: The file cannot be written.
        """
        rest = memoryview(chunk)
        with translate_os_errors(self.target):
            while rest:
                rest = rest[self.file.write(rest) :]
        self.received += len(chunk)

    @property
    def has_mp4_signature(self) -> bool:
        """Whether the file begins with the first eight bytes of an MP4."""
        with translate_os_errors(self.target):
            return _read_at(self.file, 4, 4) == b"ftyp"

    def validation_error(self) -> str | None:
        """Return why the bytes so far are not a complete MP4; None if they are.

        Raises:
            DownloadError: The file cannot be read.
        """
        if self.total not in (None, self.received):
            return f"Received {self.received} bytes instead of {self.total}."
        if self.received == 0:
            return "The file is empty."
        if not self.has_mp4_signature:
            return "The file is not an MP4."
        with translate_os_errors(self.target):
            is_complete = _has_whole_boxes(self.file, self.received, padded=self.total is not None)
        return None if is_complete else "The MP4 is cut short."

    async def commit(self) -> None:
        """Make the file durable under its final name, completely or not at all, even if cancelled.

        Raises:
            DownloadError: The file cannot be synced or renamed.
        """
        future = asyncio.get_running_loop().run_in_executor(None, self._commit)
        cancelled: asyncio.CancelledError | None = None
        # The thread uses the open file and cannot be stopped: wait for it, even if cancelled.
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        failure = future.exception()
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure

    def _commit(self) -> None:
        with translate_os_errors(self.target):
            sync_file(self.file.fileno())
            if sys.platform == "win32":
                # Windows cannot rename an open file. If another download opens it now, the rename
                # fails.
                self.file.close()
            replace(_part_path(self.target), self.target)
        # The file is in its place, even if its folder cannot be read or synced.
        with suppress(OSError):
            sync_folder(self.target.parent)


@contextmanager
def open_partial_file(target: Path, *, replace: bool = True) -> Iterator[PartialFile]:
    """Yield an empty `PartialFile` for `target`, and remove it after the block if not committed.

    Raises:
        TargetTakenError: Another download has the same target, or it exists against `replace`.
        DownloadError: The folder cannot be written.
    """
    path = _part_path(target)
    with translate_os_errors(target):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _open_locked(target, path) as file:
        try:
            # With the lock: until it ends, no other download renames its file to the target.
            if not replace and os.path.lexists(target):
                raise TargetTakenError(f"File exists: {target}. Use another path.")
            part = PartialFile(target, file)
            part.restart()
            yield part
        finally:
            _remove(file, path)


class ResumableFile:
    """The partial file of one download; a context manager that removes what was not committed.

    It is open from its first use to `close`, and can be used again.
    """

    def __init__(self, target: Path, *, replace: bool = True) -> None:
        self._target, self._replace = target, replace
        # No `ExitStack`: thousands may wait for a host, and one takes 700 bytes.
        self._context: AbstractContextManager[PartialFile] | None = None
        self._part: PartialFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close and remove the file, with all its bytes."""
        self._part, context, self._context = None, self._context, None
        if context is not None:
            context.__exit__(None, None, None)

    @property
    def received(self) -> int:
        """The bytes so far."""
        return self._part.received if self._part else 0

    @property
    def validator(self) -> str:
        """What `If-Range` may name; empty if nothing shows that a later file is the same."""
        return self._part.validator or "" if self._part else ""

    def open(self) -> PartialFile:
        """Return the open file.

        Raises:
            TargetTakenError: Another download has the same target, or has written it.
            DownloadError: It cannot be written.
        """
        if self._part is None:
            context = open_partial_file(self._target, replace=self._replace)
            self._part = context.__enter__()
            self._context = context
        return self._part

    def restart(self) -> None:
        """Drop all bytes."""
        if self._part is not None:
            self._part.restart()


def _part_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _open_locked(target: Path, path: Path) -> FileIO:
    """Open and lock the file at `path`, created if missing, never through a link."""
    while True:
        with translate_os_errors(target):
            try:
                file = open_locked(path, follow_links=False, mode=0o666)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise _not_a_regular_file(target, path) from None
                raise
        file_status = os.fstat(file.fileno())
        is_regular = stat.S_ISREG(file_status.st_mode) and file_status.st_nlink <= 1
        if is_regular and _is_same_file(file, path):
            return file
        file.close()
        if not is_regular:
            raise _not_a_regular_file(target, path)
        # Another download renamed or removed it between our open and our lock: open a new one.


def _remove(file: FileIO, path: Path) -> None:
    if sys.platform == "win32":
        # Windows cannot delete an open file, such as that of another download.
        file.close()
    elif not _is_same_file(file, path):
        return
    with suppress(OSError):
        path.unlink()


def _not_a_regular_file(target: Path, path: Path) -> DownloadError:
    return DownloadError(f"Cannot write {target}: {path} is a link or a special file. Remove it.")


def _is_same_file(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except OSError:
        return False


@contextmanager
def translate_os_errors(target: Path) -> Iterator[None]:
    """Raise errors of the file system as a `DownloadError` about the target."""
    try:
        yield
    except BlockingIOError:
        raise TargetTakenError(
            f"Another download is writing the same file: {target}. Wait until it has ended."
        ) from None
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, _CHECK_FOLDER)
        if sys.platform == "win32" and len(str(target.absolute())) > _MAX_WINDOWS_PATH:
            hint = " Use a shorter path: Windows allows 259 characters."
        raise DownloadError(f"Cannot write {target}: {error.strerror or error}.{hint}") from None
    except ValueError as error:
        raise DownloadError(f"Cannot write {str(target)!r}: {error}. Use another name.") from None


def _read_at(file: FileIO, offset: int, size: int) -> bytes:
    """Read up to `size` bytes at `offset`, and leave the file at its end for the next write."""
    file.seek(offset)
    content = file.read(size)
    file.seek(0, os.SEEK_END)
    return content


def _has_whole_boxes(file: FileIO, size: int, *, padded: bool) -> bool:
    """Return whether all top-level boxes (ISO/IEC 14496-12, 4.2) are whole, with the needed ones.

    With `padded`, other bytes may follow them: the host has announced the size with these.
    """
    missing = {b"moov", b"mdat"}
    offset = 0
    for _ in range(_MAX_BOXES):
        if offset >= size:
            break
        header = _read_at(file, offset, 16)
        length, min_length = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, min_length = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = size - offset
        if not min_length <= length <= size - offset:
            # A known box that ends beyond the file is cut short.
            return padded and not missing and header[4:8] not in _BOX_TYPES
        missing.discard(header[4:8])
        offset += length
    return not missing and offset == size
