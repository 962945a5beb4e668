"""The durable record of a bulk run: an SQLite file that one thread writes.

Each step is committed before the next one begins: the intent before the first byte of a submit,
the task id before its first use. After a kill, the next run knows for each track whether its
submit was certainly not sent, certainly accepted, or uncertain. The file never holds an API key.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from mp4gen.errors import LedgerError, Mp4GenError
from mp4gen.models import Video, VideoRequest

from .ledger_entry import LedgerEntry, LedgerState
from .ledger_lock import Lock
from .ledger_schema import (
    COLUMNS,
    REQUEST_FIELDS,
    Row,
    check_application_id,
    check_host,
    dump_error,
    entry_from_row,
    migrate,
    renewal,
    request_columns,
    stored_request,
    to_column,
    video_columns,
)
from .ledger_thread import LedgerThread
from .track_files import available_names, file_size


class Ledger(LedgerThread):
    """A ledger that this process alone has open for writing; made by `Ledger.open`."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path)
        self._lock: Lock | None = None
        # Rows up to this id are of earlier runs; those of them that this run has read.
        self._last_earlier_id: int
        self._read_ids: set[int] = set()
        self._retry_failed: bool

    @classmethod
    async def open(cls, path: Path | None, base_url: str, *, retry_failed: bool = False) -> Ledger:
        """Open a ledger; create it if it does not exist.

        Args:
            path: The file, or None for a ledger in memory.
            base_url: The base URL to which its tracks are submitted.
            retry_failed: Whether tracks that failed in an earlier run are new again.

        Raises:
            LedgerError: It is in use, belongs to another host, or is not a ledger.
        """
        ledger = cls(path)
        try:
            await ledger._wait(ledger._in_thread(ledger._open, base_url, retry_failed))
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def close(self) -> None:
        """Close the ledger after the waiting steps. A second call does nothing."""
        if self._closed or os.getpid() != self._process_id:
            return
        self._closed = True
        closing = self._in_thread(self._close)
        self._thread.shutdown(wait=False)
        await self._wait(closing)

    async def add_or_get(self, requests: Sequence[VideoRequest]) -> list[LedgerEntry | LedgerError]:
        """Return the entries of `requests`, in their order; store new ones.

        An error stands for a track that was submitted before with another author, watermark,
        callback or extra: the API keeps one video for each track.
        """
        entries = await self._run(Ledger._add_or_get, requests)
        self._read_ids.update(
            entry.id
            for entry in entries
            if isinstance(entry, LedgerEntry) and entry.id <= self._last_earlier_id
        )
        return entries

    async def check(self) -> None:
        """Check that the file is still in its place.

        Raises:
            LedgerError: It was deleted, moved or replaced.
        """
        await self._run(Ledger._check)

    async def mark_submitting(self, entry_id: int, tokens: Sequence[str]) -> None:
        """Record that a submit is about to be sent.

        Raises:
            LedgerError: The record cannot be made or kept, so that nothing may be sent.
        """
        values = {"state": LedgerState.INTENT, "tokens": " ".join(tokens)}
        await self._run(Ledger._checked_update, entry_id, values)

    async def mark_not_submitted(self, entry_id: int) -> None:
        """Record that a submit was certainly not accepted."""
        await self._set(entry_id, state=LedgerState.NEW)

    async def mark_submitted(self, entry_id: int, task_id: str, *, adopted: bool) -> None:
        """Record that a submit was accepted, or that an existing task was adopted."""
        values = {"video_task_id": task_id, "adopted": int(adopted)}
        await self._set(entry_id, state=LedgerState.SUBMITTED, **values)

    async def mark_done(self, entry_id: int, video: Video) -> None:
        """Record the finished video."""
        await self._set(entry_id, state=LedgerState.DONE, **video_columns(video))

    async def mark_downloaded(self, entry_id: int, path: Path) -> None:
        """Record the downloaded file."""
        await self._set(
            entry_id, state=LedgerState.DOWNLOADED, path=str(path), size=file_size(path)
        )

    async def mark_failed(self, entry_id: int, error: Mp4GenError) -> None:
        """Record that there will be no video."""
        await self._set(entry_id, state=LedgerState.FAILED, error=dump_error(error))

    async def mark_uncertain(self, entry_id: int) -> None:
        """Record that a submit may or may not have been accepted."""
        await self._set(entry_id, state=LedgerState.UNCERTAIN)

    async def reserve_filename(
        self, entry_id: int, stem: str, folder: Path, *, taken: int = 0
    ) -> tuple[str, bool]:
        """Return the file name of a track, and whether an earlier run has reserved it.

        The name is `stem`, with a number if another file has that name. `taken` is how many names
        other downloads have taken since this run reserved them.
        """
        return await self._run(Ledger._reserve_filename, entry_id, stem, folder, taken)

    async def _set(self, entry_id: int, **values: Any) -> None:
        await self._run(Ledger._update, entry_id, values)

    # --- in the thread ----------------------------------------------------------------------

    def _open(self, base_url: str, retry_failed: bool) -> None:  # noqa: FBT001 - run by _run
        if self._path is not None:
            self._lock = Lock(self._path)
        self._db = sqlite3.connect(
            self._path or ":memory:", isolation_level=None, check_same_thread=False
        )
        check_application_id(self._db, self._path)
        self._db.execute("PRAGMA journal_mode = WAL")
        # A commit survives a power cut; at 2 submits a second there is time for each.
        self._db.execute("PRAGMA synchronous = FULL")
        migrate(self._db)
        check_host(self._db, self._path, base_url)
        self._retry_failed = retry_failed
        [[self._last_earlier_id]] = self._db.execute("SELECT coalesce(max(id), 0) FROM tracks")

    def _check(self) -> None:
        if self._lock is not None:
            self._lock.check()

    def _close(self) -> None:
        if hasattr(self, "_db"):
            # A closed ledger is one file, which can be moved, and read without creating others.
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA busy_timeout = 0")
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()
        if self._lock is not None:
            # Last: closing any descriptor of the file drops SQLite's own locks on it.
            self._lock.release()

    def _add_or_get(self, requests: Sequence[VideoRequest]) -> list[LedgerEntry | LedgerError]:
        self._check()
        rows = self._rows(requests)
        entries, in_batch = [], set()
        for request in requests:
            key = (request.task_id, request.audio_id)
            if key not in rows:
                rows[key] = self._insert(request)
            elif key not in in_batch:
                rows[key] = self._renewed(rows[key], request)
            in_batch.add(key)
            entries.append(_entry_or_conflict(rows[key], request))
        return entries

    def _renewed(self, row: Row, request: VideoRequest) -> Row:
        """Return the row of a track, made new if an earlier run left it so that this one may."""
        if row[0] > self._last_earlier_id or row[0] in self._read_ids:
            return row
        values = renewal(row, request, retry_failed=self._retry_failed)
        if values is None:
            return row
        self._update(row[0], values)
        return self._rows([request])[request.task_id, request.audio_id]

    def _rows(self, requests: Sequence[VideoRequest]) -> dict[tuple[str, str], Row]:
        """Return the stored rows of `requests`; a single query takes half the time."""
        keys = [key for request in requests for key in (request.task_id, request.audio_id)]
        placeholders = ", ".join(["(?, ?)"] * len(requests))
        rows = self._db.execute(
            f"WITH asked (task, audio) AS (VALUES {placeholders}) SELECT {COLUMNS} FROM asked"  # noqa: S608 - our own names
            " CROSS JOIN tracks ON task_id = task AND audio_id = audio",
            keys,
        )
        return {(row[1], row[2]): row for row in rows}

    def _insert(self, request: VideoRequest) -> Row:
        columns = request_columns(request)
        self._db.execute(
            f"INSERT INTO tracks ({', '.join(REQUEST_FIELDS)})"  # noqa: S608 - as above
            f" VALUES ({', '.join('?' * len(columns))})",
            columns,
        )
        return self._rows([request])[request.task_id, request.audio_id]

    def _checked_update(self, entry_id: int, values: dict[str, Any]) -> None:
        self._check()
        self._update(entry_id, values)

    def _update(self, entry_id: int, values: dict[str, Any]) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        parameters = (*map(to_column, values.values()), entry_id)
        self._db.execute(f"UPDATE tracks SET {columns} WHERE id = ?", parameters)  # noqa: S608 - our own names

    def _reserve_filename(
        self, entry_id: int, stem: str, folder: Path, taken: int
    ) -> tuple[str, bool]:
        query = "SELECT name, path FROM tracks WHERE id = ?"
        reserved, path = self._db.execute(query, (entry_id,)).fetchone()
        own = folder / f"{reserved}.mp4"
        # In another folder, a file of that name may be the user's.
        is_own = path in (None, str(own)) or not file_size(own)
        if reserved is not None and is_own and not taken:
            return str(reserved), True
        for name in islice(available_names(folder, stem, entry_id), taken, None):
            # Some file systems do not distinguish upper and lower case.
            with suppress(sqlite3.IntegrityError):
                self._update(entry_id, {"name": name, "name_key": name.casefold()})
                break
        return name, False


def _entry_or_conflict(row: Row, request: VideoRequest) -> LedgerEntry | LedgerError:
    if stored_request(row) == request_columns(request):
        try:
            return entry_from_row(row, request)
        except LedgerError as error:
            return error
    return LedgerError(
        "Track submitted before with another author, watermark, callback or extra: audio "
        f"{request.audio_id} of {request.task_id}. Use another ledger: this one keeps one video "
        "for each track."
    )
