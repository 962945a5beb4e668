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

from .ledger_entry import Entry, State
from .ledger_schema import (
    COLUMNS,
    Lock,
    Row,
    check_host,
    check_kind,
    columns_of,
    dump_error,
    entry_of,
    migrate,
)

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class _Step:
    """Work for the ledger's thread, and what came of it once that is committed."""

    work: partial[Any]
    over: bool = False
    result: Any = None
    error: Exception | None = None


class Ledger:
    """A ledger that is open for writing, by this process alone; made by `Ledger.open`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "mp4gen-ledger")
        self._lock: Lock | None = None
        self._waiting: deque[_Step] = deque()
        self._closed = False
        self._db: sqlite3.Connection

    @classmethod
    async def open(cls, path: Path | None, host: str, *, retry_failed: bool = False) -> Ledger:
        """Open the ledger of `host` at `path`, made where missing; None for one in memory.

        Args:
            path: the file, or None.
            host: the base URL that its tracks are submitted to.
            retry_failed: whether tracks that had failed are new again.

        Raises:
            LedgerError: it is in use, made for another host, or not a ledger.
        """
        ledger = cls(path)
        try:
            await ledger._done(ledger._in_thread(ledger._open, host, retry_failed))
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

    async def admit(self, requests: Sequence[VideoRequest]) -> list[Entry | LedgerError]:
        """The entries of `requests`, in their order, stored where they are new.

        One that is there with another author, watermark or callback is refused with an error in
        its place: the API keeps one video for each track.
        """
        return await self._run(Ledger._admit, requests)

    async def sending(self, entry: int, tokens: Sequence[str]) -> None:
        """A submit is about to leave."""
        await self._set(entry, state=State.INTENT, tokens=" ".join(tokens))

    async def refused(self, entry: int) -> None:
        """It was certainly not accepted."""
        await self._set(entry, state=State.NEW)

    async def submitted(self, entry: int, task_id: str, *, adopted: bool) -> None:
        """It was accepted, or an existing task is adopted."""
        values = {"video_task_id": task_id, "adopted": int(adopted)}
        await self._set(entry, state=State.SUBMITTED, **values)

    async def done(self, entry: int, video: Video) -> None:
        """The video is there."""
        await self._set(entry, state=State.DONE, error=None, **columns_of(video))

    async def downloaded(self, entry: int, path: Path) -> None:
        """The file is there."""
        await self._set(entry, state=State.DOWNLOADED, path=str(path))

    async def failed(self, entry: int, error: Mp4GenError) -> None:
        """There will be no video."""
        await self._set(entry, state=State.FAILED, error=dump_error(error))

    async def uncertain(self, entry: int) -> None:
        """Nobody knows whether a submit was accepted."""
        await self._set(entry, state=State.UNCERTAIN)

    async def name(self, entry: int, stem: str) -> str:
        """The file name of a track: `stem`, with a number where another track has that."""
        return await self._run(Ledger._name, entry, stem)

    async def _set(self, entry: int, **values: Any) -> None:
        await self._run(Ledger._update, entry, values)

    async def _run(
        self, work: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `work` in the ledger's thread and commit it."""
        if self._closed:
            raise LedgerError(f"the ledger {self._path} is closed")
        step = _Step(partial(work, self, *args, **kwargs))
        self._waiting.append(step)
        result: T = await self._done(self._in_thread(self._come_to, step))
        return result

    async def _done(self, running: asyncio.Future[T]) -> T:
        """The result of the thread's work, which ends even where the caller is cancelled."""
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()
            raise
        except sqlite3.Error as error:
            raise LedgerError(self._explain(error)) from None

    def _in_thread(self, work: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _explain(self, error: sqlite3.Error) -> str:
        code = getattr(error, "sqlite_errorname", "")
        if code == "SQLITE_FULL":
            return f"no room for the ledger {self._path}: free some space, then run again"
        if code in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
            return f"{self._path} is not a ledger, or damaged; name another file"
        return f"the ledger {self._path} cannot be used: {error}"

    # --- in the thread ----------------------------------------------------------------------

    def _open(self, host: str, retry_failed: bool) -> None:  # noqa: FBT001 - run by _run
        if self._path is not None:
            self._lock = Lock(self._path)
        self._db = sqlite3.connect(
            self._path or ":memory:", isolation_level=None, check_same_thread=False
        )
        check_kind(self._db, self._path)
        self._db.execute("PRAGMA journal_mode = WAL")
        # 2 submits a second leave time for a real commit each.
        self._db.execute("PRAGMA synchronous = FULL")
        migrate(self._db)
        check_host(self._db, self._path, host)
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

    def _come_to(self, step: _Step) -> Any:
        """The result of `step`; whatever else waits by now is in its commit."""
        if not step.over:
            self._commit([self._waiting.popleft() for _ in range(len(self._waiting))])
        if step.error is not None:
            raise step.error
        return step.result

    def _commit(self, steps: Sequence[_Step]) -> None:
        """Do all `steps` in one transaction, or each in its own where one of them fails."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for step in steps:
                step.result = step.work()
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - told to whoever asked for it
            # SQLite has rolled back by itself where the disk is full.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if len(steps) > 1:
                for step in steps:
                    self._commit([step])
                return
            steps[0].error = error
        for step in steps:
            step.over = True

    def _admit(self, requests: Sequence[VideoRequest]) -> list[Entry | LedgerError]:
        known = self._rows(requests)
        admitted = []
        for request in requests:
            key = (request.task_id, request.audio_id)
            if key not in known:
                known[key] = self._insert(request)
            admitted.append(_admitted(known[key], request))
        return admitted

    def _rows(self, requests: Sequence[VideoRequest]) -> dict[tuple[str, str], Row]:
        """What there is of `requests`; one query for all takes half the time of one for each."""
        keys = [key for request in requests for key in (request.task_id, request.audio_id)]
        marks = ", ".join(["(?, ?)"] * len(requests))
        rows = self._db.execute(
            f"WITH asked (task, audio) AS (VALUES {marks}) SELECT {COLUMNS} FROM asked"  # noqa: S608 - our own names
            " CROSS JOIN tracks ON task_id = task AND audio_id = audio",
            keys,
        )
        return {(row[1], row[2]): row for row in rows}

    def _insert(self, request: VideoRequest) -> Row:
        self._db.execute(
            "INSERT INTO tracks (task_id, audio_id, author, domain_name, callback_url)"
            " VALUES (?, ?, ?, ?, ?)",
            _asked(request),
        )
        return self._rows([request])[request.task_id, request.audio_id]

    def _update(self, entry: int, values: dict[str, Any]) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE tracks SET {columns} WHERE id = ?", (*values.values(), entry))  # noqa: S608 - our own names

    def _name(self, entry: int, stem: str) -> str:
        known = self._db.execute("SELECT name FROM tracks WHERE id = ?", (entry,)).fetchone()[0]
        if known is not None:
            return str(known)
        marks = chain(("", f"-{entry}"), (f"-{entry}-{number}" for number in count(2)))
        for name in (f"{stem}{mark}" for mark in marks):
            try:
                # Some file systems see no difference between capitals and small letters.
                self._update(entry, {"name": name, "name_key": name.casefold()})
            except sqlite3.IntegrityError:
                continue
            return name
        raise AssertionError("there is always a next number")


def _admitted(row: Row, request: VideoRequest) -> Entry | LedgerError:
    if row[1:6] == _asked(request):
        return entry_of(row, request)
    return LedgerError(
        f"audio {request.audio_id} of {request.task_id} was asked for before with another "
        "author, watermark or callback, and the API keeps one video for each track; use "
        "another ledger to ask again"
    )


def _asked(request: VideoRequest) -> Row:
    return (
        request.task_id,
        request.audio_id,
        request.author,
        request.domain_name,
        request.callback_url,
    )
