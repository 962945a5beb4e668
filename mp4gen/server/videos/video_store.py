"""What the server needs of the place where finished videos are; does no I/O itself."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

import attrs


@attrs.frozen
class LocalVideo:
    """A finished video on a disk of this machine.

    Attributes:
        path: Its file.
        size: Its size in bytes.
        etag: Its entity tag, quoted; the same that aiohttp sends.
    """

    path: Path
    size: int
    etag: str


class RemoteVideo(Protocol):
    """A finished video on another host."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    @property
    def etag(self) -> str:
        """Its entity tag, quoted."""

    @property
    def modified(self) -> datetime:
        """When it was stored."""

    async def read(self, start: int, stop: int) -> bytes:
        """Return its bytes from `start` up to `stop`.

        Raises:
            TransientError: They cannot be read now, or are of another version.
        """

    async def link(self, method: Literal["GET", "HEAD"]) -> str:
        """Return a URL with which anyone may send this request to the host, for a limited time."""


class VideoStore(Protocol):
    """The place where finished videos are, each with its record, under their unguessable names.

    Attributes:
        in_use: The names of the videos that are being made; the maker of one deletes it if its
            task was deleted meanwhile.
    """

    in_use: set[str]

    async def open(self) -> None:
        """Check that the place is the server's own, and make it so if it is new.

        Raises:
            ConfigurationError: It belongs to another owner, or cannot be used.
        """

    async def publish(self, rendered: Path | None, name: str, record: bytes) -> int | None:
        """Store a finished video and its record, durably; the video appears complete.

        Args:
            rendered: The finished file, which is moved; None to finish an interrupted call.
            name: The name of the video.
            record: Its record.

        A cancelled call ends in seconds, and leaves nothing running.

        Returns:
            The size of the video; None if `rendered` is None and there is no such video.

        Raises:
            OSError: The disk failed.
            TransientError: The place cannot be used now.
        """

    async def find(self, name: str) -> LocalVideo | RemoteVideo | None:
        """Return a finished video; None if there is no such video.

        Raises:
            TransientError: The place cannot be used now.
        """

    def is_lost(self, name: str) -> bool:
        """Return whether a finished video is known to be gone, and not the whole place with it."""

    async def names(self) -> set[str]:
        """Return the names of all videos that the server may have made."""

    async def write_record(self, name: str, record: bytes) -> None:
        """Replace the record of a finished video.

        Raises:
            OSError: The disk failed.
            TransientError: The place cannot be used now.
        """

    async def read_record(self, name: str) -> bytes | None:
        """Return the record of a video; None if it has none."""

    async def remove(self, names: Iterable[str]) -> list[str]:
        """Delete videos with their records and thumbnails; return the names of those gone now."""

    async def remove_leftovers(self, known: set[str]) -> None:
        """Delete what a killed server left.

        Args:
            known: The names of the videos of all tasks.
        """
