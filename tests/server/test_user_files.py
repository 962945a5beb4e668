"""Files that the server did not make stay as they are, whatever folder it is given.

Failure mode 61.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mp4gen.errors import ConfigurationError
from mp4gen.server import Server, ServerConfig

from .conftest import FAST_STYLE, Serve, run_check, write_song
from .test_schema import old_database

# As unguessable as the server's names, but made by a person.
LOOKALIKE = "my-great-holiday-film-01"
TOKEN = "A" * 24
NEAR_MISSES = [
    f"{TOKEN[1:]}.json",
    f"{TOKEN}A.json",
    f"{TOKEN}.JSON",
    f"{TOKEN}.json.bak",
    f"{TOKEN[1:]}.json.json",
    f"{TOKEN} (1).mp4",
    f"{TOKEN}.mp4.part",
    f"thumbnail-{TOKEN}.jpeg",
    f"thumbnail-{TOKEN[1:]}.jpg",
    f"Thumbnail-{TOKEN}.jpg",
    f"{'0' * 31}.jpg",
    f"{'0' * 31}G.jpg",
    f"{'0' * 31}A.jpg",
    ".mp4gen-0123456789ab.part~",
    ".mp4gen-0123456789AB.part",
    ".mp4gen-0123456789a.part",
    "mp4gen-0123456789ab.part",
    f"render-{TOKEN[1:]}",
    f"render-{TOKEN} copy",
    f"Render-{TOKEN}",
    TOKEN,
]
Folders = tuple[Path, Path]


def snapshot(root: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def write(path: Path, content: bytes = b"mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def settings(music: Path, data: Path, **changes: Any) -> ServerConfig:
    values = {"music": music, "data": data, "port": 0, "style": FAST_STYLE, "workers": 1}
    return ServerConfig(**{**values, "min_free_bytes": 0, "shutdown_timeout": 0.0, **changes})


def converted_videos(root: Path) -> Folders:
    """`mp4gen convert --to videos/`, then `mp4gen serve --data .`."""
    write(root / "project" / "videos" / "Slow Harbour.mp4")
    write(root / "project" / "videos" / ".mp4gen-0123456789ab.part")
    write(root / "project" / "work" / "mix" / "take1.wav")
    return write_song(root / "music" / "one.wav").parent, root / "project"


def same_folder(root: Path) -> Folders:
    """`mp4gen serve --music X --data X`."""
    write(root / "music" / "videos" / "clip.mp4")
    write(root / "music" / "work" / "take.wav")
    music = write_song(root / "music" / "one.wav").parent
    return music, music


def link_to_the_music(root: Path) -> Folders:
    """The data folder is a link to the music folder."""
    music, _ = same_folder(root)
    (root / "link").symlink_to(music)
    return music, root / "link"


def data_in_music(root: Path) -> Folders:
    """A visible data folder in the music folder, which would be taken for music."""
    return write_song(root / "music" / "one.wav").parent, root / "music" / "server"


def music_in_data(root: Path) -> Folders:
    """The music lies in the folder that becomes the data folder."""
    return write_song(root / "all" / "videos" / "one.wav").parent, root / "all"


def music_in_own_folder(root: Path) -> Folders:
    """The music lies in `work/` of a data folder that the server made."""
    music = write_song(root / "data" / "work" / "one.wav").parent
    write(root / "data" / "mp4gen-data-folder.txt")
    return music, root / "data"


def foreign_database(root: Path) -> Folders:
    """Another program's file has the name of our database."""
    write(root / "data" / "mp4gen.sqlite", b"SQLite format 3\0, of another program")
    return write_song(root / "music" / "one.wav").parent, root / "data"


def home_folder(root: Path) -> Folders:
    """A folder with hidden files only."""
    write(root / "home" / ".bashrc")
    return write_song(root / "music" / "one.wav").parent, root / "home"


REFUSED: dict[str, Callable[[Path], Folders]] = {
    function.__name__: function
    for function in (
        converted_videos,
        same_folder,
        link_to_the_music,
        data_in_music,
        music_in_data,
        music_in_own_folder,
        foreign_database,
        home_folder,
    )
}


def files_in_our_folders(root: Path) -> Folders:
    """The user put files into each folder of the data folder."""
    data = root / "data"
    write(data / "mp4gen-data-folder.txt")
    write(data / "notes.txt")
    write(data / "videos" / "Slow Harbour.mp4")
    write(data / "videos" / f"{LOOKALIKE}.mp4")
    write(data / "videos" / "half.part")
    write(data / "videos" / "session" / "take.mp4")
    write(data / "work" / "mix" / "take1.wav")
    write(data / "work" / LOOKALIKE / "take1.wav")
    write(data / "work" / "render-mix" / "take1.wav")
    write(data / "cache" / "photo.jpg")
    write(data / "cache" / "thumbnail-mine.jpg")
    write(data / "cache" / "download.part")
    for name in NEAR_MISSES:
        for folder in ("videos", "cache"):
            write(data / folder / name)
        write(data / "work" / name / "take1.wav")
    for path in (data / "cache").iterdir():
        os.utime(path, (0, 0))
    return write_song(root / "music" / "one.wav").parent, data


