"""Finished videos in the data directory, reached without blocking the event loop."""

import asyncio
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from mp4gen.server.data_dir import DataDirectory

from .video_store import LocalVideo

T = TypeVar("T")


class FolderVideos:
    """The `VideoStore` of a server without an object storage.

    Args:
        data: The data directory, whose owner was checked when it was opened.
    """

    def __init__(self, data: DataDirectory) -> None:
        self._data = data
        self.in_use: set[str] = set()

    async def open(self) -> None:
        """Do nothing: the data directory is open."""

    async def publish(self, rendered: Path | None, name: str, record: bytes) -> int | None:
        """Move a finished video and its record into the folder."""
        if rendered is not None:
            return await _complete(asyncio.to_thread(self._data.publish, rendered, name, record))
        found = await self.find(name)
        return found.size if found else None

    async def find(self, name: str) -> LocalVideo | None:
        """Return the file of a video."""
        return find_file(self._data.videos / name)

    def is_lost(self, name: str) -> bool:
        """Return whether a finished video is gone, and not the whole folder with it."""
        return self._data.is_lost(name)

    async def names(self) -> set[str]:
        """Return the names of all videos in the folder."""
        return await asyncio.to_thread(self._data.video_names)

    async def write_record(self, name: str, record: bytes) -> None:
        """Replace the record of a finished video."""
        await asyncio.to_thread(self._data.write_record, name, record)

    async def read_record(self, name: str) -> bytes | None:
        """Return the record of a video; None if it has none."""
        try:
            return await asyncio.to_thread(self._data.record_path(name).read_bytes)
        except OSError:
            return None

    async def remove(self, names: Iterable[str]) -> list[str]:
        """Delete videos; on Windows, those that are being sent stay."""
        return await asyncio.to_thread(self._data.remove_videos, list(names))

    async def remove_leftovers(self, known: set[str]) -> None:
        """Delete partial files, and images and records of no video."""
        await asyncio.to_thread(self._data.remove_leftovers, known)


async def _complete(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work in a thread; a cancelled caller waits for its end, too."""
    job = asyncio.create_task(work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait({job})
        raise


def find_file(path: Path) -> LocalVideo | None:
    """Return the video in a file; None if there is no such file."""
    # On the event loop: it takes less time than a thread would.
    try:
        stat = path.stat()
    except OSError:
        return None
    return LocalVideo(path, stat.st_size, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"')
