"""The state of the fake service: requests, tasks and the rate limit; no clock, no I/O."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Literal

import attrs

from mp4gen.api.sliding_window import SlidingWindow
from mp4gen.models import FAILED_STATUSES, VideoDetails, VideoRequest, VideoStatus
from mp4gen.options import RateLimit

from .media import tiny_mp4

DuplicatePolicy = Literal["existing_id", "without_id", "new_task"]
Duration = float | Callable[[Random], float]


def draw(duration: Duration, random: Random) -> float:
    """Return the seconds of `duration`, drawn by its function if it is one."""
    return duration(random) if callable(duration) else duration


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request as it arrived.

    Attributes:
        received_at: The loop time, in seconds.
        endpoint: "create", "details", "tracks", "lyrics", "credits", "download_url", "file", or ""
            for an unknown path.
        method: The method in upper case.
        path: The path without its query.
        query: The fields of the query.
        headers: The headers by lower-case names, without `authorization`.
        key: The bearer key; it is not printed.
        body: The bytes of the body.
        rate_limited: Whether the rate limit refused it.
    """

    received_at: float
    endpoint: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    key: str | None = attrs.field(repr=False)
    body: bytes
    rate_limited: bool = False


@attrs.define(kw_only=True)
class FakeTask:
    """A video task, which a test may change at any time.

    Attributes:
        task_id: The id of the task.
        request: The submitted request.
        created_at: The loop time of the submit, in seconds.
        completes_at: The loop time of the end, in seconds.
        status: The final status.
        error_message: The reason of a failure.
        content: The bytes of the file.
        poll_count: The number of polls so far.
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
        """Let the task fail before the next poll."""
        self.status, self.error_message = VideoStatus.GENERATE_MP4_FAILED, message
        self.completes_at = self.created_at

    def finish(self) -> None:
        """Let the task finish before the next poll."""
        self.completes_at = self.created_at

    def details(self, now: float, url: str, epoch: datetime) -> VideoDetails:
        """Return the details at loop time `now`; `epoch` is the time of day at loop time 0."""
        is_finished = now >= self.completes_at
        # docs.sunoapi.org, "Get Music Video Details": only a success has a link.
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
    """The state of one service.

    Attributes:
        duration: The seconds that a task takes, or a function that draws them.
        seed: The seed of all randomness.
        file_size: The minimum size of a file in bytes.
        requests: All requests in the order of arrival.
        tasks: All tasks by their ids.
    """

    duration: Duration
    seed: int
    file_size: int
    requests: list[RecordedRequest] = attrs.field(factory=list)
    tasks: dict[str, FakeTask] = attrs.field(factory=dict)
    _first_tasks: dict[tuple[str, str], FakeTask] = attrs.field(factory=dict)
    _window: SlidingWindow = attrs.field(factory=SlidingWindow)

    def try_acquire(self, limit: RateLimit | None, now: float) -> bool:
        """Count a request that arrives now, and return whether `limit` allows it."""
        return limit is None or not self._window.try_acquire(limit, now)

    def find_existing(self, request: VideoRequest) -> FakeTask | None:
        """Return the first task of the track, if any."""
        return self._first_tasks.get((request.task_id, request.audio_id))

    def add(self, request: VideoRequest, now: float) -> FakeTask:
        """Add and return a new task that starts now."""
        number = len(self.tasks) + 1
        # Seeded by track, so that runs in another order can be compared.
        random = Random(f"{self.seed}/{request.task_id}/{request.audio_id}")  # noqa: S311 - a test
        task = FakeTask(
            task_id=f"video_{number:06}",
            request=request,
            created_at=now,
            completes_at=now + draw(self.duration, random),
            content=tiny_mp4(f"{request.task_id}/{request.audio_id}", self.file_size),
        )
        self.tasks[task.task_id] = task
        self._first_tasks.setdefault((request.task_id, request.audio_id), task)
        return task
