"""The durable record of a bulk run: what was asked for, what was sent, what came of it.

One SQLite file in one thread of its own. Each step is committed before the next one is taken: an
intent before the first byte of a submit, the task id before anything is done with it. So whatever
kills the process, the next run knows for each track whether it was certainly not submitted,
certainly accepted, or uncertain. Steps of many tracks that wait at the same time share one commit.
No key is ever in it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import attrs

from mp4gen.errors import LedgerError, Mp4GenError
from mp4gen.models import Video, VideoRequest

from .ledger_entry import LedgerEntry, LedgerState
from .ledger_schema import (
    COLUMNS,
    Lock,
    Row,
    check_application_id,
    check_host,
    dump_error,
    entry_from_row,
    migrate,
    video_columns,
)

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class _Write:
    """Work for the ledger's thread, and what came of it once that is committed."""

    operation: partial[Any]
    done: bool = False
    result: Any = None
    error: Exception | None = None


class Ledger:
    """A ledger that is open for writing, by this process alone; made by `Ledger.open`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "mp4gen-ledger")
        self._lock: Lock | None = None
        self._queued_writes: deque[_Write] = deque()
        self._closed = False
        self._db: sqlite3.Connection

    @classmethod
    async def open(cls, path: Path | None, base_url: str, *, retry_failed: bool = False) -> Ledger:
        """Open the ledger of `base_url` at `path`, made where missing; None for one in memory.

        Args:
            path: the file, or None.
            base_url: the base URL that its tracks are submitted to.
            retry_failed: whether tracks that had failed are new again.

        Raises:
            LedgerError: it is in use, made for another host, or not a ledger.
        """
        ledger = cls(path)
        try:
            await ledger._wait(ledger._in_thread(ledger._open, base_url, retry_failed))
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def close(self) -> None:
        """Close it; what was committed stays. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        closing = self._in_thread(self._close)
        self._thread.shutdown(wait=False)
        await asyncio.shield(closing)

    async def add_or_get(self, requests: Sequence[VideoRequest]) -> list[LedgerEntry | LedgerError]:
        """The entries of `requests`, in their order, stored where they are new.

        One that is there with another author, watermark or callback is refused with an error in
        its place: the API keeps one video for each track.
        """
        return await self._run(Ledger._add_or_get, requests)

    async def mark_submitting(self, entry_id: int, tokens: Sequence[str]) -> None:
        """A submit is about to leave."""
        await self._set(entry_id, state=LedgerState.INTENT, tokens=" ".join(tokens))

    async def mark_not_submitted(self, entry_id: int) -> None:
        """It was certainly not accepted."""
        await self._set(entry_id, state=LedgerState.NEW)

    async def mark_submitted(self, entry_id: int, task_id: str, *, adopted: bool) -> None:
        """It was accepted, or an existing task is adopted."""
        values = {"video_task_id": task_id, "adopted": int(adopted)}
        await self._set(entry_id, state=LedgerState.SUBMITTED, **values)

    async def mark_done(self, entry_id: int, video: Video) -> None:
        """The video is there."""
        await self._set(entry_id, state=LedgerState.DONE, error=None, **video_columns(video))

    async def mark_downloaded(self, entry_id: int, path: Path) -> None:
        """The file is there."""
        await self._set(entry_id, state=LedgerState.DOWNLOADED, path=str(path))

    async def mark_failed(self, entry_id: int, error: Mp4GenError) -> None:
        """There will be no video."""
        await self._set(entry_id, state=LedgerState.FAILED, error=dump_error(error))

    async def mark_uncertain(self, entry_id: int) -> None:
        """Nobody knows whether a submit was accepted."""
        await self._set(entry_id, state=LedgerState.UNCERTAIN)

    async def reserve_filename(self, entry_id: int, stem: str) -> str:
        """The file name of a track: `stem`, with a number where another track has that."""
        return await self._run(Ledger._reserve_filename, entry_id, stem)

    async def _set(self, entry_id: int, **values: Any) -> None:
        await self._run(Ledger._update, entry_id, values)

    async def _run(
        self, operation: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `operation` in the ledger's thread and commit it."""
        if self._closed:
            raise LedgerError(f"the ledger {self._path} is closed")
        write = _Write(partial(operation, self, *args, **kwargs))
        self._queued_writes.append(write)
        result: T = await self._wait(self._in_thread(self._result_of, write))
        return result

    async def _wait(self, future: asyncio.Future[T]) -> T:
        """The result of the thread's work, which ends even where the caller is cancelled."""
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
            raise
        except sqlite3.Error as error:
            raise LedgerError(self._error_message(error)) from None

    def _in_thread(self, operation: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, operation, *args)

    def _error_message(self, error: sqlite3.Error) -> str:
        code = getattr(error, "sqlite_errorname", "")
        if code == "SQLITE_FULL":
            return f"no room for the ledger {self._path}: free some space, then run again"
        if code in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
            return f"{self._path} is not a ledger, or damaged; name another file"
        return f"the ledger {self._path} cannot be used: {error}"

    # --- in the thread ----------------------------------------------------------------------

    def _open(self, base_url: str, retry_failed: bool) -> None:  # noqa: FBT001 - run by _run
        if self._path is not None:
            self._lock = Lock(self._path)
        self._db = sqlite3.connect(
            self._path or ":memory:", isolation_level=None, check_same_thread=False
        )
        check_application_id(self._db, self._path)
        self._db.execute("PRAGMA journal_mode = WAL")
        # 2 submits a second leave time for a real commit each.
        self._db.execute("PRAGMA synchronous = FULL")
        migrate(self._db)
        check_host(self._db, self._path, base_url)
        if retry_failed:
            # Callbacks to the old addresses would tell of the task that has failed.
            self._db.execute(
                "UPDATE tracks SET state = 'new', error = NULL, tokens = '', video_task_id = NULL,"
                " adopted = 0 WHERE state = 'failed'"
            )

    def _close(self) -> None:
        if hasattr(self, "_db"):
            # At rest a ledger is one file, which can be moved, and read without making others.
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA busy_timeout = 0")
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()
        if self._lock is not None:
            # Last of all: closing any descriptor of the file drops SQLite's own locks on it.
            self._lock.release()

    def _result_of(self, write: _Write) -> Any:
        """The result of `write`; whatever else waits by now is in its commit."""
        if not write.done:
            self._commit([self._queued_writes.popleft() for _ in range(len(self._queued_writes))])
        if write.error is not None:
            raise write.error
        return write.result

    def _commit(self, writes: Sequence[_Write]) -> None:
        """Do all `writes` in one transaction, or each in its own where one of them fails."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for write in writes:
                write.result = write.operation()
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - told to whoever asked for it
            # SQLite has rolled back by itself where the disk is full.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if len(writes) > 1:
                for write in writes:
                    self._commit([write])
                return
            writes[0].error = error
        for write in writes:
            write.done = True

    def _add_or_get(self, requests: Sequence[VideoRequest]) -> list[LedgerEntry | LedgerError]:
        rows = self._rows(requests)
        entries = []
        for request in requests:
            key = (request.task_id, request.audio_id)
            if key not in rows:
                rows[key] = self._insert(request)
            entries.append(_entry_or_conflict(rows[key], request))
        return entries

    def _rows(self, requests: Sequence[VideoRequest]) -> dict[tuple[str, str], Row]:
        """What there is of `requests`; one query for all takes half the time of one for each."""
        keys = [key for request in requests for key in (request.task_id, request.audio_id)]
        placeholders = ", ".join(["(?, ?)"] * len(requests))
        rows = self._db.execute(
            f"WITH asked (task, audio) AS (VALUES {placeholders}) SELECT {COLUMNS} FROM asked"  # noqa: S608 - our own names
            " CROSS JOIN tracks ON task_id = task AND audio_id = audio",
            keys,
        )
        return {(row[1], row[2]): row for row in rows}

    def _insert(self, request: VideoRequest) -> Row:
        self._db.execute(
            "INSERT INTO tracks (task_id, audio_id, author, domain_name, callback_url)"
            " VALUES (?, ?, ?, ?, ?)",
            _request_columns(request),
        )
        return self._rows([request])[request.task_id, request.audio_id]

    def _update(self, entry_id: int, values: dict[str, Any]) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE tracks SET {columns} WHERE id = ?", (*values.values(), entry_id))  # noqa: S608 - our own names

    def _reserve_filename(self, entry_id: int, stem: str) -> str:
        existing = self._db.execute("SELECT name FROM tracks WHERE id = ?", (entry_id,)).fetchone()[
            0
        ]
        if existing is not None:
            return str(existing)
        suffixes = chain(("", f"-{entry_id}"), (f"-{entry_id}-{number}" for number in count(2)))
        for name in (f"{stem}{mark}" for mark in suffixes):
            try:
                # Some file systems see no difference between capitals and small letters.
                self._update(entry_id, {"name": name, "name_key": name.casefold()})
            except sqlite3.IntegrityError:
                continue
            return name
        raise AssertionError("there is always a next number")


def _entry_or_conflict(row: Row, request: VideoRequest) -> LedgerEntry | LedgerError:
    if row[1:6] == _request_columns(request):
        return entry_from_row(row, request)
    return LedgerError(
        f"audio {request.audio_id} of {request.task_id} was asked for before with another "
        "author, watermark or callback, and the API keeps one video for each track; use "
        "another ledger to ask again"
    )


def _request_columns(request: VideoRequest) -> Row:
    return (
        request.task_id,
        request.audio_id,
        request.author,
        request.domain_name,
        request.callback_url,
    )
