"""The library as the page shows it, with what changed since an earlier version; no HTTP, no I/O."""

from collections.abc import Sequence
from typing import Any

from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.rendering.previews import MusicInfo

_MAX_REMOVED = 10_000
_Key = tuple[str, str]
_Source = tuple[MusicInfo, float, int]


class LibraryView:
    """The tracks, each with the number of the version in which it changed last.

    Args:
        epoch: A text of this run of the server: versions of another run are unknown.
    """

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._number = self._oldest_known = 0
        self._tracks: dict[_Key, tuple[_Source, LibraryTrack, int]] = {}
        self._removed: dict[_Key, int] = {}

    @property
    def version(self) -> str:
        """The current version."""
        return f"{self._epoch}.{self._number}"

    def update(self, tracks: Sequence[tuple[LibraryTrack, MusicInfo]]) -> None:
        """Replace the tracks; the version changes if one of them did."""
        number = self._number + 1
        removed = set(self._tracks)
        for track, info in tracks:
            key = track.task_id, track.audio_id
            source = info, track.modified, track.size
            removed.discard(key)
            if key not in self._tracks or self._tracks[key][0] != source:
                self._tracks[key] = source, track, number
                self._removed.pop(key, None)
                self._number = number
        for key in removed:
            del self._tracks[key]
            self._removed[key] = self._number = number
        if len(self._removed) > _MAX_REMOVED:
            self._removed.clear()
            self._oldest_known = number

    def changes(self, since: str) -> dict[str, Any]:
        """Return what a page needs that knows the version `since`; all if it is unknown."""
        number = self._parse(since)
        return {
            "version": self.version,
            "complete": number is None,
            "tracks": [
                _entry(track, source[0])
                for source, track, changed in self._tracks.values()
                if number is None or changed > number
            ],
            "removed": [
                key for key, changed in self._removed.items() if number and changed > number
            ],
        }

    def _parse(self, version: str) -> int | None:
        epoch, _, text = version.partition(".")
        if epoch != self._epoch or not text.isdecimal() or len(text) > 15:
            return None
        number = int(text)
        return number if max(1, self._oldest_known) <= number <= self._number else None


def _entry(track: LibraryTrack, info: MusicInfo) -> list[Any]:
    """Return a track as a row: there are many, so that names of fields would count."""
    title = info.title if info.title != track.audio_id else None
    duration = None if info.duration is None else round(info.duration, 1)
    estimated = round(track.estimated_duration) if duration is None else None
    row = [track.task_id, track.audio_id, title, info.artist, duration, estimated, info.problem]
    while row[-1] is None:
        del row[-1]
    return row
