"""What a client tells those who watch it: frozen records, and one log line each; never a key."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from .errors import Mp4GenError
from .models import Video, VideoStatus

_log = logging.getLogger("mp4gen")


@attrs.frozen
class Event:
    """Something happened; the subclass says what."""


@attrs.frozen
class SubmittedEvent(Event):
    """A submit was accepted, or an existing video was adopted in its place."""

    task_id: str
    audio_id: str
    adopted: bool


@attrs.frozen
class PollEvent(Event):
    """One look at a task; `elapsed` since the wait began, pauses left out."""

    task_id: str
    status: VideoStatus | str
    elapsed: float


@attrs.frozen
class RetryEvent(Event):
    """A call failed in a way that may pass; it is sent again in `delay`."""

    path: str
    error: Mp4GenError
    delay: float


@attrs.frozen
class PausedEvent(Event):
    """The API refused a call as one too many; no call goes out for `delay`."""

    delay: float


@attrs.frozen
class MaintenanceEvent(Event):
    """The API is down for maintenance; one call asks again in `delay`."""

    delay: float


@attrs.frozen
class CompletedEvent(Event):
    """A video is there."""

    video: Video
    elapsed: float


@attrs.frozen
class FailedEvent(Event):
    """A wait or a submit ended without a video."""

    task_id: str | None
    error: Exception


@attrs.frozen
class DownloadProgressEvent(Event):
    """A download got further; sizes in bytes, `total` None where the host does not say."""

    path: str
    received: int
    total: int | None


class EventEmitter:
    """Where events go: the log, and the user's hook, whose own faults stay its own."""

    def __init__(self, hook: Callable[[Event], object] | None = None) -> None:
        self._hook = hook

    def emit(self, event: Event) -> None:
        """Tell of `event`."""
        level = (
            logging.DEBUG if isinstance(event, PollEvent | DownloadProgressEvent) else logging.INFO
        )
        if isinstance(event, FailedEvent | PausedEvent | MaintenanceEvent):
            level = logging.WARNING
        _log.log(level, "%s", event)
        if self._hook is None:
            return
        try:
            self._hook(event)
        except Exception:  # noqa: BLE001 - a fault of the hook must not end a conversion
            _log.exception("on_event raised; the conversion goes on")
