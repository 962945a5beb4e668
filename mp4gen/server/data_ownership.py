"""Decides whether a folder may be the data directory: it must be the server's own, empty or new.

A marker file says that it is the server's own. Folders of versions before the marker are known by
their content. Nothing here changes a file, except `mark`.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from mp4gen.errors import ConfigurationError
from mp4gen.filesystem import sqlite_uri

MARKER = "mp4gen-data-folder.txt"
_MARKER_TEXT = """This folder belongs to the mp4gen server. It deletes expired videos and its own
temporary files here, and leaves all other files alone. Keep your own files elsewhere nevertheless.
"""
# What a new folder may contain: what disks, desktops and network drives add by themselves, the lock
# of a first start that was killed, and a maintenance that begins before the server does.
_HARMLESS = {
    "lost+found",
    "System Volume Information",
    "$RECYCLE.BIN",
    ".DS_Store",
    ".snapshot",
    "@eaDir",
    "lock",
    "maintenance",
}
_OLD_LAYOUT = ("lock", "secret", "videos", "work", "cache")
_DATABASE = "mp4gen.sqlite"


def check_separate(music: Path, data: Path) -> None:
    """Check that neither of the two folders is in the other, unless it is hidden there.

    Raises:
        ConfigurationError: The server would take its own files for music, or the music for its own.
        OSError: A folder cannot be examined.
    """
    below = _path_below(music, data)
    # The library ignores hidden folders, for instance ~/.local/share in the music folder ~.
    visible = below is not None and not any(name.startswith(".") for name in below)
    if visible or (data.exists() and _path_below(data, music) is not None):
        raise ConfigurationError(
            f"The data folder {data} and the music folder {music} overlap. Choose a data folder "
            "outside the music folder with --data, and not around it."
        )


def _path_below(outer: Path, inner: Path) -> tuple[str, ...] | None:
    """Return the names that lead from `outer` to `inner`; None if `inner` is elsewhere."""
    resolved = inner.resolve()
    for parent in (resolved, *resolved.parents):
        # Also true for another spelling of the name, or another mount of the folder.
        if parent.exists() and parent.samefile(outer):
            return resolved.relative_to(parent).parts
    return None


def check_own(root: Path) -> None:
    """Check that the folder is missing, empty, or the server's own.

    Raises:
        ConfigurationError: It contains other files.
        OSError: It cannot be read.
    """
    if is_marked(root) or not root.exists() or _is_old_data_folder(root):
        return
    if others := sorted(set(os.listdir(root)) - _HARMLESS):  # noqa: PTH208 - names
        raise ConfigurationError(
            f"The data folder {root} contains files that are not the server's: {others[0]}. "
            "Choose an empty or new folder with --data."
        )


def is_marked(root: Path) -> bool:
    """Return whether the folder is marked as the server's own."""
    return (root / MARKER).is_file()


def mark(root: Path) -> None:
    """Make the folder the server's own."""
    if not is_marked(root):
        (root / MARKER).write_text(_MARKER_TEXT, encoding="utf-8")


def _is_old_data_folder(root: Path) -> bool:
    """Return whether a version without the marker used the folder, or left its database there."""
    layout = all((root / name).exists() for name in _OLD_LAYOUT)
    return (layout and (root / "secret").stat().st_size == 32) or _has_database(root)


def _has_database(root: Path) -> bool:
    # Immutable: SQLite then creates no file beside it.
    uri = sqlite_uri(root / _DATABASE, "mode=ro&immutable=1")
    sql = "SELECT 1 FROM pragma_table_info('tasks') WHERE name = 'music_task_id'"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(uri, uri=True)) as connection,
    ):
        return connection.execute(sql).fetchone() is not None
    return False
