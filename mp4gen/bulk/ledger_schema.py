"""The file format of a ledger: schema, migrations, and rows as values; submits nothing."""

import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

from mp4gen import errors, extra_fields, task_errors
from mp4gen.errors import ApiError, LedgerError, Mp4GenError
from mp4gen.extra_fields import OWN_FIELDS
from mp4gen.filesystem import sqlite_uri
from mp4gen.models import Video, VideoRequest
from mp4gen.task_errors import GenerationFailedError, WaitTimeoutError

from .ledger_entry import LedgerEntry, LedgerState

# "mp4g": distinguishes a ledger from another program's database.
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
        size INTEGER,
        error TEXT,
        UNIQUE (task_id, audio_id)
    );
    """,
    """
    ALTER TABLE tracks ADD COLUMN extra TEXT;
    """,
)

REQUEST_FIELDS = (*OWN_FIELDS, "extra")
_VIDEO_TIMES = ("created_at", "completed_at", "expires_at")
COLUMNS = (
    f"id, {', '.join(REQUEST_FIELDS)}, state, tokens, video_task_id, adopted, path, size, error,"
    f" url, {', '.join(_VIDEO_TIMES)}"
)
_VERSION_WITH_EXTRA = 2
# Tracks whose submit was accepted, or may have been.
_ANY_SUBMITTED = (
    "SELECT 1 FROM tracks WHERE video_task_id IS NOT NULL OR state NOT IN ('new', 'failed') LIMIT 1"
)
# Without the old tokens: their callbacks are about the failed task.
_NEW_AGAIN: dict[str, Any] = {
    "state": LedgerState.NEW,
    "error": None,
    "tokens": "",
    "video_task_id": None,
    "adopted": 0,
}
Row = tuple[Any, ...]
_own_columns = attrgetter(*OWN_FIELDS)


def read_ledger(path: Path) -> tuple[str, list[LedgerEntry]]:
    """Return the base URL and all entries of the ledger at `path`, also while a run writes to it.

    Raises:
        LedgerError: It does not exist or cannot be read.
    """
    # Not `Path.is_file`, which raises for a path that is too long or forbidden.
    if not os.path.isfile(path):  # noqa: PTH113
        raise LedgerError(f"No such ledger: {path}. Check the path.")
    try:
        db = sqlite3.connect(sqlite_uri(path, "mode=ro"), uri=True)
        try:
            check_application_id(db, path)
            row = _has_schema(db) and db.execute("SELECT host FROM run").fetchone()
            if not row:
                raise LedgerError(f"The ledger is empty: {path}. Start its run again.")
            # Reading migrates nothing.
            old = db.execute("PRAGMA user_version").fetchone()[0] < _VERSION_WITH_EXTRA
            columns = COLUMNS.replace("extra", "NULL") if old else COLUMNS
            rows = db.execute(f"SELECT {columns} FROM tracks")  # noqa: S608 - our own names
            return str(row[0]), [entry_from_row(row) for row in rows]
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"Cannot read the ledger {path}: {error}. Check the file.") from None


def request_columns(request: VideoRequest) -> Row:
    """Return the values of `REQUEST_FIELDS` of a request."""
    return (*_own_columns(request), extra_fields.dump(request.extra))


def stored_request(row: Row) -> Row:
    """Return the values of `REQUEST_FIELDS` in a row of `COLUMNS`."""
    return row[1 : 1 + len(REQUEST_FIELDS)]


def to_column(value: Any) -> Any:
    """Return `value` as SQLite can store it: as bytes if it is text with lone surrogates."""
    if not isinstance(value, str):
        return value
    stored = value.encode(errors="surrogatepass")
    # Paths that are not UTF-8 have them, and an API can send them.
    return value if stored.decode(errors="ignore") == value else stored


def _from_column(value: Any) -> Any:
    return value.decode(errors="surrogatepass") if isinstance(value, bytes) else value


def entry_from_row(row: Row, request: VideoRequest | None = None) -> LedgerEntry:
    """Return the entry of a row of `COLUMNS`, with `request` as its request if it is known.

    Raises:
        LedgerError: Another program has changed the row.
    """
    try:
        return _entry_from_row(tuple(map(_from_column, row)), request)
    except Exception as error:  # noqa: BLE001 - the row can hold anything
        raise LedgerError(
            f"Cannot read track {row[0]} of the ledger: {error}. Use another ledger."
        ) from None


def _entry_from_row(row: Row, request: VideoRequest | None) -> LedgerEntry:
    entry_id, *columns, state, tokens, task_id, adopted, path, size, error, url = row[:-3]
    fields = dict(zip(REQUEST_FIELDS, columns, strict=True))
    extra = fields.pop("extra")
    state, video = LedgerState(state), None
    if state in (LedgerState.DONE, LedgerState.DOWNLOADED):
        times = dict(zip(_VIDEO_TIMES, map(_parse_time, row[-3:]), strict=True))
        video = Video(task_id, url, fields["audio_id"], adopted=bool(adopted), **times)
    return LedgerEntry(
        entry_id,
        request or VideoRequest(**fields, extra=json.loads(extra) if extra else None),
        state,
        tuple(tokens.split()),
        task_id,
        bool(adopted),
        video,
        Path(path) if path else None,
        size,
        _load_error(error) if error else None,
    )


def check_application_id(db: sqlite3.Connection, path: Path | None) -> None:
    """Check that the file is empty or a ledger of a known version.

    Raises:
        LedgerError: It belongs to another program or to a newer version.
    """
    if _has_schema(db) and db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise LedgerError(f"Another program's database: {path}. Use another file.")
    if db.execute("PRAGMA user_version").fetchone()[0] > len(MIGRATIONS):
        raise LedgerError(f"Written by a newer mp4gen: {path}. Upgrade mp4gen.")


def migrate(db: sqlite3.Connection, steps: Sequence[str] = MIGRATIONS) -> None:
    """Migrate the schema to the current version, each step in its own transaction."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(steps[version:], version + 1):
        db.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number};"
            f" PRAGMA application_id = {_APPLICATION_ID}; COMMIT;"
        )


