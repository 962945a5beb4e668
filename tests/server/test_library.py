"""The music folder as the API sees it."""

import unicodedata
from pathlib import Path

import pytest

from mp4gen.server.library.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    root = tmp_path / "music"
    for name in ("a/one.mp3", "a/two.WAV", "a/notes.txt", "a/.hidden.mp3", "a/deep/three.flac"):
        put(root / name)
    put(root / "loose.ogg")
    put(tmp_path / "outside" / "secret.mp3")
    return Library(root)


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 10)


def ids(library: Library, task_id: str) -> list[str]:
    return [track.audio_id for track in library.tracks(task_id) or []]


def test_a_folder_is_a_music_task_and_a_stem_a_track(library: Library) -> None:
    """A folder's tracks are its music files by their stems, and nothing else."""
    expected = ["one", "two"]

    assert ids(library, "a") == expected
    assert ids(library, "a/deep") == ["three"]


def test_files_in_the_root_belong_to_the_dot(library: Library) -> None:
    """What lies directly in the music folder is the music task `.`."""
    expected = library.root / "loose.ogg"

    found = library.find(".", "loose")

    assert found is not None
    assert found.path == expected
    assert found.task_id == "."


def test_two_files_of_one_stem_have_two_ids(library: Library) -> None:
    """Of two files of one stem the lossless one has the short id; full names find both."""
    put(library.root / "a" / "one.flac")
    expected = ["one", "one.mp3", "two"]

    assert ids(library, "a") == expected
    assert library.find("a", "one").path.name == "one.flac"
    assert library.find("a", "one.mp3").path.name == "one.mp3"
    assert library.find("a", "one.flac").audio_id == "one"


def test_ids_are_compared_after_normalisation(library: Library) -> None:
    """A name that the disk holds decomposed is found by its composed form."""
    put(library.root / unicodedata.normalize("NFD", "Café") / unicodedata.normalize("NFD", "é.mp3"))

    assert library.find("Café", "é") is not None
    assert ids(library, "Café") == ["é"]


@pytest.mark.parametrize(
    "task_id",
    [
        "..",
        "../outside",
        "a/..",
        "a/../..",
        "/",
        "/etc",
        "",
        "a/",
        "./a",
        "a//deep",
        "a\x00",
        "..\\",
        "A" * 5000,
        "a/../../outside",
        ".hidden",
    ],
)
def test_no_name_leads_out(library: Library, task_id: str) -> None:
    """Names that are no folder's own path find nothing."""
    assert library.tracks(task_id) is None
    assert library.find(task_id, "secret") is None


@pytest.mark.parametrize("audio_id", ["../../outside/secret", "/etc/passwd", "one/../two", ""])
def test_no_track_name_leads_out(library: Library, audio_id: str) -> None:
    """A track's id is a name in its folder, never a path."""
    assert library.find("a", audio_id) is None


def test_links_that_lead_out_are_not_music(library: Library, tmp_path: Path) -> None:
    """A link to a file or a folder outside of the music folder is as good as not there."""
    (library.root / "a" / "link.mp3").symlink_to(tmp_path / "outside" / "secret.mp3")
    (library.root / "linked").symlink_to(tmp_path / "outside")
    (library.root / "a" / "dead.mp3").symlink_to("nowhere.mp3")
    (library.root / "a" / "round.mp3").symlink_to("round.mp3")

    assert ids(library, "a") == ["one", "two"]
    assert library.tracks("linked") is None


def test_a_link_within_the_music_folder_is_a_track(library: Library) -> None:
    """A link to another file of the library is a track of its own."""
    (library.root / "a" / "again.ogg").symlink_to("../loose.ogg")

    assert ids(library, "a") == ["again", "one", "two"]


def test_all_tracks_tells_every_track_once(library: Library) -> None:
    """The whole library, and every track in it can be found by its ids."""
    expected = {(".", "loose"), ("a", "one"), ("a", "two"), ("a/deep", "three")}

    found = list(library.all_tracks())

    assert {(track.task_id, track.audio_id) for track in found} == expected
    assert len(found) == 4
    for track in found:
        assert library.find(track.task_id, track.audio_id) == track
