"""Keeps the durable record of every task in SQLite: a committed task survives a kill.

Reads run on the event loop: a query by key takes about ten microseconds, less than a thread would.
Writes wait for the disk, so they run one after the other on a thread of their own, each in one
transaction. With the write-ahead log neither waits for the other.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mp4gen.errors import AlreadyExistsError, ConfigurationError

from . import statements
from .known_tasks import KnownTasks
from .overview import Overview, read_overview
from .schema import check_version, damaged, migrate
from .task import CallbackState, Task, TaskState, UnfinishedTask

T = TypeVar("T")


class Store:
    """The tasks of one server.

    Args:
        path: The database file; created if missing.

    Raises:
        ConfigurationError: The file cannot be used, or is of a newer version.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._write_connection = _connect(path)
            migrate(self._write_connection, path)
            self._read_connection = _connect(path)
        except sqlite3.Error as error:
            if not isinstance(error, sqlite3.OperationalError):
                raise damaged(path, error) from error
            raise ConfigurationError(
                f"The database {path} cannot be used: {error}. Check the space on its disk, or "
                "choose another folder with --data."
            ) from error
        # Clients poll tasks that have not changed.
        self._known = KnownTasks()
        self._write_executor = ThreadPoolExecutor(1, thread_name_prefix="mp4gen-store")

    def close(self) -> None:
        """Finish the pending writes, then close the database."""
        self._write_executor.shutdown(wait=True)
        self._read_connection.close()
        self._write_connection.close()

    # --- writing ----------------------------------------------------------------------------

    async def add(self, task: Task) -> None:
        """Add a new task; on return it is on the disk.

        Raises:
            AlreadyExistsError: Another task makes or made the same video; carries its task id.
        """
        await self._run_in_writer(self._add, task)

    async def mark_started(
        self, task: Task, now: float, fingerprint: str, *, lease_until: float
    ) -> None:
        """Record that rendering began, and what the video is made of.

        It counts as an attempt until it ends, or is excused.
        """
        values = {"state": TaskState.RENDERING, "started_at": now, "lease_until": lease_until}
        values["attempts"] = task.attempts + 1
        await self._run_in_writer(self._mark_started, task.task_id, fingerprint, values)

    async def requeue(self, task_id: str, **values: Any) -> None:
        """Record that rendering ended without a result, so that the task is queued again.

        Args:
            task_id: The task.
            values: Other fields of the task that change.
        """
        await self._change(
            task_id, state=TaskState.QUEUED, started_at=None, lease_until=None, **values
        )

    async def finish(self, task_id: str, now: float, **values: Any) -> bool:
        """Record that the task is done, with these other values; return whether it still exists."""
        return await self._run_in_writer(self._finish, task_id, now, values)

    async def mark_failed(self, task_id: str, code: int, message: str, now: float) -> None:
        """Record that the task failed."""
        state = TaskState.FAILED
        await self._change(
            task_id,
            state=state,
            completed_at=now,
            error_code=code,
            error_message=message,
            **statements.NOT_WAITING,
        )

    async def set_callback_state(self, task_id: str, state: CallbackState) -> None:
        """Record the state of the task's callback."""
        await self._change(task_id, callback=state)

    async def revive(self, task_id: str, **values: Any) -> bool:
        """Queue a finished task again, with these new values.

        Returns:
            False if it is not done any more.
        """
        return await self._run_in_writer(self._revive, task_id, values)

    async def shift_completed(self, since: float, by: float, now: float) -> None:
        """Move the ends of all tasks that ended after `since` by seconds, up to `now` at most."""
        sql = (
            "UPDATE tasks SET completed_at = min(?, completed_at + ?) "
            "WHERE state IN ('done', 'failed') AND completed_at >= ?"
        )
        await self._run_in_writer(self._run, sql, (now, by, since))

    async def adopt(self, task: Task) -> bool:
        """Add the task of a video that was found; return whether that was possible."""
        return await self._run_in_writer(self._adopt, task)

    async def remove(self, task_id: str) -> None:
        """Delete a task, and note that its video must be deleted."""
        await self._run_in_writer(self._remove, task_id)

    async def remove_all(
        self, account: str, states: Collection[TaskState], batch: str | None = None
    ) -> list[Task]:
        """Delete the tasks of an account in these states as `remove` does, and return them.

        With a `batch` only those of this batch are deleted.
        """
        return await self._run_in_writer(self._remove_all, account, states, batch)

    async def set_kept(self, task_id: str, *, kept: bool) -> None:
        """Record whether a task never expires."""
        await self._change(task_id, kept=kept)

    async def forget_videos(self, filenames: Iterable[str]) -> None:
        """Record that the videos of deleted tasks are deleted, too."""
        sql = "DELETE FROM removed_videos WHERE filename IN (SELECT value FROM json_each(?))"
        await self._run_in_writer(self._run, sql, (json.dumps(list(filenames)),))

    async def set_metadata(self, name: str, value: Any) -> None:
        """Record a value about the server itself."""
        await self._run_in_writer(
            self._run, "INSERT OR REPLACE INTO metadata VALUES (?, ?)", (name, value)
        )

    # --- reading ----------------------------------------------------------------------------

    def get(self, task_id: str) -> Task | None:
        """Return one task; None if it does not exist."""
        # A write replaces it, so that what was read before never gets into the new one.
        known = self._known
        if task_id not in known:
            found = self._select("WHERE task_id = ?", (task_id,))
            known[task_id] = found[0] if found else None
        return known[task_id]

    def unfinished(self) -> Iterator[UnfinishedTask]:
        """Yield every queued or rendering task, oldest first."""
        return map(UnfinishedTask._make, self._read_connection.execute(statements.UNFINISHED))

    def callbacks_due(self) -> list[Task]:
        """Return every finished task whose callback is still to be sent, oldest first."""
        return self._select("WHERE callback = 'due' AND state IN ('done', 'failed') ORDER BY seq")

    def finished_before(self, moment: float) -> list[Task]:
        """Return every task that finished before `moment`, except those that never expire."""
        return self._select(
            "WHERE state IN ('done', 'failed') AND completed_at < ? AND NOT kept", (moment,)
        )

    @property
    def version(self) -> int:
        """A number that changes with every write."""
        return int(self._read_connection.execute("PRAGMA data_version").fetchone()[0])

    def overview(self, account: str) -> Overview:
        """Return what is counted over all tasks of an account."""
        return read_overview(self._read_connection, account)

    def newest(
        self,
        account: str,
        limit: int,
        *,
        states: Collection[TaskState] = tuple(TaskState),
        offset: int = 0,
    ) -> list[Task]:
        """Return tasks of an account, newest first.

        Args:
            account: The account.
            limit: Maximum number of tasks.
            states: Only tasks in one of these states.
            offset: Number of newer tasks that are skipped.
        """
        # The plus sign hides the index of the states: it does not keep the order of several.
        column = "state" if len(states) == 1 else "+state"
        return self._select(
            f"WHERE account = ? AND {column} IN ({', '.join('?' * len(states))})"
            " ORDER BY seq DESC LIMIT ? OFFSET ?",
            (account, *states, limit, offset),
        )

    def done(self) -> dict[str, str]:
        """Return the id of every task that has a video, by the name of the video."""
        return dict(self._read_connection.execute(statements.DONE).fetchall())

    def removed_videos(self) -> list[str]:
        """Return the file names of videos of deleted tasks, which may still exist."""
        rows = self._read_connection.execute("SELECT filename FROM removed_videos")
        return [row[0] for row in rows]

    def pictures(self) -> set[str]:
        """Return the names of the pictures that tasks have."""
        return {row[0] for row in self._read_connection.execute(statements.PICTURES)}

    def filenames(self) -> set[str]:
        """Return the file names of the videos of all tasks."""
        return {row[0] for row in self._read_connection.execute("SELECT filename FROM tasks")}

    def get_metadata(self, name: str) -> Any:
        """Return a value about the server; None if it is not recorded."""
        sql = "SELECT value FROM metadata WHERE name = ?"
        row = self._read_connection.execute(sql, (name,)).fetchone()
        return row[0] if row else None

    # --- on the writer's thread -------------------------------------------------------------

    async def _run_in_writer(self, func: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        # A write also ends if its caller is cancelled.
        return await asyncio.shield(loop.run_in_executor(self._write_executor, func, *args))

    async def _change(self, task_id: str, **values: Any) -> None:
        await self._run_in_writer(self._run, *statements.update(task_id, values))

    def _run(self, sql: str, values: tuple[Any, ...]) -> None:
        with self._transaction() as connection:
            connection.execute(sql, values)

    def _add(self, task: Task) -> None:
        with self._transaction() as connection:
            values = statements.row_of(task)
            if existing := connection.execute(statements.SAME_VIDEO, values).fetchone():
                message = "Mp4 record already exists"
                raise AlreadyExistsError(message, code=409, existing_task_id=existing[0])
            connection.execute(statements.INSERT, values)

    def _adopt(self, task: Task) -> bool:
        fingerprint = statements.duplicate_fingerprint(task.fingerprint, task.task_id)
        for candidate in (task, attrs.evolve(task, fingerprint=fingerprint)):
            with contextlib.suppress(sqlite3.IntegrityError), self._transaction() as connection:
                connection.execute(statements.INSERT, statements.row_of(candidate))
                return True
        return False

    def _remove(self, task_id: str) -> None:
        with self._transaction() as connection:
            for sql in (
                "INSERT OR IGNORE INTO removed_videos SELECT filename FROM tasks WHERE task_id = ?",
                "DELETE FROM tasks WHERE task_id = ?",
            ):
                connection.execute(sql, (task_id,))

    def _remove_all(
        self, account: str, states: Collection[TaskState], batch: str | None
    ) -> list[Task]:
        marks = ", ".join("?" * len(states))
        where = f"FROM tasks WHERE account = ? AND (? IS NULL OR batch = ?) AND state IN ({marks})"
        values = (account, batch, batch, *states)
        with self._transaction() as connection:
            rows = connection.execute(f"SELECT {statements.COLUMNS} {where}", values)
            removed = [statements.task_from_row(row) for row in rows]
            connection.execute(
                f"INSERT OR IGNORE INTO removed_videos SELECT filename {where}", values
            )
            connection.execute(f"DELETE {where}", values)
        return removed

    def _mark_started(self, task_id: str, fingerprint: str, values: dict[str, Any]) -> None:
        with self._transaction() as connection:
            try:
                connection.execute(
                    *statements.update(task_id, values | {"fingerprint": fingerprint})
                )
            except sqlite3.IntegrityError:
                changed = {"fingerprint": statements.duplicate_fingerprint(fingerprint, task_id)}
                connection.execute(*statements.update(task_id, values | changed))

    def _revive(self, task_id: str, values: dict[str, Any]) -> bool:
        with self._transaction() as connection:
            sql, parameters = statements.update(task_id, statements.QUEUED_AGAIN | values)
            return connection.execute(f"{sql} AND state = 'done'", parameters).rowcount > 0

    def _finish(self, task_id: str, now: float, values: dict[str, Any]) -> bool:
        ended = {"state": TaskState.DONE, "completed_at": now, **statements.NOT_WAITING}
        with self._transaction() as connection:
            sql, parameters = statements.update(task_id, ended | values)
            return connection.execute(sql, parameters).rowcount > 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._write_connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._write_connection
            self._commit()
        except BaseException:
            # A full disk may have rolled it back already.
            if self._write_connection.in_transaction:
                self._write_connection.execute("ROLLBACK")
            raise

    def _commit(self) -> None:
        self._write_connection.execute("COMMIT")
        self._known = KnownTasks()

    def _select(self, where: str, values: tuple[Any, ...] = ()) -> list[Task]:
        sql = f"SELECT {statements.COLUMNS} FROM tasks {where}"  # noqa: S608 - constants
        rows = self._read_connection.execute(sql, values)
        return [statements.task_from_row(row) for row in rows]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        # First: the next statement writes to the file.
        check_version(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        raise
    # A task is on the disk before it is accepted: the power may fail too.
    connection.execute("PRAGMA synchronous = FULL")
    return connection
