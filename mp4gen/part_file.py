"""The unfinished file beside its target: locked, checked, then renamed over it; no network.

Its name depends on the target alone, so that one left by a killed process is taken over by the
next download of the same file instead of lying there for ever.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import attrs

from .errors import DownloadError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@attrs.define
class PartFile:
    """The bytes so far, and what they are the beginning of.

    Attributes:
        to: the final path.
        file: the open, unbuffered temporary file.
        done: bytes written.
        total: bytes of the whole, or None where the host did not say.
        validator: the ETag or date that tells this file from a later one of the same link.
    """

    to: Path
    file: FileIO
    done: int = 0
    total: int | None = None
    validator: str | None = None

    def restart(self) -> None:
        """Forget all bytes."""
        self.file.seek(0)
        self.file.truncate()
        self.done, self.total, self.validator = 0, None, None

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            DownloadError: there is no room for it.
        """
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            hint = "; free some space, then download again" if error.errno in _FULL else ""
            raise DownloadError(f"cannot write {self.to}: {error.strerror}{hint}") from None
        self.done += len(chunk)

    def problem(self) -> str | None:
        """What keeps the bytes so far from being a whole MP4; None for nothing."""
        if self.total not in (None, self.done):
            return f"{self.done} bytes instead of {self.total}"
        if self.done == 0:
            return "the file is empty"
        try:
            kinds = list(_boxes(self.file, self.done))
        except ValueError:
            return "the MP4 is cut short"
        if kinds[0] != b"ftyp":
            return "the file is not an MP4"
        return None if b"moov" in kinds else "the MP4 is cut short"

    async def commit(self) -> None:
        """Make the file durable under its final name; whole or not at all, also when cancelled.

        Raises:
            DownloadError: the file system refused.
        """
        work = asyncio.get_running_loop().run_in_executor(None, self._commit)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise
        except OSError as error:
            raise DownloadError(f"cannot write {self.to}: {error.strerror}") from None

    def _commit(self) -> None:
        os.fsync(self.file.fileno())
        _part_path(self.to).replace(self.to)
        folder = os.open(self.to.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def part_file(to: Path) -> Iterator[PartFile]:
    """A `PartFile` for `to`, empty, gone at the end unless it was committed.

    Raises:
        DownloadError: the folder cannot be written, or somebody is downloading the same file.
    """
    path = _part_path(to)
    with _open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DownloadError(f"{to} is being downloaded already") from None
        try:
            part = PartFile(to, file)
            part.restart()
            yield part
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _part_path(to: Path) -> Path:
    return to.with_name(f".{to.name}.part")


def _open(path: Path) -> FileIO:
    # Never through a link that somebody put there.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileIO(os.open(path, flags, 0o666), "r+")
    except OSError as error:
        raise DownloadError(f"cannot write {path}: {error.strerror}") from None


def _boxes(file: FileIO, size: int) -> Iterator[bytes]:
    """The kinds of the top-level boxes (ISO/IEC 14496-12, section 4.2)."""
    at = 0
    while at < size:
        head = os.pread(file.fileno(), 16, at)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8 or at + length > size:
            raise ValueError(at)
        yield head[4:8]
        at += length
