"""Makes the records in the database and the files of the videos agree, when a server starts.

A video outlives the database: beside it lies its record. After the database was lost, or replaced
by an older copy, the tasks of such videos are added again. A video without a record is kept.
"""

import asyncio
import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterable
from typing import Any

import attrs
import cattrs

from mp4gen.server.data_dir import DataDirectory, unusable
from mp4gen.server.videos.video_store import VideoStore

from .retention import delete_videos
from .statements import NOT_WAITING
from .store import Store
from .task import CallbackState, Task, TaskState

log = logging.getLogger("mp4gen.server")

_MAX_LISTED = 10


def encode_record(task: Task, **values: Any) -> bytes:
    """Return the record of a video: its task, with these values changed."""
    record = attrs.asdict(task) | values
    return json.dumps(record, ensure_ascii=False, indent=1).encode()


async def recover(store: Store, data: DataDirectory, videos: VideoStore) -> None:
    """Finish interrupted deletions, and add the tasks of videos that the database does not know.

    Raises:
        ConfigurationError: The data directory, or the place of the videos, cannot be used.
    """
    try:
        await _recover(store, data, videos)
    except OSError as error:
        raise unusable(data.root, error) from error


async def _recover(store: Store, data: DataDirectory, videos: VideoStore) -> None:
    with contextlib.suppress(sqlite3.OperationalError):  # for instance a full disk
        await delete_videos(store, videos, store.removed_videos())
    unknown = []
    for name in sorted(await videos.names() - store.filenames()):
        task = await read_record(videos, name)
        if task is not None and await _adopt(store, task):
            log.warning("task=%s is known again by its video %s", task.task_id, name)
        else:
            unknown.append(name)
    if unknown:
        names = ", ".join(unknown[:_MAX_LISTED]) + (", ..." if unknown[_MAX_LISTED:] else "")
        log.warning("videos without a task are kept: %d (%s)", len(unknown), names)
    done = store.done()
    for name in await asyncio.to_thread(_without_record, done, data):
        if (task := store.get(done[name])) is not None:
            with contextlib.suppress(OSError):  # for instance a full disk
                await asyncio.to_thread(data.write_record, name, encode_record(task))
    await videos.remove_leftovers(store.filenames())


async def _adopt(store: Store, task: Task) -> bool:
    """Add the task of a video; return False if that is impossible, or not possible now."""
    try:
        return await store.adopt(task)
    except sqlite3.OperationalError:
        return False


async def read_record(videos: VideoStore, name: str) -> Task | None:
    """Return the task of a finished video by its record; None if there is no valid one."""
    found, content = await videos.find(name), await videos.read_record(name)
    if found is None or content is None:
        return None
    try:
        record = json.loads(content)
        # Its callback was sent, or is too late now.
        record |= {
            "filename": name,
            "size": found.size,
            "state": TaskState.DONE,
            "callback": CallbackState.NONE,
            "attempts": 0,
            "troubles": 0,
            **NOT_WAITING,
        }
        return cattrs.Converter(detailed_validation=False).structure(record, Task)
    except (ValueError, TypeError, KeyError):
        return None


def _without_record(names: Iterable[str], data: DataDirectory) -> list[str]:
    """Return the videos of versions that wrote no records."""
    return [
        name
        for name in names
        if not data.record_path(name).exists() and (data.videos / name).exists()
    ]
