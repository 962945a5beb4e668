"""The music folder as the API sees it: a folder is a music task, a file in it a track.

The rules, which hold for as long as the files stay where they are:
- A music task's id is its folder's path below the music folder, with `/` between the names; files
  that lie directly in the music folder belong to the music task `.`.
- A track's id is its file's name without the ending. Where two files of a folder differ in
  nothing else, the one whose ending comes first in `SUFFIXES` has that id, and the others keep
  their ending in theirs. The full file name always finds a track too.
- Names are compared after NFC normalisation. Names that begin with a dot are not music.

A name is never made into a path: it is only compared with the names that a folder lists, so none
can lead out. A link counts only where its target lies inside the music folder. Reads names and
sizes; never opens a file.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import attrs

# Lossless first; each ending that the renderer reads.
SUFFIXES = (".flac", ".wav", ".aif", ".aiff", ".m4a", ".opus", ".ogg", ".oga", ".mp3", ".aac")
ROOT_ID = "."
# Guesses for music whose length nobody has measured yet, in bytes a second.
_BYTES_PER_SECOND = {".flac": 100_000, ".wav": 176_400, ".aif": 176_400, ".aiff": 176_400}
_COMPRESSED = 24_000


@attrs.frozen
class LibraryTrack:
    """One music file.

    Attributes:
        task_id: its folder's music task.
        audio_id: its id there.
        path: the file.
        size: bytes.
        modified: when the file was last changed, in seconds since 1970.
    """

    task_id: str
    audio_id: str
    path: Path
    size: int
    modified: float

    @property
    def estimated_duration(self) -> float:
        """About how long it plays, judged by its size."""
        return self.size / _BYTES_PER_SECOND.get(self.path.suffix.lower(), _COMPRESSED)


class Library:
    """The tracks below one folder. Its calls read directories: run them off the event loop.

    Args:
        root: the music folder, which must exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def find(self, task_id: str, audio_id: str) -> LibraryTrack | None:
        """One track by its ids; None where there is no such track."""
        normalized = _nfc(audio_id)
        folder = self._folder(task_id)
        if folder is None:
            return None
        # An id depends on the files of its stem alone: the others of a large folder can wait.
        stems = {normalized, Path(normalized).stem}
        tracks = self._tracks_in(folder, self._id_of(folder), stems)
        for track in tracks:
            if track.audio_id == normalized:
                return track
        return next((track for track in tracks if _nfc(track.path.name) == normalized), None)

    def tracks(self, task_id: str) -> list[LibraryTrack] | None:
        """The tracks of one music task, in order of name; None where there is no such folder."""
        folder = self._folder(task_id)
        if folder is None:
            return None
        return self._tracks_in(folder, self._id_of(folder))

    def all_tracks(self) -> Iterator[LibraryTrack]:
        """Every track of the library, folder by folder."""
        for folder, folders, _ in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from self._tracks_in(Path(folder), self._id_of(Path(folder)))

    def fingerprint(self) -> str:
        """A text that is another one after files have come or gone."""
        digest = hashlib.blake2b(digest_size=16)
        for folder, folders, _ in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            try:
                changed = Path(folder).stat().st_mtime_ns
            except OSError:
                continue
            digest.update(f"{os.fsencode(folder)!r}{changed}".encode())
        return digest.hexdigest()

    def _folder(self, task_id: str) -> Path | None:
        if task_id == ROOT_ID:
            return self.root
        folder = self.root
        for name in _nfc(task_id).split("/"):
            found = [entry for entry in self._entries(folder) if _nfc(entry.name) == name]
            folders = [entry for entry in found if _is_folder(entry)]
            if not folders:
                return None
            folder = Path(folders[0].path)
        return folder

    def _id_of(self, folder: Path) -> str:
        return _nfc(folder.relative_to(self.root).as_posix())

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if self._is_inside(entry)]
        except OSError:
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
        self, folder: Path, task_id: str, stems: set[str] | None = None
    ) -> list[LibraryTrack]:
        """The tracks of a folder, or those of certain stems."""
        files = [
            entry
            for entry in self._entries(folder)
            if (stems is None or _nfc(Path(entry.name).stem) in stems) and _is_music(entry)
        ]
        files.sort(key=lambda entry: (SUFFIXES.index(_suffix(entry.name)), entry.name))
        tracks: dict[str, LibraryTrack] = {}
        for entry in files:
            stem = _nfc(Path(entry.name).stem)
            audio_id = _nfc(entry.name) if stem in tracks else stem
            try:
                stat = entry.stat()
            except OSError:
                continue
            path = Path(entry.path)
            tracks[audio_id] = LibraryTrack(task_id, audio_id, path, stat.st_size, stat.st_mtime)
        return sorted(tracks.values(), key=lambda track: track.audio_id)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_printable_name(name: str) -> bool:
    """Whether a file's name can be told in JSON: no undecodable bytes, no control characters."""
    return not any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _is_music(entry: os.DirEntry[str]) -> bool:
    try:
        return _suffix(entry.name) in SUFFIXES and entry.is_file()
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        # A linked folder is not walked into, so that no track has two ids and no walk a circle.
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
