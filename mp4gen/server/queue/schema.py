"""The file format of the server's database: its schema, its migrations and its checks.

Each step of `MIGRATIONS` leads from one version to the next, and a released one never changes. A
new column needs a step here, a field of `Task` with the same name, and a test with a stored
database of the version before.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mp4gen.errors import ConfigurationError

# "mp4s": distinguishes the server's database from a ledger and from another program's database.
APPLICATION_ID = 0x6D703473
MIGRATIONS = (
    """
    CREATE TABLE tasks (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        task_id UNIQUE NOT NULL, account, music_task_id, audio_id, render_variant, author,
        domain_name, callback_url, base_url, aspect_ratio, audio_mode, filename,
        estimated_duration, state, callback, created_at, started_at, completed_at, error_code,
        error_message, duration, size
    );
    CREATE UNIQUE INDEX one_video ON tasks (account, music_task_id, audio_id, render_variant)
        WHERE state != 'failed';
    CREATE INDEX by_state ON tasks (state, completed_at);
    CREATE INDEX by_callback ON tasks (seq) WHERE callback = 'due';
    CREATE TABLE metadata (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    """,
    """
    ALTER TABLE tasks ADD COLUMN fingerprint;
    ALTER TABLE tasks ADD COLUMN attempts NOT NULL DEFAULT 0;
    ALTER TABLE tasks ADD COLUMN troubles NOT NULL DEFAULT 0;
    ALTER TABLE tasks ADD COLUMN lease_until;
    ALTER TABLE tasks ADD COLUMN not_before;
    ALTER TABLE tasks ADD COLUMN last_trouble;
    ALTER TABLE tasks ADD COLUMN warnings NOT NULL DEFAULT '[]';
    CREATE TABLE removed_videos (filename PRIMARY KEY) WITHOUT ROWID;
    DROP INDEX one_video;
    DROP INDEX by_state;
    CREATE UNIQUE INDEX one_video ON tasks
        (account, music_task_id, audio_id, render_variant, fingerprint)
        WHERE state != 'failed';
    CREATE INDEX unfinished ON tasks (seq) WHERE state IN ('queued', 'rendering');
    CREATE INDEX finished ON tasks (completed_at) WHERE state IN ('done', 'failed');
    CREATE INDEX by_account ON tasks (account);
    CREATE INDEX by_account_and_state ON tasks (account, state);
    """,
    """
    ALTER TABLE tasks ADD COLUMN options NOT NULL DEFAULT '{}';
    """,
    """
    ALTER TABLE tasks ADD COLUMN batch;
    ALTER TABLE tasks ADD COLUMN kept NOT NULL DEFAULT 0;
    CREATE INDEX by_batch ON tasks (account, batch) WHERE batch IS NOT NULL;
    """,
)


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[str] = MIGRATIONS) -> None:
    """Bring the database to the current version, each step in its own transaction.

    Raises:
        ConfigurationError: It is of a newer version, or another program's database.
    """
    version = check_version(connection, path)
    for number, script in enumerate(steps[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number};"
            f" PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        )


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a database; 0 if it is empty.

    Raises:
        ConfigurationError: It is of a newer version, or another program's database.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if _is_foreign(connection, version):
        raise ConfigurationError(
            f"The database {path} is not one of the server. Choose another folder with --data."
        )
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"A newer mp4gen created the database {path}. Use that version, or another --data."
        )
    return version


def _is_foreign(connection: sqlite3.Connection, version: int) -> bool:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return False
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    # Version 1 had no application id.
    is_ours = owner == APPLICATION_ID or (owner == 0 and version == 1)
    return not is_ours or not {"tasks", "metadata"} <= tables


def check_integrity(path: Path, *, named: Path | None = None) -> set[str]:
    """Check a database without changing it; return the names of the videos of its tasks.

    Args:
        path: The database.
        named: The database that the error names, if `path` is its copy.

    Raises:
        ConfigurationError: It is damaged, of a newer version, or another program's database.
    """
    try:
        # Not read-only: a reader of the write-ahead log creates a file beside it.
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
            check_version(connection, path)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found == "ok":
                return {row[0] for row in connection.execute("SELECT filename FROM tasks")}
    except sqlite3.Error as error:
        found = str(error)
    raise damaged(named or path, found)


def damaged(path: Path, reason: object) -> ConfigurationError:
    """Return the error for a damaged database."""
    return ConfigurationError(
        f"The database {path} is damaged ({reason}). Restore your last copy, or move it away: the "
        "next start finds the finished videos again."
    )
