"""Copies the database into a backup file, also while a server uses it."""

import contextlib
import os
import sqlite3
from pathlib import Path

from mp4gen import filesystem
from mp4gen.errors import ConfigurationError
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.data_ownership import is_marked

from .schema import check_integrity, check_version


def back_up(data: DataDirectory, target: Path) -> int:
    """Copy the database to the file `target`, at once or not at all; return the number of tasks.

    Raises:
        ConfigurationError: There is no intact database, or `target` cannot be written, or is a file
            that is not a backup.
    """
    if not data.database.is_file():
        raise ConfigurationError(
            f"The data folder {data.root} contains no database. Choose another one with --data."
        )
    _check_target(data, target)
    try:
        with filesystem.atomic_write(target) as part:
            part.touch(0o600)
            _copy(data.database, part)
            # A damaged copy must not replace a good one.
            return len(check_integrity(part, named=data.database))
    except OSError as error:
        raise ConfigurationError(
            f"The backup {target} cannot be written: {error.strerror}. Choose another file."
        ) from error


def _copy(database: Path, copy: Path) -> None:
    try:
        with (
            contextlib.closing(sqlite3.connect(database, timeout=10)) as source,
            contextlib.closing(sqlite3.connect(copy)) as destination,
        ):
            check_version(source, database)
            source.backup(destination)
            # One file, without a log beside it.
            destination.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"The database {database} cannot be copied: {error}. Check it with --check."
        ) from error


def _check_target(data: DataDirectory, target: Path) -> None:
    """Check that no file is replaced except an earlier backup."""
    is_marked_one = is_marked(target.parent) and target.name == data.database.name
    # A folder of an older version has no marker yet.
    in_use = is_marked_one or (target.exists() and target.samefile(data.database))
    if in_use or (target.exists() and not _is_backup(target)):
        raise ConfigurationError(
            f"The file {target} is not a backup and is not replaced. Choose another file with "
            "--backup."
        )


def _is_backup(target: Path) -> bool:
    if not os.access(target, os.R_OK) or not target.is_file():
        return False
    uri = filesystem.sqlite_uri(target, "mode=ro&immutable=1")
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            return check_version(connection, target) > 0
    except (sqlite3.Error, ConfigurationError):
        return False
