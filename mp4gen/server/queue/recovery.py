"""Makes the records in the database and the files of the videos agree, when a server starts.

A video outlives the database: beside it lies its record. After the database was lost, or replaced
by an older copy, the tasks of such videos are added again. A video without a record is kept.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
from typing import Any

import attrs
import cattrs

from mp4gen.server.data_dir import DataDirectory, unusable

from .retention import delete_video
from .statements import NOT_WAITING
from .store import Store
from .task import CallbackState, Task, TaskState

log = logging.getLogger("mp4gen.server")

_MAX_LISTED = 10


def encode_record(task: Task, **values: Any) -> bytes:
    """Return the record of a video: its task, with these values changed."""
    record = attrs.asdict(task) | values
    return json.dumps(record, ensure_ascii=False, indent=1).encode()


async def recover(store: Store, data: DataDirectory) -> None:
    """Finish interrupted deletions, and add the tasks of videos that the database does not know.

    Raises:
        ConfigurationError: The data directory cannot be read or written.
    """
    try:
        await _recover(store, data)
    except OSError as error:
        raise unusable(data.root, error) from error


async def _recover(store: Store, data: DataDirectory) -> None:
    with contextlib.suppress(sqlite3.OperationalError):  # for instance a full disk
        for name in store.removed_videos():
            await delete_video(store, data, name)
    unknown = []
    for name in sorted(await asyncio.to_thread(data.video_names) - store.filenames()):
        task = await asyncio.to_thread(_read_record, data, name)
        if task is not None and await _adopt(store, task):
            log.warning("task=%s is known again by its video %s", task.task_id, name)
        else:
            unknown.append(name)
    if unknown:
        names = ", ".join(unknown[:_MAX_LISTED]) + (", ..." if unknown[_MAX_LISTED:] else "")
        log.warning(
            "videos without a task are kept in %s: %d (%s)", data.videos, len(unknown), names
        )
    await asyncio.to_thread(_write_missing_records, store.done(), data)
    await asyncio.to_thread(data.remove_leftovers, store.filenames())


async def _adopt(store: Store, task: Task) -> bool:
    """Add the task of a video; return False if that is impossible, or not possible now."""
    try:
        return await store.adopt(task)
    except sqlite3.OperationalError:
        return False


def _read_record(data: DataDirectory, name: str) -> Task | None:
    """Return the task of a finished video by its record; None if there is no valid one."""
    try:
        record = json.loads(data.record_path(name).read_bytes())
        # Its callback was sent, or is too late now.
        record |= {
            "filename": name,
            "size": (data.videos / name).stat().st_size,
            "state": TaskState.DONE,
            "callback": CallbackState.NONE,
            "attempts": 0,
            "troubles": 0,
            **NOT_WAITING,
        }
        return cattrs.Converter(detailed_validation=False).structure(record, Task)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write_missing_records(tasks: list[Task], data: DataDirectory) -> None:
    """Write the records of the videos of versions that wrote none."""
    for task in tasks:
        if (data.videos / task.filename).exists() and not data.record_path(task.filename).exists():
            with contextlib.suppress(OSError):  # for instance a full disk
                data.write_record(task.filename, encode_record(task))
