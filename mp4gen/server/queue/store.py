"""The durable record of every task, in SQLite: what is committed here survives any kill.

Reads run where they are called: one look-up by key takes some ten microseconds, less than handing
it to a thread would cost. Writes wait for the disk, so they run one after the other on a thread of
their own, each in one transaction. With the write-ahead log neither waits for the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mp4gen.errors import AlreadyExistsError, ConfigurationError

from .task import CallbackState, Task, TaskState

T = TypeVar("T")

SCHEMA_VERSION = 1
_FIELDS = tuple(field.name for field in attrs.fields(Task))
_SCHEMA = f"""
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    {", ".join(f"{name} UNIQUE NOT NULL" if name == "task_id" else name for name in _FIELDS)}
);
CREATE UNIQUE INDEX one_video ON tasks (account, music_task_id, audio_id, render_variant)
    WHERE state != 'failed';
CREATE INDEX by_state ON tasks (state, completed_at);
CREATE INDEX by_callback ON tasks (seq) WHERE callback = 'due';
CREATE TABLE metadata (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""
_COLUMNS = ", ".join(_FIELDS)
_PLACEHOLDERS = ", ".join(f":{name}" for name in _FIELDS)


class Store:
    """The tasks of one server.

    Args:
        path: the database file; made where there is none.

    Raises:
        ConfigurationError: the file cannot be used, or is of a newer version.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._write_connection = _connect(path)
            _prepare(self._write_connection, path)
            self._read_connection = _connect(path)
        except sqlite3.Error as error:
            raise ConfigurationError(f"the database {path} cannot be used: {error}") from error
        self._write_executor = ThreadPoolExecutor(1, thread_name_prefix="mp4gen-store")

    def close(self) -> None:
        """Finish what is being written, then close."""
        self._write_executor.shutdown(wait=True)
        self._read_connection.close()
        self._write_connection.close()

    # --- writing ----------------------------------------------------------------------------

    async def add(self, task: Task) -> None:
        """Keep a new task; on return it is on the disk.

        Raises:
            AlreadyExistsError: there is a video of this track; carries its task id.
        """
        await self._run_in_writer(self._add, task)

    async def mark_started(self, task_id: str, now: float) -> None:
        """Rendering began."""
        await self._change(task_id, state=TaskState.RENDERING, started_at=now)

    async def requeue(self, task_id: str) -> None:
        """Rendering was interrupted by us: it waits again."""
        await self._change(task_id, state=TaskState.QUEUED, started_at=None)

    async def finish(self, task_id: str, publish: Callable[[], dict[str, Any]], now: float) -> bool:
        """The video is made: `publish` puts it in its place, then the task is done.

        Returns:
            Whether there still was such a task; `publish` is not called where there was none.
        """
        return await self._run_in_writer(self._finish, task_id, publish, now)

    async def mark_failed(self, task_id: str, code: int, message: str, now: float) -> None:
        """There will be no video."""
        await self._change(
            task_id,
            state=TaskState.FAILED,
            completed_at=now,
            error_code=code,
            error_message=message,
        )

    async def set_callback_state(self, task_id: str, state: CallbackState) -> None:
        """What became of the task's callback."""
        await self._change(task_id, callback=state)

    async def remove(self, task_id: str) -> None:
        """Forget a task."""
        await self._run_in_writer(self._run, "DELETE FROM tasks WHERE task_id = ?", (task_id,))

    async def set_metadata(self, name: str, value: Any) -> None:
        """Keep a fact about the server itself."""
        await self._run_in_writer(
            self._run, "INSERT OR REPLACE INTO metadata VALUES (?, ?)", (name, value)
        )

    # --- reading ----------------------------------------------------------------------------

    def get(self, task_id: str) -> Task | None:
        """One task; None where there is none."""
        found = self._select("WHERE task_id = ?", (task_id,))
        return found[0] if found else None

    def unfinished(self) -> list[Task]:
        """Every task that waits or was being rendered, oldest first."""
        return self._select("WHERE state IN ('queued', 'rendering') ORDER BY seq")

    def callbacks_due(self) -> list[Task]:
        """Every ended task whose callback has not been sent yet, oldest first."""
        return self._select("WHERE callback = 'due' AND state IN ('done', 'failed') ORDER BY seq")

    def finished_before(self, moment: float) -> list[Task]:
        """Every task that ended before `moment`."""
        return self._select("WHERE state IN ('done', 'failed') AND completed_at < ?", (moment,))

    def newest(self, account: str, limit: int) -> list[Task]:
        """The newest tasks of an account, newest first."""
        return self._select("WHERE account = ? ORDER BY seq DESC LIMIT ?", (account, limit))

    def filenames(self) -> set[str]:
        """The names of all videos that belong to a task."""
        return {row[0] for row in self._read_connection.execute("SELECT filename FROM tasks")}

    def get_metadata(self, name: str) -> Any:
        """A fact about the server; None where it is not known."""
        row = self._read_connection.execute(
            "SELECT value FROM metadata WHERE name = ?", (name,)
        ).fetchone()
        return row[0] if row else None

    # --- on the writer's thread -------------------------------------------------------------

    async def _run_in_writer(self, func: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        # What is being written gets written, also when the caller is cancelled meanwhile.
        return await asyncio.shield(loop.run_in_executor(self._write_executor, func, *args))

    async def _change(self, task_id: str, **values: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        sql = f"UPDATE tasks SET {names} WHERE task_id = ?"  # noqa: S608 - our own column names
        await self._run_in_writer(self._run, sql, (*values.values(), task_id))

    def _run(self, sql: str, values: tuple[Any, ...]) -> int:
        with self._transaction() as connection:
            return connection.execute(sql, values).rowcount

    def _add(self, task: Task) -> None:
        insert = f"INSERT INTO tasks ({_COLUMNS}) VALUES ({_PLACEHOLDERS})"  # noqa: S608 - as above
        with self._transaction() as connection:
            try:
                connection.execute(insert, attrs.asdict(task))
            except sqlite3.IntegrityError:
                raise self._exists(task) from None

    def _exists(self, task: Task) -> AlreadyExistsError:
        row = self._write_connection.execute(
            "SELECT task_id FROM tasks WHERE account = ? AND music_task_id = ? AND audio_id = ? "
            "AND render_variant = ? AND state != 'failed'",
            (task.account, task.music_task_id, task.audio_id, task.render_variant),
        ).fetchone()
        return AlreadyExistsError(
            "Mp4 record already exists", code=409, existing_task_id=row[0] if row else None
        )

    def _finish(self, task_id: str, publish: Callable[[], dict[str, Any]], now: float) -> bool:
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT 1 FROM tasks WHERE task_id = ?", (task_id,)
            ).fetchone()
            if known is None:
                return False
            values = {"state": TaskState.DONE, "completed_at": now, **publish()}
            names = ", ".join(f"{name} = ?" for name in values)
            sql = f"UPDATE tasks SET {names} WHERE task_id = ?"  # noqa: S608 - as above
            connection.execute(sql, (*values.values(), task_id))
        return True

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._write_connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._write_connection
        except BaseException:
            self._write_connection.execute("ROLLBACK")
            raise
        self._commit()

    def _commit(self) -> None:
        self._write_connection.execute("COMMIT")

    def _select(self, where: str, values: tuple[Any, ...] = ()) -> list[Task]:
        sql = f"SELECT {_COLUMNS} FROM tasks {where}"  # noqa: S608 - as above
        rows = self._read_connection.execute(sql, values)
        return [Task(**dict(zip(_FIELDS, row, strict=True))) for row in rows]


def check_integrity(path: Path) -> int:
    """Read a database through without changing it; how many tasks it holds.

    Raises:
        ConfigurationError: it is damaged, of a newer version, or none of ours.
    """
    try:
        # A reader of the write-ahead log needs its own file beside it, so not quite read-only.
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
            _check_version(connection, path)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found == "ok":
                return int(connection.execute("SELECT count(*) FROM tasks").fetchone()[0])
    except sqlite3.Error as error:
        found = str(error)
    raise ConfigurationError(
        f"the database {path} is damaged ({found}): put your last copy of it back, or move it "
        "away to begin with an empty one"
    )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    # A task is on the disk itself before its caller is told so: power may fail too.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _check_version(connection, path) == 0:
        script = f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        connection.executescript(script)


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"the database {path} was made by a newer mp4gen; use that, or another data folder"
        )
    return version
