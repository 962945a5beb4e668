"""Events that a client reports: frozen records with a log line each; they contain no key."""

import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar

import attrs

from .errors import Mp4GenError
from .models import Video, VideoStatus
from .options import Record


class Event(Record):
    """The base class of all events; `str(event)` is its line in the log."""

    __slots__ = ()

    level: ClassVar[int] = logging.INFO
    _text: ClassVar[str] = ""

    def __str__(self) -> str:
        return printable(self._text.format(self))


@attrs.frozen(eq=False, repr=False)
class SubmittedEvent(Event):
    """A submit was accepted, or an existing video was adopted in its place.

    Attributes:
        task_id: Id of the video task.
        audio_id: Id of the track.
        adopted: Whether an earlier request had made the task.
    """

    _text = "Task {0.task_id} submitted for audio {0.audio_id} (adopted: {0.adopted})."

    task_id: str
    audio_id: str
    adopted: bool


@attrs.frozen(eq=False, repr=False)
class PollEvent(Event):
    """A task was polled, `elapsed` seconds after the wait began, pauses not counted.

    Attributes:
        task_id: Id of the video task.
        status: Its status; the text of an unknown one.
        elapsed: Seconds since the wait began.
    """

    level = logging.DEBUG
    _text = "Task {0.task_id} has the status {0.status} after {0.elapsed:.1f} s."

    task_id: str
    status: VideoStatus | str
    elapsed: float


@attrs.frozen(eq=False, repr=False)
class RetryEvent(Event):
    """A call failed temporarily; it is sent again in `delay` seconds.

    Attributes:
        path: Path of the call at the API.
        error: The failure.
        delay: Seconds until the next attempt.
    """

    _text = "{0.path} failed, next attempt in {0.delay:.1f} s: {0.error}"

    path: str
    error: Mp4GenError
    delay: float


@attrs.frozen(eq=False, repr=False)
class PausedEvent(Event):
    """The API refused a call because of its rate limit; all calls pause for `delay` seconds.

    Attributes:
        delay: Seconds of the pause.
    """

    level = logging.WARNING
    _text = "All calls pause for {0.delay:.1f} s after a rate refusal."

    delay: float


@attrs.frozen(eq=False, repr=False)
class MaintenanceEvent(Event):
    """The API is down for maintenance; one call probes it in `delay` seconds.

    Attributes:
        delay: Seconds until the next probe.
    """

    level = logging.WARNING
    _text = "The API is down for maintenance, next probe in {0.delay:.1f} s."

    delay: float


@attrs.frozen(eq=False, repr=False)
class CompletedEvent(Event):
    """A video is finished, `elapsed` seconds after the wait began.

    Attributes:
        video: The video.
        elapsed: Seconds since the wait began.
    """

    _text = "Task {0.video.task_id} completed after {0.elapsed:.1f} s."

    video: Video
    elapsed: float


@attrs.frozen(eq=False, repr=False)
class FailedEvent(Event):
    """A wait or a submit ended without a video.

    Attributes:
        task_id: Id of the video task, or None if no submit was accepted.
        error: Why there is no video.
    """

    level = logging.WARNING
    _text = "Conversion failed (task {0.task_id}): {0.error}"

    task_id: str | None
    error: Exception


@attrs.frozen(eq=False, repr=False)
class DownloadProgressEvent(Event):
    """A download received bytes; `total` is None if the host does not name the size.

    Attributes:
        path: Path of the file.
        received: Bytes so far.
        total: Bytes of the whole file, or None if the host does not name them.
    """

    level = logging.DEBUG
    _text = "{0.path}: {0.received} of {0.total} bytes received."

    path: str
    received: int
    total: int | None


OnEvent = Callable[[Event], Awaitable[object] | object]


def printable(text: str) -> str:
    """Return `text` on one line: names and texts of the API must not add lines to a log."""
    return "".join(char if char.isprintable() else " " for char in text)
