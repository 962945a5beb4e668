"""What a ledger says of one track: values only, so that the SDK needs no SQLite for them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from mp4gen.errors import Mp4GenError
from mp4gen.models import Video, VideoRequest


class LedgerState(StrEnum):
    """How far a track has come."""

    NEW = "new"
    # Sent, or about to be: after a crash nobody knows which.
    INTENT = "intent"
    SUBMITTED = "submitted"
    DONE = "done"
    DOWNLOADED = "downloaded"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


@attrs.frozen
class LedgerEntry:
    """One track of the ledger.

    Attributes:
        id: its number.
        request: what was asked for.
        state: how far it has come.
        tokens: of the callback addresses that its submits named.
        task_id: the video task, once known.
        adopted: whether an earlier request had made that.
        video: the finished video.
        path: where it was downloaded to.
        error: why it failed.
    """

    id: int
    request: VideoRequest
    state: LedgerState
    tokens: tuple[str, ...] = ()
    task_id: str | None = None
    adopted: bool = False
    video: Video | None = None
    path: Path | None = None
    error: Mp4GenError | None = None
