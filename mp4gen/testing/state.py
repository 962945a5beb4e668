"""What the fake service remembers: calls, tasks and the window; time is an argument, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Literal

import attrs

from mp4gen.api.sliding_window import SlidingWindow
from mp4gen.models import FAILED_STATUSES, VideoDetails, VideoRequest, VideoStatus
from mp4gen.options import RateLimit
from mp4gen.transport.http import Secret

from .media import tiny_mp4

DuplicatePolicy = Literal["existing_id", "without_id", "new_task"]
Duration = float | Callable[[Random], float]


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """One call as it arrived.

    Attributes:
        received_at: seconds of the service's loop.
        endpoint: "create", "details", "tracks", "credits", "download_url", "file", or "" for a
            path that the API does not have.
        method: in upper case.
        path: without its query.
        query: the query's fields.
        headers: in lower case, without `authorization`.
        key: what came as the bearer key; it does not show when printed.
        body: the bytes.
        rate_limited: whether the rate limit refused it.
    """

    received_at: float
    endpoint: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    key: Secret | None
    body: bytes
    rate_limited: bool = False


@attrs.define(kw_only=True)
class FakeTask:
    """One video task; a test may change it at any time.

    Attributes:
        task_id: what the submit was answered with.
        request: what was submitted.
        created_at: loop time.
        completes_at: loop time at which it is finished.
        status: what it ends as.
        error_message: the reason, of a failure.
        content: the file's bytes.
        poll_count: how often it was looked at.
    """

    task_id: str
    request: VideoRequest
    created_at: float
    completes_at: float
    status: VideoStatus | str = VideoStatus.SUCCESS
    error_message: str | None = None
    content: bytes
    poll_count: int = 0

    def fail(self, message: str = "Failed to generate the video") -> None:
        """Let the task have failed by the next look."""
        self.status, self.error_message = VideoStatus.GENERATE_MP4_FAILED, message
        self.completes_at = self.created_at

    def finish(self) -> None:
        """Let the task be finished by the next look."""
        self.completes_at = self.created_at

    def details(self, now: float, url: str, epoch: datetime) -> VideoDetails:
        """The record at loop time `now`; `epoch` is the wall clock's time at loop time 0."""
        is_finished = now >= self.completes_at
        # docs.sunoapi.org, "Get Music Video Details": the link is there on success only.
        ready = is_finished and self.status not in FAILED_STATUSES
        return VideoDetails(
            task_id=self.task_id,
            music_task_id=self.request.task_id,
            audio_id=self.request.audio_id,
            callback_url=self.request.callback_url,
            status=self.status if is_finished else VideoStatus.PENDING,
            video_url=url if ready else None,
            created_at=epoch + timedelta(seconds=self.created_at),
            completed_at=epoch + timedelta(seconds=self.completes_at) if is_finished else None,
            error_code=500 if is_finished and not ready else None,
            error_message=self.error_message if is_finished else None,
        )


@attrs.define
class FakeServiceState:
    """All that one service knows.

    Attributes:
        duration: seconds that a task takes, or what draws them.
        seed: of all chance.
        file_size: bytes of a file, at least.
        requests: every call, in the order of arrival.
        tasks: every task by its id.
    """

    duration: Duration
    seed: int
    file_size: int
    requests: list[RecordedRequest] = attrs.field(factory=list)
    tasks: dict[str, FakeTask] = attrs.field(factory=dict)
    _first_tasks: dict[tuple[str, str], FakeTask] = attrs.field(factory=dict)
    _window: SlidingWindow = attrs.field(factory=SlidingWindow)

    def try_acquire(self, limit: RateLimit | None, now: float) -> bool:
        """Count a call that arrives now, and return whether `limit` allows it."""
        return limit is None or not self._window.try_acquire(limit, now)

    def find_existing(self, request: VideoRequest) -> FakeTask | None:
        """The task that the track has already."""
        return self._first_tasks.get((request.task_id, request.audio_id))

    def add(self, request: VideoRequest, now: float) -> FakeTask:
        """A new task, which starts now."""
        number = len(self.tasks) + 1
        task = FakeTask(
            task_id=f"video_{number:06}",
            request=request,
            created_at=now,
            completes_at=now + self._draw_duration(request),
            content=tiny_mp4(f"{request.task_id}/{request.audio_id}", self.file_size),
        )
        self.tasks[task.task_id] = task
        self._first_tasks.setdefault((request.task_id, request.audio_id), task)
        return task

    def _draw_duration(self, request: VideoRequest) -> float:
        """A track takes equally long whenever it is submitted, so that runs can be compared."""
        if not callable(self.duration):
            return self.duration
        seed = f"{self.seed}/{request.task_id}/{request.audio_id}"
        return self.duration(Random(seed))  # noqa: S311 - a test's chance, not a secret
