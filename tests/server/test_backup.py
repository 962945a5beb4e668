"""The backup of the database while a server runs, and how it is restored."""

import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from mp4gen.errors import ConfigurationError
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.data_ownership import MARKER
from mp4gen.server.queue.backup import back_up
from mp4gen.server.queue.schema import check_integrity
from mp4gen.server.queue.store import Store

from .conftest import FINISHED_TASK, Serve


def task(number: int) -> object:
    unique = {"task_id": str(number), "fingerprint": str(number)}
    return attrs.evolve(FINISHED_TASK, **unique, filename=f"{number:024}.mp4")


def names(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_backup_is_complete_and_one_file(
    data: DataDirectory, store: Store, tmp_path: Path
) -> None:
    """All tasks are in it, also those in the log beside the database; only its owner reads it."""
    for number in range(3):
        await store.add(task(number))

    copied = back_up(data, tmp_path / "copy.sqlite")

    assert copied == len(check_integrity(tmp_path / "copy.sqlite")) == 3
    assert names(tmp_path) == ["copy.sqlite", data.root.name]
    assert (tmp_path / "copy.sqlite").stat().st_mode & 0o777 == 0o600


async def test_backup_beside_writes_is_of_one_moment(
    data: DataDirectory, store: Store, tmp_path: Path
) -> None:
    """While tasks are added, each backup has the first ones, without a gap."""
    adding = asyncio.create_task(add_many(store))
    while not adding.done():
        await asyncio.to_thread(back_up, data, tmp_path / "copy.sqlite")
        with contextlib.closing(sqlite3.connect(tmp_path / "copy.sqlite")) as copy:
            ids = [int(row[0]) for row in copy.execute("SELECT task_id FROM tasks ORDER BY seq")]
        assert ids == list(range(len(ids)))
    await adding


async def add_many(store: Store) -> None:
    for number in range(50):
        await store.add(task(number))


def is_refused(data: DataDirectory, target: Path) -> bool:
    """Return whether the backup is refused and changes nothing."""
    before = target.read_bytes() if target.is_file() else None
    with pytest.raises(ConfigurationError) as error:
        back_up(data, target)
    assert re.search("--|Choose another file|Restore your last copy", str(error.value))
    return before == (target.read_bytes() if target.is_file() else None)


def user_file(root: Path, data: DataDirectory) -> Path:
    """The song, by mistake."""
    (root / "song.mp3").write_bytes(b"my song")
    return root / "song.mp3"


def other_database(root: Path, data: DataDirectory) -> Path:
    """Another program's database."""
    with contextlib.closing(sqlite3.connect(root / "notes.sqlite")) as notes:
        notes.execute("CREATE TABLE notes (text)")
    return root / "notes.sqlite"


def own_database(root: Path, data: DataDirectory) -> Path:
    """The database itself."""
    return data.database


def link_to_the_folder(root: Path, data: DataDirectory) -> Path:
    """The database itself, by another path."""
    (root / "link").symlink_to(data.root)
    return root / "link" / "mp4gen.sqlite"


def database_without_a_marker(root: Path, data: DataDirectory) -> Path:
    """The database itself, in the folder of an older version."""
    (data.root / MARKER).unlink()
    return data.database


def log_of_the_database(root: Path, data: DataDirectory) -> Path:
    """What SQLite keeps beside it."""
    return data.database.with_name("mp4gen.sqlite-wal")


def folder(root: Path, data: DataDirectory) -> Path:
    """A folder."""
    return root


def missing_folder(root: Path, data: DataDirectory) -> Path:
    """A folder that does not exist."""
    return root / "none" / "copy.sqlite"


REFUSED: list[Callable[[Path, DataDirectory], Path]] = [
    user_file,
    other_database,
    own_database,
    link_to_the_folder,
    database_without_a_marker,
    log_of_the_database,
    folder,
    missing_folder,
]


@pytest.mark.parametrize("target", REFUSED)
async def test_backup_replaces_no_other_file(
    data: DataDirectory,
    store: Store,
    tmp_path: Path,
    target: Callable[[Path, DataDirectory], Path],
) -> None:
    """Only an earlier backup is replaced."""
    await store.add(FINISHED_TASK)

    assert is_refused(data, target(tmp_path, data))


async def test_damaged_database_does_not_replace_a_backup(
    data: DataDirectory, tmp_path: Path
) -> None:
    """The earlier, good backup stays."""
    store = Store(data.database)
    for number in range(200):
        await store.add(task(number))
    store.close()
    back_up(data, tmp_path / "copy.sqlite")
    with data.database.open("rb+") as file:
        file.seek(8192)
        file.write(os.urandom(20_000))

    assert is_refused(data, tmp_path / "copy.sqlite")
    assert len(check_integrity(tmp_path / "copy.sqlite")) == 200


async def test_folder_without_a_database_has_no_backup(tmp_path: Path) -> None:
    """The text says which folder was meant."""
    with pytest.raises(ConfigurationError, match="none contains no database"):
        back_up(DataDirectory(tmp_path / "none"), tmp_path / "copy.sqlite")

    assert names(tmp_path) == []


def restore(copy: Path, data: Path, aside: Path) -> None:
    """Restore a backup as the documentation says."""
    aside.mkdir()
    for path in data.glob("mp4gen.sqlite*"):
        path.rename(aside / path.name)
    shutil.copy(copy, data / "mp4gen.sqlite")


@pytest.mark.slow
async def test_restored_backup_knows_its_tasks(serve: Serve, tmp_path: Path) -> None:
    """The tasks are as they were, waiting ones go on, and newer videos are found."""
    data = tmp_path / "data"
    caller = await serve()
    done = await caller.create_and_wait("album", "one")
    waiting = (await caller.generate("album", "two"))["data"]["taskId"]
    await asyncio.to_thread(back_up, DataDirectory(data), tmp_path / "copy.sqlite")
    await caller.wait_until_finished(waiting)
    newer = await caller.create_and_wait(".", "loose")
    await caller.server.__aexit__(None, None, None)

    restore(tmp_path / "copy.sqlite", data, tmp_path / "aside")
    caller = await serve()
    states = {
        task_id: (await caller.wait_until_finished(task_id))["successFlag"]
        for task_id in (done["taskId"], waiting, newer["taskId"])
    }

    assert set(states.values()) == {"SUCCESS"}
    assert len(list((data / "videos").glob("*.mp4"))) == 3
