"""The database's versions: migrations, foreign files, and the indexes of what is asked often."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.errors import ConfigurationError
from mp4gen.server.queue import schema
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState
from mp4gen.server.rendering.video_options import VideoOptions

SAMPLES = Path(__file__).parents[1] / "samples"
# The stored database of each version before the current one.
OLD_VERSIONS = range(1, len(schema.MIGRATIONS))


def create(path: Path, script: str) -> Path:
    """Create a database by a script."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def old_database(path: Path, version: int) -> Path:
    """Create the stored database of a version, as its code left it."""
    return create(path, (SAMPLES / f"server_v{version}.sql").read_text())


def describe(path: Path) -> list[tuple[Any, ...]]:
    """Return the schema of a database and its version."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        columns = connection.execute(
            "SELECT name, dflt_value, \"notnull\" FROM pragma_table_info('tasks')"
        )
        indexes = connection.execute("SELECT name FROM sqlite_master ORDER BY name")
        version = connection.execute("PRAGMA user_version")
        owner = connection.execute("PRAGMA application_id")
        return [*columns, *indexes, *version, *owner]


@pytest.mark.parametrize("version", OLD_VERSIONS)
def test_old_database_gets_the_schema_of_a_new_one(tmp_path: Path, version: int) -> None:
    """After the migration nothing tells the two apart."""
    Store(tmp_path / "new.sqlite").close()
    Store(old_database(tmp_path / "old.sqlite", version)).close()

    assert describe(tmp_path / "old.sqlite") == describe(tmp_path / "new.sqlite")


def test_tasks_of_version_1_are_kept(tmp_path: Path) -> None:
    """Finished, failed, interrupted and queued tasks are the same as before, with new defaults."""
    store = Store(old_database(tmp_path / "tasks.sqlite", 1))
    tasks = [store.get(f"{number:032x}") for number in range(1, 6)]
    unfinished = [int(task.task_id) for task in store.unfinished()]
    speed = store.get_metadata("render_speed")
    store.close()

    assert [task.state for task in tasks] == ["done", "failed", "rendering", "queued", "queued"]
    assert (tasks[0].author, tasks[0].domain_name) == ("An Author", "music.example")
    assert (tasks[0].size, tasks[0].completed_at) == (1234, 1_800_000_020.0)
    assert tasks[1].error_message == "The audio cannot be read: bad.mp3. Use another file."
    assert tasks[3].aspect_ratio == "9:16"
    assert (tasks[4].account, tasks[4].callback) == ("anna", CallbackState.DUE)
    assert unfinished == [3, 4, 5]
    assert speed == 20.0
    defaults = {"fingerprint": None, "attempts": 0, "troubles": 0, "warnings": ()}
    assert [{name: getattr(task, name) for name in defaults} for task in tasks] == [defaults] * 5


def test_tasks_of_version_2_are_kept(tmp_path: Path) -> None:
    """They are the same as before, without options."""
    store = Store(old_database(tmp_path / "tasks.sqlite", 2))
    tasks = [store.get(f"{number:032x}") for number in range(1, 6)]
    unfinished = [int(task.task_id) for task in store.unfinished()]
    store.close()

    assert [task.state for task in tasks] == ["done", "failed", "rendering", "queued", "queued"]
    assert tasks[0].warnings == ("The cover is small.",)
    assert (tasks[2].attempts, tasks[2].lease_until) == (1, 1_800_003_700.0)
    assert (tasks[3].aspect_ratio, tasks[3].last_trouble) == ("9:16", "The disk is full.")
    assert [task.fingerprint[:1] for task in tasks] == ["0", "2", "4", "6", "8"]
    assert unfinished == [3, 4, 5]
    assert [task.options for task in tasks] == [VideoOptions()] * 5


def test_interrupted_migration_continues(tmp_path: Path) -> None:
    """A kill between two steps leaves a database that the next start migrates further."""
    path = tmp_path / "tasks.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        schema.migrate(connection, path, schema.MIGRATIONS[:1])
    Store(path).close()
    Store(tmp_path / "new.sqlite").close()

    assert describe(path) == describe(tmp_path / "new.sqlite")


def test_failed_step_changes_nothing(tmp_path: Path) -> None:
    """A step is one transaction: if a part of it fails, none of it happened."""
    path = old_database(tmp_path / "tasks.sqlite", 1)
    before = describe(path)
    broken = (schema.MIGRATIONS[0], schema.MIGRATIONS[1] + "ALTER TABLE nothing ADD COLUMN x;")

    with (
        contextlib.closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.OperationalError, match="nothing"),
    ):
        schema.migrate(connection, path, broken)

    assert describe(path) == before


FOREIGN = {
    "another program's table": "CREATE TABLE notes (text);",
    "tables of these names": "CREATE TABLE tasks (x); CREATE TABLE metadata (y);",
    "a ledger": "PRAGMA application_id = 1836070759; PRAGMA user_version = 1; CREATE TABLE run (x)",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_database_is_refused_and_not_changed(tmp_path: Path, name: str) -> None:
    """A database of another program is neither used nor migrated."""
    path = create(tmp_path / "mp4gen.sqlite", FOREIGN[name])
    before = path.read_bytes()

    for use in (Store, schema.check_integrity):
        with pytest.raises(ConfigurationError, match="not one of the server"):
            use(path)

    assert path.read_bytes() == before


def test_damaged_database_is_named(tmp_path: Path) -> None:
    """The text says what to do; of a copy it names the original."""
    path, original = tmp_path / "copy.sqlite", tmp_path / "tasks.sqlite"
    path.write_bytes(b"garbage " * 1000)
    uses: list[tuple[Path, Callable[[], object]]] = [
        (path, lambda: Store(path)),
        (path, lambda: schema.check_integrity(path)),
        (original, lambda: schema.check_integrity(path, named=original)),
    ]
    for named, use in uses:
        with pytest.raises(ConfigurationError) as error:
            use()
        assert str(error.value).startswith(
            f"The database {named} is damaged (file is not a database). Restore your last copy, "
        )


def test_database_in_a_missing_folder_is_no_damage(tmp_path: Path) -> None:
    """The text names the file and the cause."""
    path = tmp_path / "none" / "tasks.sqlite"

    with pytest.raises(ConfigurationError) as error:
        Store(path)

    cause = f"The database {path} cannot be used: unable to open database file. "
    assert str(error.value).startswith(cause)


def test_newer_database_is_refused(tmp_path: Path) -> None:
    """The text says which version to use."""
    path = tmp_path / "mp4gen.sqlite"
    Store(path).close()
    create(path, f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1};")

    with pytest.raises(ConfigurationError, match="A newer mp4gen created the database"):
        Store(path)


async def test_every_field_of_a_task_is_stored(tmp_path: Path) -> None:
    """A task is read as it was added."""
    task = Task(
        task_id="1",
        account="anna",
        music_task_id="album",
        audio_id="one",
        filename="v.mp4",
        created_at=1.0,
        state=TaskState.QUEUED,
        fingerprint="f",
        attempts=2,
        troubles=3,
        lease_until=4.0,
        not_before=5.0,
        last_trouble="The disk is full.",
        warnings=("The cover is small.", "«»"),
    )
    store = Store(tmp_path / "tasks.sqlite")
    await store.add(task)
    await store.add(attrs.evolve(task, task_id="2", fingerprint="g", warnings=()))
    found = [store.get("1"), store.get("2")]
    store.close()

    assert found == [task, attrs.evolve(task, task_id="2", fingerprint="g", warnings=())]
