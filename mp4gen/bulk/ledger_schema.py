"""The file that a ledger is: its schema and its versions, its lock, its rows as values."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from mp4gen import errors, filesystem, task_errors
from mp4gen.errors import ApiError, LedgerError, Mp4GenError
from mp4gen.models import Video, VideoRequest
from mp4gen.task_errors import GenerationFailedError, WaitTimeoutError

from .ledger_entry import LedgerEntry, LedgerState

# "mp4g", so that another program's database is not taken for a ledger.
_APPLICATION_ID = 0x6D703467
MIGRATIONS = (
    """
    CREATE TABLE run (host TEXT NOT NULL);
    CREATE TABLE tracks (
        id INTEGER PRIMARY KEY,
        task_id TEXT NOT NULL,
        audio_id TEXT NOT NULL,
        author TEXT,
        domain_name TEXT,
        callback_url TEXT,
        state TEXT NOT NULL DEFAULT 'new',
        tokens TEXT NOT NULL DEFAULT '',
        video_task_id TEXT,
        adopted INTEGER NOT NULL DEFAULT 0,
        url TEXT,
        created_at TEXT,
        completed_at TEXT,
        expires_at TEXT,
        name TEXT,
        name_key TEXT UNIQUE,
        path TEXT,
        error TEXT,
        UNIQUE (task_id, audio_id)
    );
    """,
)

# A request's five, in its own order, come right after the number.
COLUMNS = (
    "id, task_id, audio_id, author, domain_name, callback_url, state, tokens, video_task_id,"
    " adopted, path, error, url, created_at, completed_at, expires_at"
)
Row = tuple[Any, ...]


def read_ledger(path: Path) -> tuple[str, list[LedgerEntry]]:
    """The host and all entries of the ledger at `path`, also while a run writes to it.

    Raises:
        LedgerError: there is none.
    """
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {path}")
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            check_application_id(db, path)
            row = _has_schema(db) and db.execute("SELECT host FROM run").fetchone()
            if not row:
                raise LedgerError(f"{path} is empty: the run that made it was ended at once")
            rows = db.execute(f"SELECT {COLUMNS} FROM tracks")  # noqa: S608 - our own names
            return str(row[0]), [entry_from_row(row) for row in rows]
        finally:
            db.close()
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be read as a ledger: {error}") from None


def entry_from_row(row: Row, request: VideoRequest | None = None) -> LedgerEntry:
    """The entry in a row of `COLUMNS`; its request is `request`, where that is known.

    Raises:
        LedgerError: some other hand has been at the row.
    """
    try:
        return _entry_from_row(row, request)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LedgerError(f"track {row[0]} of the ledger cannot be read: {error}") from None


def _entry_from_row(row: Row, request: VideoRequest | None) -> LedgerEntry:
    (
        entry_id,
        *request_columns,
        state,
        tokens,
        task_id,
        adopted,
        path,
        error,
        url,
        created_at,
        completed_at,
        expires_at,
    ) = row
    state = LedgerState(state)
    video = None
    if state in (LedgerState.DONE, LedgerState.DOWNLOADED):
        times = (_parse_time(created_at), _parse_time(completed_at), _parse_time(expires_at))
        video = Video(task_id, url, request_columns[1], *times, adopted=bool(adopted))
    return LedgerEntry(
        entry_id,
        request if request is not None else _request_from_columns(*request_columns),
        state,
        tuple(tokens.split()),
        task_id,
        bool(adopted),
        video,
        Path(path) if path else None,
        _load_error(error) if error else None,
    )


def _request_from_columns(
    task_id: str,
    audio_id: str,
    author: str | None,
    domain_name: str | None,
    callback_url: str | None,
) -> VideoRequest:
    return VideoRequest(
        task_id, audio_id, author=author, domain_name=domain_name, callback_url=callback_url
    )


class Lock:
    """Says that this process writes the ledger at `path`; dies with the process.

    Raises:
        LedgerError: another run has it, or the file cannot be made.
    """

    # Of this process: looking at a file by opening it would, at the closing, drop the locks that
    # SQLite holds on it for the run that has it.
    _locked_inodes: ClassVar[set[tuple[int, int]]] = set()

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and _inode_of(path.stat()) in self._locked_inodes:
                raise _in_use_error(path)
            self._file = filesystem.open_locked(path)
        except BlockingIOError:
            raise _in_use_error(path) from None
        except OSError as error:
            raise LedgerError(f"cannot write the ledger {path}: {error.strerror}") from None
        self._inode = _inode_of(os.fstat(self._file))
        self._locked_inodes.add(self._inode)

    def release(self) -> None:
        """Let another run write."""
        os.close(self._file)
        self._locked_inodes.discard(self._inode)


def _inode_of(file_status: os.stat_result) -> tuple[int, int]:
    return file_status.st_dev, file_status.st_ino


def _in_use_error(path: Path) -> LedgerError:
    return LedgerError(
        f"the ledger {path} is in use by another run; wait for its end, or name another file"
    )


def check_application_id(db: sqlite3.Connection, path: Path | None) -> None:
    """See to it that the file is a ledger that this version knows, or is still empty.

    Raises:
        LedgerError: it is another program's, or a newer version's.
    """
    if _has_schema(db) and db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise LedgerError(f"{path} is another program's database; name another file")
    if db.execute("PRAGMA user_version").fetchone()[0] > len(MIGRATIONS):
        raise LedgerError(f"{path} was written by a newer mp4gen; upgrade this one")


def migrate(db: sqlite3.Connection, steps: Sequence[str] = MIGRATIONS) -> None:
    """Bring the schema to today's version, one whole step after the other."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(steps[version:], version + 1):
        db.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number};"
            f" PRAGMA application_id = {_APPLICATION_ID}; COMMIT;"
        )


