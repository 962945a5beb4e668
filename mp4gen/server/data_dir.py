"""The data folder: what lies where, and that one server at a time uses it; knows no task.

    mp4gen.sqlite   every task (with -wal and -shm beside it)
    videos/         finished videos; a file appears here whole, by one rename
    work/           one folder for each running render; emptied at every start
    cache/          small pictures; kept bounded, and may be deleted at any time
    secret          signs the page's cookies
    lock            held by the running server, and by nobody after its death
    maintenance     while a file of this name is there, every call is answered with code 455

To back it up while the server runs, copy the database with SQLite's own backup (`sqlite3
mp4gen.sqlite ".backup copy.sqlite"`), then `videos/`.
"""

from __future__ import annotations

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
    """One server's folder, from `open` to `close`.

    Args:
        root: the folder; made where there is none.
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
        """Make the folder, take it for us, and clear away what a killed server left.

        Raises:
            ConfigurationError: it cannot be made or written, or another server uses it.
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
            raise ConfigurationError(
                f"the data folder {self.root} cannot be used ({error.strerror}); "
                "name another one with --data"
            ) from error

    def close(self) -> None:
        """Let go of the folder."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def has_maintenance_file(self) -> bool:
        """Whether the owner put a file named `maintenance` into the folder."""
        return os.path.exists(self._maintenance)  # noqa: PTH110 - asked with every call: quick

    def free_bytes(self) -> int:
        """How much room the disk has."""
        return shutil.disk_usage(self.root).free

    def secret(self) -> bytes:
        """A secret that stays the same over restarts; nobody but the owner can read it."""
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

    def remove_video(self, name: str) -> None:
        """Delete a video and its still, where there are any."""
        (self.videos / name).unlink(missing_ok=True)
        self.thumbnail_path(name).unlink(missing_ok=True)

    def thumbnail_path(self, name: str) -> Path:
        """Where the small picture of a video is kept."""
        return self.cache / f"{_THUMBNAIL_PREFIX}{Path(name).stem}.jpg"

    def remove_orphans(self, known: set[str]) -> None:
        """Delete what lies among the videos and their stills and belongs to no task."""
        for path in self.videos.iterdir():
            if path.name not in known:
                path.unlink(missing_ok=True)
        thumbnails = {self.thumbnail_path(name) for name in known}
        for path in self.cache.glob(f"{_THUMBNAIL_PREFIX}*"):
            if path not in thumbnails:
                path.unlink(missing_ok=True)

    def prune_cache(self, now: float) -> int:
        """Keep the cache small: what nobody asked for lately goes first; how many files went.

        Args:
            now: seconds since 1970.
        """
        total_bytes, removed = 0, 0
        files = []
        for path in self.cache.iterdir():
            # Others delete here too.
            with contextlib.suppress(FileNotFoundError):
                files.append((path, path.stat()))
        for path, stat in sorted(files, key=lambda one: one[1].st_mtime, reverse=True):
            total_bytes += stat.st_size
            if total_bytes > MAX_CACHE_BYTES or stat.st_mtime < now - MAX_CACHE_AGE:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def publish(self, rendered: Path, name: str) -> int:
        """Move a finished video to its place in one step, to stay; its size in bytes."""
        target = self.videos / name
        rendered.replace(target)
        filesystem.sync_folder(self.videos)
        return target.stat().st_size

    def acquire_lock(self) -> None:
        """Hold the folder until `close`, or until this process ends.

        Raises:
            ConfigurationError: another server holds it.
        """
        try:
            self._lock_fd = filesystem.open_locked(self.lock_path)
        except BlockingIOError:
            raise ConfigurationError(
                f"another server uses the data folder {self.root}; stop it, or name another "
                "folder with --data"
            ) from None


def random_token() -> str:
    """Return a name that cannot be guessed."""
    return secrets.token_urlsafe(12)
