"""What the API speaks about: frozen values in snake_case; no wire names, no I/O."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from .addresses import parse_http_url
from .errors import ValidationError

# docs.sunoapi.org, "Create Music Video": author and domainName have maxLength 50.
MAX_TEXT_LENGTH = 50


class VideoStatus(enum.StrEnum):
    """The API's `successFlag` (docs.sunoapi.org, "Get Music Video Details")."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    CREATE_TASK_FAILED = "CREATE_TASK_FAILED"
    GENERATE_MP4_FAILED = "GENERATE_MP4_FAILED"
    # The host could not deliver its callback; the video itself may well be there.
    CALLBACK_EXCEPTION = "CALLBACK_EXCEPTION"


FAILED_STATUSES = frozenset({VideoStatus.CREATE_TASK_FAILED, VideoStatus.GENERATE_MP4_FAILED})


def _id_problem(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if not value.strip():
        return "must not be empty"
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):
        return "must not contain control characters"
    return None


def _text_problem(value: object) -> str | None:
    if value is None:
        return None
    if problem := _id_problem(value):
        return problem
    length = len(str(value))
    return (
        f"must be at most {MAX_TEXT_LENGTH} characters, not {length}"
        if length > MAX_TEXT_LENGTH
        else None
    )


def _read_only(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(raw))


def _url_problem(value: object) -> str | None:
    if value is None:
        return None
    if problem := _id_problem(value):
        return problem
    return None if parse_http_url(str(value)) else "must be an http:// or https:// URL"


def _nfc(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


@attrs.frozen
class VideoRequest:
    """One "Create Music Video" call: which track, and what to write on it.

    Args:
        task_id: the id of the music task that made the track.
        audio_id: the track's own id within it.
        author: shown at the beginning, at most 50 code points (NFC); None for none.
        domain_name: a subtle watermark at the bottom, at most 50 code points; None for none.
        callback_url: where the API reports the end; None for the client's own.

    Raises:
        ValidationError: fields that cannot be right; all at once, by name.
    """

    task_id: str
    audio_id: str
    author: str | None = attrs.field(default=None, kw_only=True, converter=_nfc)
    domain_name: str | None = attrs.field(default=None, kw_only=True, converter=_nfc)
    callback_url: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        found = {
            "task_id": _id_problem(self.task_id),
            "audio_id": _id_problem(self.audio_id),
            "author": _text_problem(self.author),
            "domain_name": _text_problem(self.domain_name),
            "callback_url": _url_problem(self.callback_url),
        }
        if problems := {field: problem for field, problem in found.items() if problem}:
            raise ValidationError(problems)


@attrs.frozen
class VideoDetails:
    """One look at a video task ("Get Music Video Details").

    Attributes:
        task_id: the video task's id.
        music_task_id: the API's `musicId`, as sent; None where missing.
        audio_id: the track's id; older answers carry it as `musicId`.
        music_index: the track's place in its music task, in answers that number it.
        callback_url: the address the API reports to.
        status: a `VideoStatus`, or the text of one we do not know: not finished.
        video_url: the one MP4, once there.
        created_at, completed_at: aware UTC, or None where the API's text names no zone.
        error_code: the API's own number for a failure.
        error_message: the API's own words for it.
        raw: the answer's `data` as it came.
    """

    task_id: str
    music_task_id: str | None = None
    audio_id: str | None = None
    music_index: int | None = None
    # Not shown: what it ends in lets whoever reads a log speak for the API.
    callback_url: str | None = attrs.field(default=None, repr=False)
    status: VideoStatus | str = VideoStatus.PENDING
    video_url: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: int | None = None
    error_message: str | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, converter=_read_only, eq=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping cannot be pickled, and errors that carry details must be.
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(VideoDetails)}
        return partial(VideoDetails, **fields | {"raw": dict(self.raw)}), ()

    @property
    def failed(self) -> bool:
        """Whether the task ended without a video, for good."""
        return self.status in FAILED_STATUSES

    @property
    def ready(self) -> bool:
        """Whether the video is there; a lost callback does not take it away."""
        return bool(self.video_url) and not self.failed


@attrs.frozen
class Video:
    """A finished video.

    Attributes:
        task_id: the video task that made it.
        url: the single download URL.
        audio_id: the track, where the API tells it.
        created_at, completed_at: aware UTC, or None where the API names no zone.
        expires_at: when the host deletes the file, or None where unknown.
        adopted: the video was made by an earlier request, whose author and watermark it may carry.
    """

    task_id: str
    url: str
    audio_id: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    adopted: bool = False


@attrs.frozen
class Track:
    """One track of a music task ("Get Music Generation Details").

    Attributes:
        task_id: the music task's id.
        audio_id, title: of the track.
        duration: seconds.
        audio_url: where the sound is.
        image_url: where the cover is.
        tags: the style, as text.
        created_at: aware UTC, or None where the API names no zone.
    """

    task_id: str
    audio_id: str
    title: str | None = None
    duration: float | None = None
    audio_url: str | None = None
    image_url: str | None = None
    tags: str | None = None
    created_at: datetime | None = None

    def video_request(
        self,
        *,
        author: str | None = None,
        domain_name: str | None = None,
        callback_url: str | None = None,
    ) -> VideoRequest:
        """The request that turns this track into a video.

        Raises:
            ValidationError: a text that cannot be right.
        """
        return VideoRequest(
            self.task_id,
            self.audio_id,
            author=author,
            domain_name=domain_name,
            callback_url=callback_url,
        )


@attrs.frozen
class Conversion:
    """What became of one request of a bulk run.

    Attributes:
        request: what was asked for.
        task_id: the video task, where a submit was accepted.
        video: the finished video.
        path: where its file is.
        error: why there is no video, or no file.
    """

    request: VideoRequest
    task_id: str | None = None
    video: Video | None = None
    path: Path | None = None
    error: Exception | None = None

    def result(self) -> Video:
        """The video.

        Raises:
            Mp4GenError: why there is none, or why its file is missing.
        """
        if self.error is not None:
            raise self.error
        if self.video is None:
            raise ValueError("a conversion without a video has an error")
        return self.video


@attrs.frozen
class RunSummary:
    """What became of a bulk run so far.

    Attributes:
        succeeded: videos, with their files where files were asked for.
        failed: requests that ended with an error.
        remaining: requests for another run: not submitted, or not finished at a stop.
        stop_reason: what ended it early: "stop" or an error's name; None for nothing.
    """

    succeeded: int = 0
    failed: int = 0
    remaining: int = 0
    stop_reason: str | None = None
