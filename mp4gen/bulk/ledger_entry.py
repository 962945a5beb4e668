"""The ledger's record of one track; values only, so that importing it loads no SQLite."""

from enum import StrEnum
from pathlib import Path

import attrs

from mp4gen.errors import Mp4GenError
from mp4gen.models import Video, VideoRequest

from .track_files import file_size


class LedgerState(StrEnum):
    """The progress of a track."""

    NEW = "new"
    # About to be sent, or sent: after a crash it is unknown which.
    INTENT = "intent"
    SUBMITTED = "submitted"
    DONE = "done"
    DOWNLOADED = "downloaded"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


def request_key(request: VideoRequest) -> tuple[str, str]:
    """Return the ids that identify a track in a table and in a ledger."""
    return request.task_id, request.audio_id


@attrs.frozen
class LedgerEntry:
    """One track of the ledger.

    Attributes:
        id: The row's number.
        request: The request.
        state: The progress of the track.
        tokens: The tokens of the callback URLs of its submits.
        task_id: The video task, or None before it is known.
        adopted: Whether an earlier request created the task.
        video: The finished video, or None.
        path: The downloaded file, or None.
        size: The bytes of that file, or None.
        error: Why it failed, or None.
    """

    id: int
    request: VideoRequest
    state: LedgerState
    tokens: tuple[str, ...] = attrs.field(default=(), repr=False)
    task_id: str | None = None
    adopted: bool = False
    video: Video | None = None
    path: Path | None = None
    size: int | None = None
    error: Mp4GenError | None = None

    @property
    def may_be_submitted(self) -> bool:
        """Whether a submit of the track was accepted, or may have been."""
        return self.task_id is not None or self.state not in (LedgerState.NEW, LedgerState.FAILED)

    def file_in(self, folder: Path) -> Path | None:
        """Return the downloaded file in `folder`, or None if it is not there.

        Another folder may have a file of the same name: it is the track's if its size is right. A
        file that was emptied is not there.
        """
        if self.path is None:
            return None
        path = folder / self.path.name
        size = file_size(path)
        return path if size and (path == self.path or size == self.size) else None
