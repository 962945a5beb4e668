"""What the page is told of a library that changes."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.rendering.previews import MusicInfo
from mp4gen.server.web.library_view import LibraryView

from .conftest import decode_tracks

NAMES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2))


def tracks(library: dict[str, int]) -> list[tuple[LibraryTrack, MusicInfo]]:
    """Return tracks by their names and the numbers of their versions."""
    return [
        (
            LibraryTrack("album", name, Path(f"{name}.mp3"), 240_000, float(version)),
            MusicInfo(title=f"{name}{version}", duration=12.34),
        )
        for name, version in library.items()
    ]


def apply(known: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return what a page shows after these changes, as its script applies them."""
    shown = {} if changes["complete"] else dict(known)
    for _, name in changes["removed"]:
        shown.pop(name, None)
    return shown | {track["audio"]: track for track in decode_tracks(changes)}


@given(st.lists(NAMES, min_size=1, max_size=8), st.sets(st.integers(0, 7)))
def test_changes_lead_to_the_same_page_as_all_tracks(
    libraries: list[dict[str, int]], skipped: set[int]
) -> None:
    """However often a page asks, it shows what one that was just opened shows."""
    view = LibraryView("e")
    shown: dict[str, Any] = {}
    version = ""
    for number, library in enumerate(libraries):
        view.update(tracks(library))
        if number in skipped:
            continue
        changes = view.changes(version)
        shown, version = apply(shown, changes), changes["version"]
        assert shown == apply({}, view.changes(""))
        assert {name: track["title"] for name, track in shown.items()} == {
            name: f"{name}{edition}" for name, edition in library.items()
        }


def test_changes_are_only_what_changed() -> None:
    """One new, one changed and one deleted song of many are three rows."""
    view = LibraryView("e")
    view.update(tracks({str(number): 0 for number in range(100)}))
    version = view.version
    library = {str(number): 0 for number in range(1, 100)} | {"5": 1, "new": 0}

    view.update(tracks(library))
    changes = view.changes(version)

    assert sorted(changes["audios"]) == ["5", "new"]
    assert changes["removed"] == [("album", "0")]
    assert not changes["complete"]
    unchanged = view.changes(changes["version"])
    assert (unchanged["audios"], unchanged["removed"]) == ([], [])
    assert unchanged["version"] == changes["version"]


def test_new_lyrics_are_a_change() -> None:
    """The page marks a song as soon as its lyrics lie beside it."""
    view = LibraryView("e")
    track = LibraryTrack("album", "a", Path("a.mp3"), 1, 1.0)
    view.update([(track, MusicInfo())])
    version = view.version

    view.update([(attrs.evolve(track, lyrics="a.srt"), MusicInfo())])

    assert view.changes(version)["lyrics"] == [[0, ".srt"]]


def test_unknown_versions_get_all_tracks() -> None:
    """A page of an earlier run of the server, or with nonsense, gets the whole library."""
    view = LibraryView("e")
    view.update(tracks({"a": 0}))

    for version in ("", "e", "e.", "e.0", "e.99", "other.1", "e.x", "e.²", "e." + "9" * 30):
        assert view.changes(version)["complete"], version


@pytest.mark.parametrize(
    ("audio", "info", "title", "seconds"),
    [
        ("01 Slow Harbour", MusicInfo(title="Slow Harbour", duration=61.4), "Slow Harbour", 61),
        ("Slow Harbour", MusicInfo(title="Slow Harbour", duration=0.2), "Slow Harbour", 1),
        ("01", MusicInfo(title="Other", artist="An Artist"), "Other", -10),
        ("𝄞 song", MusicInfo(title="song"), "song", -10),
        ("夜の窓", MusicInfo(), "夜の窓", -10),
        ("bad", MusicInfo(problem="It is damaged."), "bad", -10),
    ],
)
def test_columns_keep_what_the_page_shows(
    audio: str, info: MusicInfo, title: str, seconds: int
) -> None:
    """Titles and artists are shortened where they repeat, and come out whole."""
    view = LibraryView("e")
    track = LibraryTrack("album", audio, Path("x.mp3"), 240_000, 60_000.5, "x.LRC")
    other = attrs.evolve(track, audio_id=f"{audio} again", modified=58_799.0, lyrics=None)

    view.update([(track, info), (other, info)])
    changes = view.changes("")

    shown = decode_tracks(changes)
    assert [one["artist"] for one in shown] == [info.artist] * 2
    assert shown[0]["title"] == title
    assert changes["seconds"] == [seconds] * 2
    assert [one["modified"] for one in shown] == [100, 97]
    assert [one["lyrics"] for one in shown] == [".LRC", None]
    assert [one["problem"] for one in shown] == [info.problem] * 2
    assert changes["folders"] == [["album", 2]]
    # What Python and a browser count alike.
    assert isinstance(changes["titles"][0], str) or audio.isascii() or not changes["titles"][0]
