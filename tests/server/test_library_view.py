"""What the page is told of a library that changes."""

from pathlib import Path
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.rendering.previews import MusicInfo
from mp4gen.server.web.library_view import LibraryView

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
    return shown | {row[1]: row for row in changes["tracks"]}


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
        assert {name: row[2] for name, row in shown.items()} == {
            name: f"{name}{version}" for name, version in library.items()
        }


def test_changes_are_only_what_changed() -> None:
    """One new, one changed and one deleted song of many are three rows."""
    view = LibraryView("e")
    view.update(tracks({str(number): 0 for number in range(100)}))
    version = view.version
    library = {str(number): 0 for number in range(1, 100)} | {"5": 1, "new": 0}

    view.update(tracks(library))
    changes = view.changes(version)

    assert sorted(row[1] for row in changes["tracks"]) == ["5", "new"]
    assert changes["removed"] == [("album", "0")]
    assert not changes["complete"]
    assert view.changes(changes["version"]) == {
        "version": changes["version"],
        "complete": False,
        "tracks": [],
        "removed": [],
    }


def test_unknown_versions_get_all_tracks() -> None:
    """A page of an earlier run of the server, or with nonsense, gets the whole library."""
    view = LibraryView("e")
    view.update(tracks({"a": 0}))

    for version in ("", "e", "e.", "e.0", "e.99", "other.1", "e.x", "e.²", "e." + "9" * 30):
        assert view.changes(version)["complete"], version


def test_row_leaves_out_what_is_unknown() -> None:
    """A row ends with its last known value: 20,000 rows are sent at once."""
    track, info = tracks({"a": 0})[0]
    view = LibraryView("e")
    rows = []
    for changed in (info, attrs.evolve(info, title="a"), MusicInfo(), MusicInfo(problem="Bad.")):
        view.update([(track, changed)])
        rows.append(view.changes("")["tracks"][0])

    assert rows == [
        ["album", "a", "a0", None, 12.3],
        ["album", "a", None, None, 12.3],
        ["album", "a", None, None, None, 10],
        ["album", "a", None, None, None, 10, "Bad."],
    ]