def _has_schema(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def check_host(db: sqlite3.Connection, path: Path | None, base_url: str) -> None:
    """See to it that the ledger's tracks are those of `base_url`.

    Raises:
        LedgerError: they are another's.
    """
    row = db.execute("SELECT host FROM run").fetchone()
    if row is None:
        db.execute("INSERT INTO run (host) VALUES (?)", (base_url,))
    elif row[0] != base_url:
        raise LedgerError(
            f"the ledger {path} belongs to {row[0]}, not to {base_url}; name another file"
        )


def dump_error(error: Mp4GenError) -> str:
    """`error` as text that `entry_of` can read."""
    values = {
        "type": type(error).__name__,
        "text": getattr(error, "message", None) or str(error),
        "code": getattr(error, "code", None),
        "task_id": getattr(error, "task_id", None),
    }
    return json.dumps(values)


def _load_error(text: str) -> Mp4GenError:
    """The error as it was, without what only its own run could know."""
    stored = json.loads(text)
    known = vars(errors) | vars(task_errors)
    error_class: Any = known.get(stored["type"], Mp4GenError)
    error: Mp4GenError
    if issubclass(error_class, ApiError):
        error = error_class(stored["text"], code=stored["code"] or 0, task_id=stored["task_id"])
    elif issubclass(error_class, GenerationFailedError | WaitTimeoutError):
        error = error_class(stored["task_id"], stored["text"])
    else:
        error = (error_class if error_class in _MESSAGE_ONLY_ERRORS else Mp4GenError)(
            stored["text"]
        )
    return error


_MESSAGE_ONLY_ERRORS = (errors.DownloadError, errors.ProtocolError, errors.LedgerError)


def video_columns(video: Video) -> dict[str, Any]:
    """A finished video's columns."""
    return {
        "url": video.url,
        "video_task_id": video.task_id,
        "adopted": int(video.adopted),
        "created_at": _format_time(video.created_at),
        "completed_at": _format_time(video.completed_at),
        "expires_at": _format_time(video.expires_at),
    }


def _format_time(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat() if time else None


def _parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
