"""What differs between operating systems about files: locks, durable writes and names."""

import errno
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from urllib.parse import quote
from weakref import WeakSet

# What network and FUSE file systems answer that lock no files.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
# Errors of file systems that cannot sync a folder.
_NO_FOLDER_SYNC = _NO_LOCKS | {errno.EINVAL, errno.EBADF}
# Seconds between the attempts to rename a file that another program has open.
_RENAME_DELAYS = (0.01, 0.03, 0.1, 0.3, 0.6)
_FORBIDDEN_CHARACTERS = re.compile(r'[<>:"/\\|?*]+')
# Windows reserves these names for devices, with any extension.
_DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)")

if sys.platform == "win32":
    import msvcrt

    # On Windows, no other process can read a locked byte: lock one far beyond those of SQLite.
    _LOCKED_BYTE = 1 << 40

    def _lock(descriptor: int) -> None:
        _change_lock(descriptor, msvcrt.LK_NBLCK)

    def _change_lock(descriptor: int, mode: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, mode, 1)
        except PermissionError:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
        except OSError as error:
            raise OSError(errno.ENOLCK, error.strerror) from None
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class LockedFile(FileIO):
    """An open file with an exclusive lock, which ends with the file or with the process.

    Child processes have neither the file nor the lock: not those that this process forks, and not
    the programs that it starts.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "r+")
        _locked_files.add(self)

    if sys.platform == "win32":

        def close(self) -> None:
            """Release the lock and close the file."""
            if not self.closed:
                # Windows itself releases the lock of a closed file, but not at once.
                with suppress(OSError):
                    _change_lock(self.fileno(), msvcrt.LK_UNLCK)
            super().close()


_locked_files: WeakSet[LockedFile] = WeakSet()


def _close_in_child() -> None:
    # The lock belongs to the open file, and a fork shares it: it would outlive the parent.
    for file in tuple(_locked_files):
        with suppress(OSError):
            file.close()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_in_child)


def open_locked(path: Path, *, follow_links: bool = True, mode: int = 0o600) -> LockedFile:
    """Open `path`, created if missing, and lock it until it is closed or the process dies.

    Args:
        path: The file to open for reading and writing.
        follow_links: Whether `path` may be a symbolic link. If not, `OSError` has `errno.ELOOP`.
        mode: The permissions of a new file.

    Raises:
        BlockingIOError: Another open file holds the lock.
        OSError: The file cannot be opened or locked. If the file system locks no files, its text
            says so.
    """
    descriptor = _open(path, mode) if follow_links else _open_without_links(path, mode)
    try:
        _lock(descriptor)
        return LockedFile(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCKS:
            raise OSError(error.errno, "the file system has no file locks") from None
        raise


def _open(path: Path, mode: int, flags: int = 0) -> int:
    # Windows would translate line ends in a text file.
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | flags, mode)


def _open_without_links(path: Path, mode: int) -> int:
    if sys.platform == "win32":
        flags = 0
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    else:
        flags = os.O_NOFOLLOW
    return _open(path, mode, flags)


def names_folder(to: str | os.PathLike[str]) -> bool:
    """Return whether a target names a folder: it is one, ends in a slash, or not in `.mp4`."""
    text = os.fsdecode(to)
    if text.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(text):  # noqa: PTH112 - Path.is_dir can raise
        return True
    return Path(text).suffix.lower() != ".mp4"


def resolve_links(path: Path) -> Path:
    """Return the file to which `path` leads, so that no symbolic link is replaced by a file.

    Raises:
        OSError: It leads to a folder, a device or a pipe, or the links form a loop.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file")
    return target


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
            sync_file(file.fileno())
        replace(part, target)
        sync_folder(target.parent)
    finally:
        remove(part)


def replace(source: Path, target: Path) -> None:
    """Rename a closed file to `target`, which may exist.

    Windows cannot rename or replace an open file, and virus scanners open new files for a moment.
    There, the attempts go on for a second.

    Raises:
        OSError: The file cannot be renamed.
    """
    for delay in _RENAME_DELAYS if sys.platform == "win32" else ():
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(delay)
        else:
            return
    source.replace(target)


def remove(path: Path) -> bool:
    """Delete a file if it exists; return False if it is open on Windows, which then keeps it.

    Raises:
        OSError: The file cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform == "win32":
            return False
        raise
    return True


def move_durably(source: Path, target: Path) -> None:
    """Move a file whose content is on disk, also to another file system; `target` appears complete.

    Raises:
        OSError: The file cannot be moved; then it stays where it was.
    """
    try:
        replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_write(target) as part:
            shutil.copyfile(source, part)
        source.unlink()
    else:
        sync_folder(target.parent)


def move_to_new(source: Path, target: Path) -> None:
    """Move a file within its folder, unless `target` exists.

    Raises:
        FileExistsError: `target` exists.
        OSError: The file cannot be moved.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # exFAT and many network shares have no hard links: reserve the name, then replace it.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            replace(source, target)
        except BaseException:
            target.unlink()
            raise
    else:
        source.unlink()


def make_private(path: Path) -> None:
    """Take the permissions of other users away from a file or folder, if the system lets us."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        # In a container's volume the folder may belong to another user.
        with suppress(OSError):
            path.chmod(mode & ~0o077)


def sync_file(descriptor: int) -> None:
    """Make the content of an open file survive a power cut.

    Raises:
        OSError: The disk is full or broken.
    """
    if sys.platform == "darwin":
        # On macOS, fsync leaves the content in the disk's cache. Not all disks support F_FULLFSYNC.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make renames and new files in `folder` survive a power cut, if its file system can.

    Raises:
        OSError: The folder cannot be read.
    """
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)


def sqlite_uri(path: Path, options: str) -> str:
    """Return the URI of a database with `options`, such as `mode=ro`, also on a Windows share."""
    name = path.absolute().as_posix()
    # SQLite rejects a host after two slashes, so the URI of a share begins with four.
    return f"file://{'' if name.startswith('/') else '/'}{quote(name, safe='/:')}?{options}"


def portable_name(name: str) -> str:
    """Return a file name without the characters and device names that Windows forbids."""
    allowed = _FORBIDDEN_CHARACTERS.sub("_", name)
    return f"_{allowed}" if _DEVICES.match(allowed) else allowed
