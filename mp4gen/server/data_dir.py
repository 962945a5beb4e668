"""The data directory: its layout, its files, and a lock for one server at a time; knows no task.

    mp4gen-data-folder.txt  says that the folder is the server's own
    mp4gen.sqlite   all tasks (with -wal and -shm beside it)
    videos/         finished videos, each with its record as JSON; a file appears complete, by one
                    rename. With a bucket, those that are not stored there yet
    pictures/       pictures of the users' own: backgrounds and covers
    work/           one folder for each running render
    cache/          small images, waveforms, lyrics that were just uploaded; limited in size, may be
                    deleted at any time
    secret          signs the page's cookies
    lock            locked by the running server, until it stops or dies
    maintenance     while a file of this name exists, every call is answered with code 455

Only files whose names the server has made are ever deleted. Everything else stays where it is.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from mp4gen import filesystem
from mp4gen.errors import ConfigurationError

from .config import MIB
from .data_ownership import check_own, mark
from .troubles import describe_trouble

MAX_CACHE_BYTES = 128 * MIB
MAX_CACHE_AGE = 90 * 86400.0
MAX_PICTURES_BYTES = 1024 * MIB
# Until then the user may still make a video with a picture.
MAX_UNUSED_PICTURE_AGE = 86400.0
# The names that the server makes.
VIDEO_NAME = re.compile(r"[A-Za-z0-9_-]{24}\.mp4")
RECORD_NAME = re.compile(r"[A-Za-z0-9_-]{24}\.json")
_RENDER = re.compile(r"render-[A-Za-z0-9_-]{24}")
_THUMBNAIL = re.compile(r"thumbnail-[A-Za-z0-9_-]{24}\.jpg")
_CACHED = re.compile(r"[0-9a-f]{32}\.(jpg|json|txt)")
_PICTURE = re.compile(r"[A-Za-z0-9_-]{24}\.jpg")
_PART = re.compile(r"\.mp4gen-[0-9a-f]{12}\.part")


class DataDirectory:
    """The data directory of one server, from `open` to `close`.

    Args:
        root: The folder; created if missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.database = root / "mp4gen.sqlite"
        self.videos = root / "videos"
        self.pictures = root / "pictures"
        self.work = root / "work"
        self.cache = root / "cache"
        self.lock_path = root / "lock"
        self._maintenance = os.fspath(root / "maintenance")
        self._videos = os.fspath(self.videos)
        self._lock_file: filesystem.LockedFile | None = None

    def open(self) -> None:
        """Lock the folder, then create what is missing in it; delete nothing.

        Raises:
            ConfigurationError: It cannot be created or written, it contains files that are not the
                server's, or another server uses it.
        """
        try:
            check_own(self.root)
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.acquire_lock()
            mark(self.root)
            for folder in (self.videos, self.pictures, self.work, self.cache):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._make_private()
        except OSError as error:
            self.close()
            raise unusable(self.root, error) from error

    def _make_private(self) -> None:
        """Let no other user read the folder, the database and the secret."""
        # SQLite gives its other files the permissions of the database.
        self.database.touch(0o600)
        folders = (self.root, self.videos, self.pictures, self.work, self.cache)
        own = (*folders, *self.root.glob("mp4gen.sqlite*"))
        for path in (*own, self.root / "secret"):
            if path.exists():
                filesystem.make_private(path)

    def close(self) -> None:
        """Release the lock."""
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def has_maintenance_file(self) -> bool:
        """Return whether there is a file named `maintenance` in the folder."""
        return os.path.exists(self._maintenance)  # noqa: PTH110 - fast: called for every request

    def free_bytes(self) -> int:
        """Return the free bytes of the disk; 0 if the folder cannot be read."""
        try:
            return shutil.disk_usage(self.root).free
        except OSError:
            return 0

    def space_trouble(self, min_free_bytes: int) -> str | None:
        """Return why nothing should be written now, as a sentence; None if there is space."""
        try:
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            return describe_trouble(error)
        if free >= min_free_bytes:
            return None
        return (
            f"The disk of the data folder has {free // MIB} MB free and needs "
            f"{min_free_bytes // MIB} MB. Free some space."
        )

    def secret(self) -> bytes:
        """Return the secret, which survives restarts and which only its owner can read."""
        if found := self.existing_secret():
            return found
        created = secrets.token_bytes(32)
        with filesystem.atomic_write(self.root / "secret") as part:
            part.touch(0o600)
            part.write_bytes(created)
        return created

    def existing_secret(self) -> bytes | None:
        """Return the secret; None if there is none yet."""
        try:
            found = (self.root / "secret").read_bytes()
        except FileNotFoundError:
            return None
        return found if len(found) == 32 else None

    def is_lost(self, name: str) -> bool:
        """Return whether a finished video is gone, and not the whole folder with it."""
        # Fast, as above: called for every request about a finished video.
        folder = self._videos
        return not os.path.exists(f"{folder}/{name}") and os.path.exists(folder)  # noqa: PTH110

    def remove_videos(self, names: Iterable[str]) -> list[str]:
        """Delete several videos, and return the names of those that are gone."""
        return [name for name in names if self.remove_video(name)]

    def remove_video(self, name: str) -> bool:
        """Delete a video, its record and its thumbnail, if they exist.

        Returns:
            False if the video stays, since Windows deletes no file that is being sent.
        """
        if not self.remove_video_files(name):
            return False
        filesystem.remove(self.thumbnail_path(name))
        return True

    def remove_video_files(self, name: str) -> bool:
        """Delete the same, except for the thumbnail."""
        return filesystem.remove(self.videos / name) and filesystem.remove(self.record_path(name))

    def thumbnail_path(self, name: str) -> Path:
        """Return the path of the thumbnail of a video."""
        return self.cache / f"thumbnail-{Path(name).stem}.jpg"

    def record_path(self, name: str) -> Path:
        """Return the path of the record of a video."""
        return self.videos / record_name(name)

    def render_folder(self, name: str) -> Path:
        """Return the path of the folder in which a video is rendered."""
        return self.work / f"render-{Path(name).stem}"

    def video_names(self) -> set[str]:
        """Return the names of all files in `videos/` that are named as videos."""
        return {path.name for path in self.videos.iterdir() if VIDEO_NAME.fullmatch(path.name)}

    def remove_leftovers(self, known: set[str]) -> None:
        """Delete what a killed server left: partial files, and images and records of no video.

        Args:
            known: The names of the videos of all tasks.
        """
        stems = {Path(name).stem for name in known | self.video_names()}
        for folder in self.work.iterdir():
            # Versions before the prefix used the bare names.
            if _RENDER.fullmatch(folder.name) or f"{folder.name}.mp4" in known:
                shutil.rmtree(folder, ignore_errors=True)
        for path in (*self.videos.iterdir(), *self.cache.iterdir()):
            is_of_video = RECORD_NAME.fullmatch(path.name) or _THUMBNAIL.fullmatch(path.name)
            is_orphan = is_of_video and path.stem.removeprefix("thumbnail-") not in stems
            if is_orphan or _PART.fullmatch(path.name):
                filesystem.remove(path)

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
            if not (_THUMBNAIL.fullmatch(path.name) or _CACHED.fullmatch(path.name)):
                continue
            # Another thread may delete it.
            with contextlib.suppress(FileNotFoundError):
                files.append((path, path.stat()))
        for path, stat in sorted(files, key=lambda one: one[1].st_mtime, reverse=True):
            total_bytes += stat.st_size
            if total_bytes > MAX_CACHE_BYTES or stat.st_mtime < now - MAX_CACHE_AGE:
                removed += filesystem.remove(path)
        return removed

    def save_picture(self, content: bytes) -> str | None:
        """Keep a picture, and return its unguessable name; None if there are too many of them."""
        total_bytes = len(content)
        for path in self.pictures.iterdir():
            # Another thread may finish or delete it.
            with contextlib.suppress(FileNotFoundError):
                total_bytes += path.stat().st_size
        if total_bytes > MAX_PICTURES_BYTES:
            return None
        name = f"{secrets.token_urlsafe(18)}.jpg"
        with filesystem.atomic_write(self.pictures / name) as part:
            part.touch(0o600)
            part.write_bytes(content)
        return name

    def has_picture(self, name: str) -> bool:
        """Return whether a picture of this name is kept."""
        return _PICTURE.fullmatch(name) is not None and (self.pictures / name).is_file()

    def save_lyrics(self, text: str) -> str:
        """Keep a text until the cache is pruned, and return its name."""
        name = hashlib.sha256(text.encode()).hexdigest()[:32] + ".txt"
        with filesystem.atomic_write(self.cache / name) as part:
            part.write_text(text, "utf-8")
        return name

    def read_lyrics(self, name: str) -> str | None:
        """Return a text that was kept; None if it is gone."""
        if not _CACHED.fullmatch(name):
            return None
        try:
            return (self.cache / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def prune_pictures(self, in_use: Collection[str], now: float) -> int:
        """Delete old pictures that no task has.

        Args:
            in_use: The names of the pictures that tasks have.
            now: Seconds since 1970.

        Returns:
            How many files were deleted.
        """
        removed = 0
        for path in self.pictures.iterdir():
            is_own = _PICTURE.fullmatch(path.name) or _PART.fullmatch(path.name)
            if not is_own or path.name in in_use:
                continue
            # Another thread may finish it.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < now - MAX_UNUSED_PICTURE_AGE:
                    removed += filesystem.remove(path)
        return removed

    def publish(self, rendered: Path, name: str, record: bytes) -> int:
        """Move a finished video and its record into `videos/`, durably; return the video's size."""
        self.write_record(name, record)
        target = self.videos / name
        filesystem.move_durably(rendered, target)
        return target.stat().st_size

    def write_record(self, name: str, record: bytes) -> None:
        """Write the record of a video, from which its task can be found again."""
        with filesystem.atomic_write(self.record_path(name)) as part:
            part.touch(0o600)
            part.write_bytes(record)

    def acquire_lock(self) -> None:
        """Lock the folder until `close`, or until this process ends.

        Raises:
            ConfigurationError: Another server uses it.
        """
        try:
            self._lock_file = filesystem.open_locked(self.lock_path)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another server uses the data folder {self.root}. Stop it, or choose another "
                "folder with --data."
            ) from None


def record_name(name: str) -> str:
    """Return the name of the record of a video."""
    return f"{Path(name).stem}.json"


def unusable(root: Path, error: OSError) -> ConfigurationError:
    """Return the error for a data directory that cannot be used."""
    name = str(error.filename or root)
    reason = f"{error.strerror}" if name == str(root) else f"{error.strerror} ({name})"
    return ConfigurationError(
        f"The data folder {root} cannot be used: {reason}. Choose another one with --data."
    )


def random_token() -> str:
    """Return an unguessable name."""
    return secrets.token_urlsafe(12)
