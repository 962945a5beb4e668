"""One video task of the server, as values; no SQL, no HTTP, no files."""

import enum
from datetime import UTC, datetime
from typing import NamedTuple

import attrs

from mp4gen.models import VideoDetails, VideoStatus
from mp4gen.server.rendering.video_options import DEFAULT_OPTIONS, VideoOptions


class TaskState(enum.StrEnum):
    """The state of a task."""

    QUEUED = "queued"
    RENDERING = "rendering"
    DONE = "done"
    FAILED = "failed"


class CallbackState(enum.StrEnum):
    """The state of a task's callback."""

    NONE = "none"
    DUE = "due"
    SENT = "sent"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Task:
    """One video task.

    Attributes:
        task_id: The id in the API.
        account: The account that created it, and the only one that sees it.
        music_task_id: The folder, as the library names it.
        audio_id: The file, as the library names it.
        render_variant: Empty for the API; the page creates any number of the same video, except in
            batches.
        batch: The conversion of many songs on the page that it belongs to; None without one.
        author: Shown at the beginning.
        domain_name: The watermark.
        callback_url: The URL that gets the callback.
        base_url: The URL of the server, as the client knows it.
        aspect_ratio: "16:9", "9:16", "1:1" or "4:5"; None for the size of the preset, or of the
            server.
        audio_mode: "compatible" or "copy".
        options: How the video looks, and which part of the song it has.
        filename: The unguessable name of the video in the data directory.
        estimated_duration: Estimated seconds of music.
        state: The state of the task.
        callback: The state of its callback.
        created_at: Seconds since 1970, as all times here.
        started_at: When rendering began.
        completed_at: When it was done or failed.
        error_code: The API's number of the error.
        error_message: The text of the error.
        duration: Seconds of the video.
        size: Bytes of the video.
        fingerprint: What the video is made of: the music file, the texts and the options. None in a
            record of an older version.
        attempts: How many renders of the task have begun and were neither finished nor excused.
        troubles: How many renders in a row failed for a reason that is not the song's.
        lease_until: Until when the machine that renders the task has it for itself.
        not_before: When the task may be tried again; None if immediately.
        last_trouble: The text of the last failure that was not the song's; None if there is none.
        warnings: The renderer's sentences about the video.
        kept: Whether the video never expires.
    """

    task_id: str
    account: str
    music_task_id: str
    audio_id: str
    render_variant: str = ""
    batch: str | None = None
    author: str | None = None
    domain_name: str | None = None
    callback_url: str = ""
    base_url: str = ""
    aspect_ratio: str | None = None
    audio_mode: str = "compatible"
    options: VideoOptions = DEFAULT_OPTIONS
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
    fingerprint: str | None = None
    attempts: int = 0
    troubles: int = 0
    lease_until: float | None = None
    not_before: float | None = None
    last_trouble: str | None = None
    warnings: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    kept: bool = attrs.field(default=False, converter=bool)

    @property
    def is_finished(self) -> bool:
        """Whether it is done or failed."""
        return self.state in {TaskState.DONE, TaskState.FAILED}

    @property
    def is_urgent(self) -> bool:
        """Whether a person waits for it: it was created on the page, and alone."""
        return bool(self.render_variant) and self.batch is None

    @property
    def status(self) -> VideoStatus:
        """The status in the API (docs.sunoapi.org, "Get Music Video Details")."""
        if self.state is TaskState.FAILED:
            return VideoStatus.GENERATE_MP4_FAILED
        if self.state is not TaskState.DONE:
            return VideoStatus.PENDING
        callback_failed = self.callback is CallbackState.FAILED
        return VideoStatus.CALLBACK_EXCEPTION if callback_failed else VideoStatus.SUCCESS

    def details(self, base_url: str) -> VideoDetails:
        """Return the task as the API reports it, with its file below `base_url`."""
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
        """Return the URL of the video below `base_url`; None if it is not done."""
        return f"{base_url}/files/{self.filename}" if self.state is TaskState.DONE else None


class UnfinishedTask(NamedTuple):
    """What the queue needs of a task; there may be a million of them."""

    task_id: str
    account: str
    render_variant: str
    batch: str | None
    not_before: float | None

    @property
    def is_urgent(self) -> bool:
        """Whether a person waits for it, as of `Task`."""
        return bool(self.render_variant) and self.batch is None


def _to_datetime(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
