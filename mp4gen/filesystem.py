"""File locks and atomic writes; the only module that depends on the operating system."""

import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from weakref import WeakSet

# What network and FUSE file systems answer that lock no files.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})


class LockedFile(FileIO):
    """An open file with an exclusive lock, which ends with the file or with the process.

    Child processes have neither the file nor the lock: not those that this process forks, and not
    the programs that it starts.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "r+")
        _locked_files.add(self)


_locked_files: WeakSet[LockedFile] = WeakSet()


def _close_in_child() -> None:
    # The lock belongs to the open file, and a fork shares it: it would outlive the parent.
    for file in tuple(_locked_files):
        with suppress(OSError):
            file.close()


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
    flags = os.O_RDWR | os.O_CREAT | (0 if follow_links else os.O_NOFOLLOW)
    descriptor = os.open(path, flags, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return LockedFile(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCKS:
            raise OSError(error.errno, "the file system has no file locks") from None
        raise


def names_folder(to: str | os.PathLike[str]) -> bool:
    """Return whether a target names a folder: it is one, ends in a slash, or not in `.mp4`."""
    text = os.fsdecode(to)
    if text.endswith((os.sep, os.altsep or os.sep)) or os.path.isdir(text):  # noqa: PTH112 - Path.is_dir can raise
        return True
    return Path(text).suffix.lower() != ".mp4"


def resolve_links(path: Path) -> Path:
    """Return the file to which `path` leads, so that no symbolic link is replaced by a file.

    Raises:
        OSError: It leads to a folder, a device or a pipe, or in a circle.
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
            os.fsync(file.fileno())
        part.replace(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)


def move_durably(source: Path, target: Path) -> None:
    """Move a file whose content is on disk, also to another file system; `target` appears complete.

    Raises:
        OSError: The file cannot be moved; then it stays where it was.
    """
    try:
        source.replace(target)
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
            source.replace(target)
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


def sync_folder(folder: Path) -> None:
    """Make renames and new files in `folder` survive a power cut, if its file system can.

    Raises:
        OSError: The folder cannot be read.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems sync no folders.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)
