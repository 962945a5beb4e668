"""What the server knows of one video task, as values; no SQL, no HTTP, no files."""

from __future__ import annotations

import enum
from datetime import UTC, datetime

import attrs

from mp4gen.models import VideoDetails, VideoStatus


class TaskState(enum.StrEnum):
    """Where a task is on its way."""

    QUEUED = "queued"
    RENDERING = "rendering"
    DONE = "done"
    FAILED = "failed"


class CallbackState(enum.StrEnum):
    """What became of a task's callback."""

    NONE = "none"
    DUE = "due"
    SENT = "sent"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Task:
    """One video task.

    Attributes:
        task_id: the API's id of it.
        account: who made it; nobody else sees it.
        music_task_id: the folder, as the library names it.
        audio_id: the file, as the library names it.
        render_variant: empty for the API's one video of a track; the page makes more.
        author: shown at the beginning.
        domain_name: the watermark.
        callback_url: where to report the end.
        base_url: the address under which the caller knows the server.
        aspect_ratio: the picture's shape, "16:9", "9:16" or "1:1"; None for the server's own.
        audio_mode: "compatible" or "copy".
        filename: the name of the video among the server's videos; nobody can guess it.
        estimated_duration: about how long the music plays.
        state: where it is on its way.
        callback: what became of its callback.
        created_at: seconds since 1970.
        started_at: when rendering began.
        completed_at: when it ended, well or not.
        error_code: the API's number for why it failed.
        error_message: the sentence that goes with it.
        duration: how long the video plays.
        size: bytes of the video.
    """

    task_id: str
    account: str
    music_task_id: str
    audio_id: str
    render_variant: str = ""
    author: str | None = None
    domain_name: str | None = None
    callback_url: str = ""
    base_url: str = ""
    aspect_ratio: str | None = None
    audio_mode: str = "compatible"
    filename: str
    estimated_duration: float = 0.0
    state: TaskState = attrs.field(default=TaskState.QUEUED, converter=TaskState)
    callback: CallbackState = attrs.field(default=CallbackState.NONE, converter=CallbackState)
    created_at: float
    started_at: float | None = None
    completed_at: float | None = None
    error_code: int | None = None
    error_message: str | None = None
    duration: float | None = None
    size: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be rendered for it."""
        return self.state in {TaskState.DONE, TaskState.FAILED}

    @property
    def status(self) -> VideoStatus:
        """The API's word for it (docs.sunoapi.org, "Get Music Video Details")."""
        if self.state is TaskState.FAILED:
            return VideoStatus.GENERATE_MP4_FAILED
        if self.state is not TaskState.DONE:
            return VideoStatus.PENDING
        callback_failed = self.callback is CallbackState.FAILED
        return VideoStatus.CALLBACK_EXCEPTION if callback_failed else VideoStatus.SUCCESS

    def details(self, base_url: str) -> VideoDetails:
        """The task as the API tells it, with its file below `base_url`."""
        return VideoDetails(
            task_id=self.task_id,
            music_task_id=self.music_task_id,
            audio_id=self.audio_id,
            callback_url=self.callback_url,
            status=self.status,
            video_url=self.video_url(base_url),
            created_at=_to_datetime(self.created_at),
            completed_at=_to_datetime(self.completed_at),
            error_code=self.error_code,
            error_message=self.error_message,
        )

    def video_url(self, base_url: str) -> str | None:
        """Where the video is, below `base_url`; None before it is there."""
        return f"{base_url}/files/{self.filename}" if self.state is TaskState.DONE else None


def _to_datetime(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
