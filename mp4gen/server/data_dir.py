"""The data directory: its layout, and a lock for one server at a time; knows no task.

    mp4gen.sqlite   all tasks (with -wal and -shm beside it)
    videos/         finished videos; each file appears complete, by one rename
    work/           one folder for each running render; emptied at every start
    cache/          small images; limited in size, may be deleted at any time
    secret          signs the page's cookies
    lock            locked by the running server, until it stops or dies
    maintenance     while a file of this name exists, every call is answered with code 455

To back it up while the server runs, copy the database with SQLite (`sqlite3 mp4gen.sqlite
".backup copy.sqlite"`), then `videos/`.
"""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from mp4gen import filesystem
from mp4gen.errors import ConfigurationError

MAX_CACHE_BYTES = 128 << 20
MAX_CACHE_AGE = 90 * 86400.0
_THUMBNAIL_PREFIX = "thumbnail-"


class DataDirectory:
    """The data directory of one server, from `open` to `close`.

    Args:
        root: The folder; created if missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "mp4gen.sqlite"
        self.videos = root / "videos"
        self.work = root / "work"
        self.cache = root / "cache"
        self.lock_path = root / "lock"
        self._maintenance = os.fspath(root / "maintenance")
        self._lock_fd: int | None = None

    def open(self) -> None:
        """Create and lock the folder, and delete what a killed server left.

        Raises:
            ConfigurationError: It cannot be created or written, or another server uses it.
        """
        try:
            for folder in (self.root, self.videos, self.work, self.cache):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.acquire_lock()
            for leftover in self.work.iterdir():
                shutil.rmtree(leftover, ignore_errors=True)
            for part in self.cache.glob("*.part"):
                part.unlink(missing_ok=True)
        except OSError as error:
            raise unusable(self.root, error) from error

    def close(self) -> None:
        """Release the lock."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def has_maintenance_file(self) -> bool:
        """Return whether there is a file named `maintenance` in the folder."""
        return os.path.exists(self._maintenance)  # noqa: PTH110 - fast: called for every request

    def free_bytes(self) -> int:
        """Return the free bytes of the disk."""
        return shutil.disk_usage(self.root).free

    def secret(self) -> bytes:
        """Return the secret, which survives restarts and which only its owner can read."""
        path = self.root / "secret"
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            found = b""
        if len(found) != 32:
            found = secrets.token_bytes(32)
            with filesystem.atomic_write(path) as part:
                part.touch(0o600)
                part.write_bytes(found)
        return found

    def is_lost(self, name: str) -> bool:
        """Return whether a finished video is gone, and not the whole folder with it."""
        # Fast, as above: called for every request about a finished video.
        return not os.path.exists(self.videos / name) and os.path.exists(self.videos)  # noqa: PTH110

    def remove_video(self, name: str) -> None:
        """Delete a video and its thumbnail, if they exist."""
        (self.videos / name).unlink(missing_ok=True)
        self.thumbnail_path(name).unlink(missing_ok=True)

    def thumbnail_path(self, name: str) -> Path:
        """Return the path of the thumbnail of a video."""
        return self.cache / f"{_THUMBNAIL_PREFIX}{Path(name).stem}.jpg"

    def remove_orphans(self, known: set[str]) -> None:
        """Delete all videos and thumbnails except those of the video names in `known`."""
        for path in self.videos.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)
        thumbnails = {self.thumbnail_path(name) for name in known}
        for path in self.cache.glob(f"{_THUMBNAIL_PREFIX}*"):
            if path not in thumbnails:
                path.unlink(missing_ok=True)

    def prune_cache(self, now: float) -> int:
        """Delete the files of the cache that are too old, and the oldest ones beyond its size.

        Args:
            now: Seconds since 1970.

        Returns:
            How many files were deleted.
        """
        total_bytes, removed = 0, 0
        files = []
        for path in self.cache.iterdir():
            # Another thread may delete it.
            with contextlib.suppress(FileNotFoundError):
                files.append((path, path.stat()))
        for path, stat in sorted(files, key=lambda one: one[1].st_mtime, reverse=True):
            total_bytes += stat.st_size
            if total_bytes > MAX_CACHE_BYTES or stat.st_mtime < now - MAX_CACHE_AGE:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def publish(self, rendered: Path, name: str) -> int:
        """Move a finished video into `videos/`, durably; return its size in bytes."""
        target = self.videos / name
        rendered.replace(target)
        filesystem.sync_folder(self.videos)
        return target.stat().st_size

    def acquire_lock(self) -> None:
        """Lock the folder until `close`, or until this process ends.

        Raises:
            ConfigurationError: Another server uses it.
        """
        try:
            self._lock_fd = filesystem.open_locked(self.lock_path)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another server uses the data folder {self.root}. Stop it, or choose another "
                "folder with --data."
            ) from None


def unusable(root: Path, error: OSError) -> ConfigurationError:
    """Return the error for a data directory that cannot be used."""
    return ConfigurationError(
        f"The data folder {root} cannot be used: {error.strerror}. Choose another one with --data."
    )


def random_token() -> str:
    """Return an unguessable name."""
    return secrets.token_urlsafe(12)
