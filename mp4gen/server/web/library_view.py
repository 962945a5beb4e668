"""The library as the page shows it, with what changed since an earlier version; no HTTP, no I/O."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.rendering.previews import MusicInfo

_MAX_REMOVED = 10_000
# Seconds: exact enough to sort by, and fewer bytes than minutes.
_PERIOD = 600
_Key = tuple[str, str]
_Source = tuple[MusicInfo, float, int, str | None]


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
            source = info, track.modified, track.size, track.lyrics
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
        tracks = [
            (track, source[0])
            for source, track, changed in self._tracks.values()
            if number is None or changed > number
        ]
        removed = [key for key, changed in self._removed.items() if number and changed > number]
        return {
            "version": self.version,
            "complete": number is None,
            "removed": removed,
            **_columns(tracks),
        }

    def _parse(self, version: str) -> int | None:
        epoch, _, text = version.partition(".")
        if epoch != self._epoch or not text.isdecimal() or len(text) > 15:
            return None
        number = int(text)
        return number if max(1, self._oldest_known) <= number <= self._number else None


def _columns(tracks: Sequence[tuple[LibraryTrack, MusicInfo]]) -> dict[str, list[Any]]:
    """Return tracks as columns, which compress to half the size of rows.

    Returns:
        folders: Runs of tracks in one folder: its id, and their number.
        audios: The id of each track.
        titles: Where its title begins in its id, or the title.
        artists: Its artist; 0 for that of the track before.
        seconds: Its length; below 0 if it is only estimated.
        modified: Periods of ten minutes since 1970, less those of the track before.
        lyrics: The index of each track with lyrics, and the extension of their file; empty if they
            are in its tags.
        problems: The index of each track with a problem, and the sentence.
    """
    artists = [info.artist for _, info in tracks]
    return {
        "folders": [
            [folder, sum(1 for _ in run)]
            for folder, run in itertools.groupby(track.task_id for track, _ in tracks)
        ],
        "audios": [track.audio_id for track, _ in tracks],
        "titles": [_title(track.audio_id, info.title) for track, info in tracks],
        "artists": [
            0 if index and artist == artists[index - 1] else artist
            for index, artist in enumerate(artists)
        ],
        "seconds": [_seconds(track, info) for track, info in tracks],
        "modified": [
            period - before for before, period in itertools.pairwise((0, *map(_period, tracks)))
        ],
        "lyrics": [
            [index, Path(track.lyrics or "").suffix]
            for index, (track, info) in enumerate(tracks)
            if track.lyrics or info.has_lyrics
        ],
        "problems": [
            [index, info.problem] for index, (_, info) in enumerate(tracks) if info.problem
        ],
    }


def _title(audio_id: str, title: str | None) -> int | str:
    # Browsers count in UTF-16.
    if title is None or (audio_id.endswith(title) and audio_id.isascii()):
        return 0 if title is None else len(audio_id) - len(title)
    return title


def _period(track: tuple[LibraryTrack, MusicInfo]) -> int:
    return int(track[0].modified // _PERIOD)


def _seconds(track: LibraryTrack, info: MusicInfo) -> int:
    if info.duration is None:
        return -round(track.estimated_duration)
    return max(1, round(info.duration))
