"""The music folder as the API shows it."""

import unicodedata
from pathlib import Path

import pytest

from mp4gen.server.library.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    root = tmp_path / "music"
    for name in ("a/one.mp3", "a/two.WAV", "a/notes.txt", "a/.hidden.mp3", "a/deep/three.flac"):
        write_file(root / name)
    write_file(root / "loose.ogg")
    write_file(tmp_path / "outside" / "secret.mp3")
    return Library(root)


def write_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 10)


def audio_ids(library: Library, task_id: str) -> list[str]:
    return [track.audio_id for track in library.tracks(task_id) or []]


def test_tracks_of_a_folder_have_their_stems_as_ids(library: Library) -> None:
    """A folder is a music task; its audio files are the tracks, by their stems."""
    expected = ["one", "two"]

    assert audio_ids(library, "a") == expected
    assert audio_ids(library, "a/deep") == ["three"]


def test_find_uses_a_dot_for_the_root(library: Library) -> None:
    """Files directly in the music folder belong to the music task `.`."""
    expected = library.root / "loose.ogg"

    found = library.find(".", "loose")

    assert found is not None
    assert found.path == expected
    assert found.task_id == "."


def test_files_with_one_stem_have_different_ids(library: Library) -> None:
    """The lossless file has the short id; full names find both."""
    write_file(library.root / "a" / "one.flac")
    expected = ["one", "one.mp3", "two"]

    assert audio_ids(library, "a") == expected
    assert library.find("a", "one").path.name == "one.flac"
    assert library.find("a", "one.mp3").path.name == "one.mp3"
    assert library.find("a", "one.flac").audio_id == "one"


def test_find_normalises_names(library: Library) -> None:
    """A decomposed name on the disk is found by its composed form."""
    write_file(
        library.root / unicodedata.normalize("NFD", "Café") / unicodedata.normalize("NFD", "é.mp3")
    )

    assert library.find("Café", "é") is not None
    assert audio_ids(library, "Café") == ["é"]


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
def test_task_id_finds_nothing_outside(library: Library, task_id: str) -> None:
    """Only the path of a folder below the music folder finds something."""
    assert library.tracks(task_id) is None
    assert library.find(task_id, "secret") is None


@pytest.mark.parametrize("audio_id", ["../../outside/secret", "/etc/passwd", "one/../two", ""])
def test_audio_id_finds_nothing_outside(library: Library, audio_id: str) -> None:
    """The id of a track is a name in its folder, never a path."""
    assert library.find("a", audio_id) is None


def test_links_to_the_outside_are_ignored(library: Library, tmp_path: Path) -> None:
    """Links to files and folders outside the music folder, and broken ones, are no tracks."""
    (library.root / "a" / "link.mp3").symlink_to(tmp_path / "outside" / "secret.mp3")
    (library.root / "linked").symlink_to(tmp_path / "outside")
    (library.root / "a" / "dead.mp3").symlink_to("nowhere.mp3")
    (library.root / "a" / "round.mp3").symlink_to("round.mp3")

    assert audio_ids(library, "a") == ["one", "two"]
    assert library.tracks("linked") is None


def test_link_inside_the_music_folder_is_a_track(library: Library) -> None:
    """A link to another file of the library is a track of its own."""
    (library.root / "a" / "again.ogg").symlink_to("../loose.ogg")

    assert audio_ids(library, "a") == ["again", "one", "two"]


def test_all_tracks_yields_each_track_once(library: Library) -> None:
    """The whole library is listed, and each track can be found by its ids."""
    expected = {(".", "loose"), ("a", "one"), ("a", "two"), ("a/deep", "three")}

    found = list(library.all_tracks())

    assert {(track.task_id, track.audio_id) for track in found} == expected
    assert len(found) == 4
    for track in found:
        assert library.find(track.task_id, track.audio_id) == track


def test_lyrics_beside_a_track_are_found(library: Library) -> None:
    """The first of .lrc, .srt and .vtt with the stem of the track counts, in any case."""
    for name in ("one.vtt", "one.LRC", "two.srt", "two.txt", "other.lrc"):
        write_file(library.root / "a" / name)

    found = {track.audio_id: track.lyrics for track in library.tracks("a") or []}
    one = library.find("a", "one")

    assert found == {"one": "one.LRC", "two": "two.srt"}
    assert one is not None
    assert one.lyrics == "one.LRC"
