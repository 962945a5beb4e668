"""The music folder as the API sees it: a folder is a music task, a file in it a track.

The ids are stable while the files stay in place:
- The id of a music task is its folder's path below the music folder, with `/` between the names.
  Files directly in the music folder belong to the music task `.`.
- The id of a track is its file name without the extension. If files of a folder differ only in the
  extension, the one that comes first in `SUFFIXES` has that id; the ids of the others include the
  extension. The full file name always finds a track, too.
- Names are compared after NFC normalisation. Names that begin with a dot are ignored.

A name never becomes a path: it is compared with the names that a folder lists, so it cannot leave
the music folder. A link counts only if its target is inside the music folder. This module reads
names and sizes, and opens no file.

A track is missing only if its folder can be read. If not, or if the whole music folder is empty,
as a mount point is without its disk, the library is unavailable: its content is unknown.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from mp4gen.lyrics.files import EXTENSIONS
from mp4gen.render.formats import BYTES_PER_SECOND, SUFFIXES
from mp4gen.server.troubles import TransientError

ROOT_ID = "."


@attrs.frozen
class LibraryTrack:
    """One music file.

    Attributes:
        task_id: The music task of its folder.
        audio_id: Its id in the music task.
        path: The file.
        size: Its size in bytes.
        modified: When it was last modified, in seconds since 1970.
        lyrics: The name of the file with its lyrics, which lies beside it; None without one.
    """

    task_id: str
    audio_id: str
    path: Path
    size: int
    modified: float
    lyrics: str | None = None

    @property
    def estimated_duration(self) -> float:
        """The duration in seconds, estimated by the size."""
        return self.size / BYTES_PER_SECOND[self.path.suffix.lower()]


class MusicUnavailableError(TransientError):
    """The music folder, or a folder in it, cannot be read now."""


class Library:
    """The tracks below one folder. Its methods block: run them off the event loop.

    Args:
        root: The music folder, which must exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def find(self, task_id: str, audio_id: str) -> LibraryTrack | None:
        """Return one track by its ids; None if there is no such track.

        Raises:
            MusicUnavailableError: The folder cannot be read now.
        """
        normalized = _nfc(audio_id)
        # An id depends only on the files with its stem: skip the others of a large folder.
        tracks = self.tracks(task_id, {normalized, Path(normalized).stem}) or []
        for track in tracks:
            if track.audio_id == normalized:
                return track
        return next((track for track in tracks if _nfc(track.path.name) == normalized), None)

    def tracks(self, task_id: str, stems: set[str] | None = None) -> list[LibraryTrack] | None:
        """Return the tracks of one music task by name; None if there is no such folder.

        Args:
            task_id: The music task.
            stems: Only files with these stems; None for all files.

        Raises:
            MusicUnavailableError: The folder cannot be read now.
        """
        with _unavailable_on_error():
            folder = self._folder(task_id)
            tracks = None if folder is None else self._tracks_in(folder, stems)
            if not tracks and not any(self.root.iterdir()):
                raise MusicUnavailableError(
                    "The music folder is empty. Mount its disk, or copy the music back."
                )
        return tracks

    def all_tracks(self) -> Iterator[LibraryTrack]:
        """Yield every track of the library that can be read, folder by folder.

        Raises:
            MusicUnavailableError: The music folder cannot be read now.
        """
        with _unavailable_on_error():
            next(self.root.iterdir(), None)
        for folder in self._walk():
            with suppress(OSError):
                yield from self._tracks_in(folder, skip_errors=True)

    def fingerprint(self) -> str:
        """Return a text that changes when files are added or deleted.

        Raises:
            MusicUnavailableError: The music folder cannot be read now.
        """
        with _unavailable_on_error():
            next(self.root.iterdir(), None)
        digest = hashlib.blake2b(digest_size=16)
        for folder in self._walk():
            with suppress(OSError):
                digest.update(f"{os.fsencode(folder)!r}{folder.stat().st_mtime_ns}".encode())
        return digest.hexdigest()

    def _walk(self) -> Iterator[Path]:
        for folder, folders, _ in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield Path(folder)

    def _folder(self, task_id: str) -> Path | None:
        if task_id == ROOT_ID:
            return self.root
        folder = self.root
        for name in _nfc(task_id).split("/"):
            entries = self._entries(folder)
            found = (one.path for one in entries if _nfc(one.name) == name and _is_folder(one))
            path = next(found, None)
            if path is None:
                return None
            folder = Path(path)
        return folder

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if self._is_inside(entry)]
        except (FileNotFoundError, NotADirectoryError):
            if folder == self.root:
                raise
            return []

    def _is_inside(self, entry: os.DirEntry[str]) -> bool:
        if entry.name.startswith(".") or not _is_printable_name(entry.name):
            return False
        if not entry.is_symlink():
            return True
        try:
            return Path(entry.path).resolve(strict=True).is_relative_to(self.root)
        except (OSError, RuntimeError):
            return False

    def _tracks_in(
        self, folder: Path, stems: set[str] | None = None, *, skip_errors: bool = False
    ) -> list[LibraryTrack]:
        """Return the tracks of a folder, or those with certain stems.

        Raises:
            OSError: The folder cannot be read, or a file unless errors are skipped.
        """
        task_id = _nfc(folder.relative_to(self.root).as_posix())
        entries = [
            entry
            for entry in self._entries(folder)
            if stems is None or _nfc(Path(entry.name).stem) in stems
        ]
        lyrics = _lyrics_by_stem(entry.name for entry in entries)
        files = [entry for entry in entries if _is_music(entry)]
        files.sort(key=lambda entry: (SUFFIXES.index(_suffix(entry.name)), entry.name))
        tracks: dict[str, LibraryTrack] = {}
        for entry in files:
            stem = _nfc(Path(entry.name).stem)
            audio_id = _nfc(entry.name) if stem in tracks else stem
            try:
                stat = entry.stat()
            except OSError as error:
                if skip_errors or isinstance(error, FileNotFoundError):
                    continue
                raise
            path = Path(entry.path)
            tracks[audio_id] = LibraryTrack(
                task_id, audio_id, path, stat.st_size, stat.st_mtime, lyrics.get(path.stem)
            )
        return sorted(tracks.values(), key=lambda track: track.audio_id)


@contextmanager
def _unavailable_on_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint = "Mount its disk, or correct its permissions."
        raise MusicUnavailableError(f"The music folder cannot be read: {reason}. {hint}") from error


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_printable_name(name: str) -> bool:
    """Return whether a name has no undecodable bytes and no control characters."""
    return not any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _lyrics_by_stem(names: Iterable[str]) -> dict[str, str]:
    """Return the lyrics file for each stem, in the renderer's order of preference."""
    found = [name for name in names if _suffix(name) in EXTENSIONS]
    found.sort(key=lambda name: EXTENSIONS.index(_suffix(name)), reverse=True)
    return {Path(name).stem: name for name in found}


def _is_music(entry: os.DirEntry[str]) -> bool:
    try:
        return _suffix(entry.name) in SUFFIXES and entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        # Linked folders are ignored, so that no track has two ids and no walk is endless.
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
