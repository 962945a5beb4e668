"""The exclusive right to write a ledger: one run of one process has it, while the file is there."""

import errno
import os
import stat
from pathlib import Path
from typing import ClassVar

from mp4gen import filesystem
from mp4gen.errors import LedgerError


class Lock:
    """The exclusive right to write the ledger at `path`; ends with the process.

    Raises:
        LedgerError: Another run holds it, or the file cannot be created or locked.
    """

    # The ledgers of this process: opening a locked file again to check it would, when closed, drop
    # the locks that SQLite holds on it.
    _locked_inodes: ClassVar[set[tuple[int, int]]] = set()

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                file_status = path.stat()
                _check_type(file_status.st_mode)
                if _inode_of(file_status) in self._locked_inodes:
                    raise self._in_use_error()
            self._file = filesystem.open_locked(path)
        except BlockingIOError:
            raise self._in_use_error() from None
        except OSError as error:
            raise LedgerError(
                f"Cannot write the ledger {path}: {error.strerror}. Use another file."
            ) from None
        self._inode = _inode_of(os.fstat(self._file.fileno()))
        self._locked_inodes.add(self._inode)

    def check(self) -> None:
        """Check that the locked file is still the one at the path.

        Raises:
            LedgerError: It was deleted, moved or replaced.
        """
        try:
            in_place = _inode_of(self._path.stat()) == self._inode
        except OSError:
            in_place = False
        if not in_place:
            raise LedgerError(
                f"The ledger was deleted, moved or replaced during its run: {self._path}. Put it "
                "back, then run again."
            )

    def release(self) -> None:
        """Release the lock."""
        self._file.close()
        self._locked_inodes.discard(self._inode)

    def _in_use_error(self) -> LedgerError:
        return LedgerError(
            f"The ledger is in use by another run: {self._path}. Wait for its end or use another "
            "file."
        )


def _inode_of(file_status: os.stat_result) -> tuple[int, int]:
    return file_status.st_dev, file_status.st_ino


def _check_type(mode: int) -> None:
    """Raise an `OSError` for a pipe or a device; a folder cannot be opened anyway."""
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "Not a regular file")
