"""The unfinished file beside its target: locked, checked, then renamed over it; no network.

Its name depends on the target alone, so that one left by a killed process is taken over by the
next download of the same file instead of lying there for ever. It is renamed and removed only by
who holds its lock; whoever gets the lock afterwards must look whether the file is still there.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

import attrs

from mp4gen.errors import DownloadError

_HINTS: Final = {
    errno.ENOSPC: "; free some space, then download again",
    errno.EDQUOT: "; free some space, then download again",
    errno.EFBIG: "; the file system or `ulimit -f` allows no file of this size",
    errno.ENAMETOOLONG: "; give it a shorter name",
}
# Fragmented MP4s have two boxes for every few seconds; more than this is no video but an attack.
_MOST_BOXES: Final = 100_000


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
        """Forget all bytes.

        Raises:
            DownloadError: the file system refused.
        """
        with _explained(self.to):
            self.file.seek(0)
            self.file.truncate()
        self.done, self.total, self.validator = 0, None, None

    def write(self, chunk: bytes) -> None:
        """Append `chunk`.

        Raises:
            DownloadError: there is no room for it.
        """
        rest = memoryview(chunk)
        with _explained(self.to):
            while rest:
                rest = rest[self.file.write(rest) :]
        self.done += len(chunk)

    @property
    def begins_as_mp4(self) -> bool:
        """Whether the first eight bytes are there, and are those of an MP4."""
        with _explained(self.to):
            return os.pread(self.file.fileno(), 4, 4) == b"ftyp"

    def problem(self) -> str | None:
        """What keeps the bytes so far from being a whole MP4; None for nothing.

        Raises:
            DownloadError: the file system refused.
        """
        if self.total not in (None, self.done):
            return f"{self.done} bytes instead of {self.total}"
        if self.done == 0:
            return "the file is empty"
        if not self.begins_as_mp4:
            return "the file is not an MP4"
        with _explained(self.to):
            kinds = _kinds_of_boxes(self.file.fileno(), self.done)
        return None if {b"moov", b"mdat"} <= kinds else "the MP4 is cut short"

    async def commit(self) -> None:
        """Make the file durable under its final name; whole or not at all, also when cancelled.

        Raises:
            DownloadError: the file system refused.
        """
        work = asyncio.get_running_loop().run_in_executor(None, self._commit)
        cancelled: asyncio.CancelledError | None = None
        # The thread uses the open file, and cannot be stopped: nothing goes on before it is done.
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
        failure = work.exception()
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure

    def _commit(self) -> None:
        with _explained(self.to):
            os.fsync(self.file.fileno())
            _part_path(self.to).replace(self.to)
        # The file is in its place; a folder that cannot be read or synced does not undo that.
        with suppress(OSError):
            folder = os.open(self.to.parent, os.O_RDONLY | os.O_CLOEXEC)
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
    with _explained(to):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(to, path) as file:
        try:
            part = PartFile(to, file)
            part.restart()
            yield part
        finally:
            if _is_at(file, path):
                with suppress(OSError):
                    path.unlink()


def _part_path(to: Path) -> Path:
    return to.with_name(f".{to.name}.part")


def _locked(to: Path, path: Path) -> FileIO:
    """The file at `path`, made if need be, and ours until it is closed."""
    while True:
        file = _opened(to, path)
        try:
            with _explained(to):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(file, path):
                    return file
        except BaseException:
            file.close()
            raise
        # Between our open and our lock it was renamed to its final name, or removed.
        file.close()


def _opened(to: Path, path: Path) -> FileIO:
    # Never through a link that somebody put there.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with _explained(to):
        try:
            file = FileIO(os.open(path, flags, 0o666), "r+")
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _in_the_way(to, path) from None
            raise
    about = os.fstat(file.fileno())
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        file.close()
        raise _in_the_way(to, path)
    return file


def _in_the_way(to: Path, path: Path) -> DownloadError:
    return DownloadError(f"cannot write {to}: {path} is a link or no plain file; remove it")


def _is_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except OSError:
        return False


@contextmanager
def _explained(to: Path) -> Iterator[None]:
    """Turn what the file system says into one sentence about the file that the caller wants."""
    try:
        yield
    except BlockingIOError:
        raise DownloadError(f"{to} is being downloaded already") from None
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        raise DownloadError(f"cannot write {to}: {error.strerror or error}{hint}") from None
    except ValueError as error:
        raise DownloadError(f"cannot write {str(to)!r}: {error}") from None


def _kinds_of_boxes(file: int, size: int) -> set[bytes]:
    """The kinds of the top-level boxes (ISO/IEC 14496-12, section 4.2); none where one is cut."""
    kinds: set[bytes] = set()
    at = 0
    for _ in range(_MOST_BOXES):
        if at == size:
            return kinds
        head = os.pread(file, 16, at)
        length, shortest = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, shortest = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = size - at
        if length < shortest or at + length > size:
            break
        kinds.add(head[4:8])
        at += length
    return set()