def _has_schema(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def check_host(db: sqlite3.Connection, path: Path | None, base_url: str) -> None:
    """Check that the ledger belongs to `base_url`; record that in a new or unused one.

    Raises:
        LedgerError: Tracks of it were submitted to another host.
    """
    row = db.execute("SELECT host FROM run").fetchone()
    if row is None:
        db.execute("INSERT INTO run (host) VALUES (?)", (base_url,))
    elif row[0] != base_url and not db.execute(_ANY_SUBMITTED).fetchone():
        # The first host was a typo: what it has refused is new to this one.
        db.execute(
            "UPDATE tracks SET state = 'new', error = NULL, tokens = '' WHERE state = 'failed'"
        )
        db.execute("UPDATE run SET host = ?", (base_url,))
    elif row[0] != base_url:
        raise LedgerError(
            f"The ledger {path} belongs to {row[0]}, not to {base_url}. Use another file."
        )


def renewal(row: Row, request: VideoRequest, *, retry_failed: bool) -> dict[str, Any] | None:
    """Return the columns that make a track of an earlier run new, or None if it stays as it is.

    A track that was never accepted can be corrected: it takes the texts of the new request.
    """
    state, _, task_id = row[1 + len(REQUEST_FIELDS) :][:3]
    is_changed = stored_request(row) != request_columns(request)
    if state == LedgerState.FAILED and (retry_failed or (is_changed and task_id is None)):
        return _NEW_AGAIN | dict(zip(REQUEST_FIELDS, request_columns(request), strict=True))
    if state == LedgerState.NEW and is_changed:
        return dict(zip(REQUEST_FIELDS, request_columns(request), strict=True))
    return None


def dump_error(error: Mp4GenError) -> str:
    """Return `error` as JSON text."""
    values = {
        "type": type(error).__name__,
        "text": getattr(error, "message", None) or str(error),
        "code": getattr(error, "code", None),
        "task_id": getattr(error, "task_id", None),
    }
    return json.dumps(values)


def _load_error(text: str) -> Mp4GenError:
    """Return the error of a JSON text; attributes that the ledger does not store are missing."""
    stored = json.loads(text)
    message, task_id = stored["text"], stored["task_id"]
    error_class: Any = (vars(errors) | vars(task_errors)).get(stored["type"], Mp4GenError)
    error: Mp4GenError
    if issubclass(error_class, ApiError):
        error = error_class(message, code=stored["code"] or 0, task_id=task_id)
    elif issubclass(error_class, GenerationFailedError | WaitTimeoutError):
        error = error_class(task_id, message)
    else:
        known = error_class in (errors.DownloadError, errors.ProtocolError, LedgerError)
        error = error_class(message) if known else Mp4GenError(message)
    return error


def video_columns(video: Video) -> dict[str, Any]:
    """Return the columns of a finished video."""
    times = {name: _format_time(getattr(video, name)) for name in _VIDEO_TIMES}
    adopted = int(video.adopted)
    return {"url": video.url, "video_task_id": video.task_id, "adopted": adopted, **times}


def _format_time(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat() if time else None


def _parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