def folder_of_an_old_version(root: Path) -> Folders:
    """A data folder without a marker, as versions before it made them."""
    data = root / "data"
    for name in ("videos", "work", "cache"):
        write(data / name / "mine.txt")
    old_database(data / "mp4gen.sqlite", 1)
    write(data / "videos" / "video1AAAAAAAAAAAAAAAAAA.mp4")
    return write_song(root / "music" / "one.wav").parent, data


def old_folder_without_database(root: Path) -> Folders:
    """The same, after its damaged database was moved away, as the error advises."""
    music, data = folder_of_an_old_version(root)
    (data / "mp4gen.sqlite").rename(root / "damaged.sqlite")
    write(data / "videos" / f"{LOOKALIKE}.mp4")
    write(data / "secret", os.urandom(32))
    write(data / "lock", b"")
    return music, data


def hidden_data_in_music(root: Path) -> Folders:
    """The default data folder, and the home folder as the music folder."""
    return write_song(root / "one.wav").parent, root / ".local" / "share" / "mp4gen"


def fresh_disk(root: Path) -> Folders:
    """A new file system has a folder of its own."""
    write(root / "data" / "lost+found" / "#12")
    return write_song(root / "music" / "one.wav").parent, root / "data"


def killed_first_start(root: Path) -> Folders:
    """A first start was killed after it had locked the folder."""
    write(root / "data" / "lock", b"")
    return write_song(root / "music" / "one.wav").parent, root / "data"


ACCEPTED: dict[str, Callable[[Path], Folders]] = {
    function.__name__: function
    for function in (
        files_in_our_folders,
        folder_of_an_old_version,
        old_folder_without_database,
        hidden_data_in_music,
        fresh_disk,
        killed_first_start,
    )
}


@pytest.mark.parametrize("situation", REFUSED)
async def test_refused_folder_is_not_touched(tmp_path: Path, situation: str) -> None:
    """The start is refused in one sentence, `--check` says the same, and no file changes."""
    music, data = REFUSED[situation](tmp_path)
    before = snapshot(tmp_path)

    with pytest.raises(ConfigurationError) as refused:
        await Server(settings(music, data)).__aenter__()
    checked = await run_check(settings(music, data), "data")

    assert snapshot(tmp_path) == before
    assert str(refused.value) == checked.message
    assert "--data" in checked.message
    assert not checked.passed


@pytest.mark.parametrize("situation", ACCEPTED)
async def test_server_keeps_files_that_it_did_not_make(tmp_path: Path, situation: str) -> None:
    """The server starts, deletes what is expired and stops, twice, and each file is still there."""
    music, data = ACCEPTED[situation](tmp_path)
    before = snapshot(tmp_path)
    before.pop("data/mp4gen.sqlite", None)

    for _ in range(2):
        async with Server(settings(music, data)) as server:
            await server.delete_expired()

    assert before.items() <= snapshot(tmp_path).items()


async def test_refused_start_does_not_touch_the_running_server(
    serve: Serve, music: Path, tmp_path: Path
) -> None:
    """A second server on the same folder deletes no upload, no render and no video of the first."""
    await serve()
    for path in (
        music / "Uploads" / ".mp4gen-upload-x",
        tmp_path / "data" / "work" / f"render-{TOKEN}" / "video.mp4",
        tmp_path / "data" / "videos" / f"{TOKEN}.mp4",
        tmp_path / "data" / "videos" / ".mp4gen-0123456789ab.part",
        tmp_path / "data" / "cache" / f"thumbnail-{TOKEN}.jpg",
    ):
        write(path)
        os.utime(path, (0, 0))
    before = snapshot(tmp_path)

    with pytest.raises(ConfigurationError, match="Another server uses the data folder"):
        await Server(settings(music, tmp_path / "data")).__aenter__()

    assert snapshot(tmp_path) == before


async def test_start_keeps_the_upload_that_another_server_receives(
    serve: Serve, music: Path, tmp_path: Path
) -> None:
    """Two servers with the same music folder do not delete each other's uploads."""
    await serve()
    upload = write(music / "Uploads" / ".mp4gen-upload-x")

    await serve(data=tmp_path / "other")

    assert upload.exists()


@pytest.mark.parametrize(
    "damage", [b"", b"not a database at all" * 100, b"SQLite format 3\0?" * 99]
)
async def test_damaged_database_deletes_nothing(tmp_path: Path, damage: bytes) -> None:
    """The start is refused, or begins with an empty database, and all files stay."""
    data = tmp_path / "data"
    write(data / "mp4gen-data-folder.txt")
    write(data / "videos" / f"{'A' * 24}.mp4")
    write(data / "videos" / f"{'B' * 24}.json")
    write(data / "mp4gen.sqlite", damage)
    music = write_song(tmp_path / "music" / "one.wav").parent
    before = snapshot(tmp_path)
    before.pop("data/mp4gen.sqlite")

    try:
        async with Server(settings(music, data)):
            # The record of no video: the server's own.
            before.pop(f"data/videos/{'B' * 24}.json")
    except ConfigurationError as error:
        assert "is damaged" in str(error)  # noqa: PT017 - an empty file is not damaged

    assert before.items() <= snapshot(tmp_path).items()
