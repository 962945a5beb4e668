"""The values of the API, frozen and in snake_case; no wire names, no I/O."""

import enum
import math
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from . import extra_fields
from .addresses import parse_http_url
from .errors import ValidationError
from .options import Record, read_only

# docs.sunoapi.org, "Create Music Video": author and domainName have maxLength 50.
MAX_TEXT_LENGTH = 50


class VideoStatus(enum.StrEnum):
    """The API's `successFlag` (docs.sunoapi.org, "Get Music Video Details")."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    CREATE_TASK_FAILED = "CREATE_TASK_FAILED"
    GENERATE_MP4_FAILED = "GENERATE_MP4_FAILED"
    # The host could not deliver its callback; the video may exist.
    CALLBACK_EXCEPTION = "CALLBACK_EXCEPTION"


FAILED_STATUSES = frozenset({VideoStatus.CREATE_TASK_FAILED, VideoStatus.GENERATE_MP4_FAILED})


class Value(Record):
    """The base class of all values."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as values that `json.dumps` takes.

        Times are ISO 8601 texts, paths are texts, and an error is its name and its text.
        """
        return _fields_to_json(self)


def _fields_to_json(value: Any) -> dict[str, Any]:
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(value))
    return {field.name: _to_json(getattr(value, field.name)) for field in fields}


def _to_json(value: Any) -> Any:
    match value:
        case None | bool() | int():
            found: Any = value
        case float():
            # JSON has neither NaN nor infinity.
            found = value if math.isfinite(value) else None
        case Value():
            found = value.to_dict()
        case datetime():
            found = value.isoformat()
        case Exception():
            found = {"type": type(value).__name__, "message": str(value)}
        case Mapping():
            found = {str(key): _to_json(item) for key, item in value.items()}
        case list() | tuple():
            found = [_to_json(item) for item in value]
        case _ if attrs.has(type(value)):
            found = _fields_to_json(value)
        case _:
            # Also a `VideoStatus`, which is a kind of text.
            found = str(value)
    return found


def id_text(value: str | int) -> str:
    """Return an integer as text, since tables hold numeric ids as numbers; else `value` itself."""
    if isinstance(value, str):
        return value
    # Also an integer of numpy.
    from numbers import Integral

    other: Any = value
    is_integer = isinstance(other, Integral) and not isinstance(other, bool)
    return str(int(other)) if is_integer and 0 <= other < 1 << 64 else other


def _type_problem(field: str, value: Any) -> str:
    """Return why a value that is not text is invalid, and what to do in pandas."""
    kind, is_id = type(value).__name__, field in {"task_id", "audio_id"}
    if (isinstance(value, float) and math.isnan(value)) or kind in {"NAType", "NaTType"}:
        if is_id:
            return f"must be text, not a missing value ({value}); leave the row out"
        return (
            f"must be text or None, not a missing value ({value}); "
            "use frame.astype(object).where(frame.notna(), None)"
        )
    hint = "; read the column as text (dtype=str)" if is_id and kind.startswith("float") else ""
    return f"must be text, not {kind}{hint}"


def _problem(field: str, value: object) -> str | None:
    """Return what is wrong with a field of a `VideoRequest`, or None."""
    if not isinstance(value, str):
        return _type_problem(field, value)
    if not value.strip():
        return "must not be empty"
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):
        return "must not contain control characters"
    if field in {"author", "domain_name"} and len(value) > MAX_TEXT_LENGTH:
        return f"must be at most {MAX_TEXT_LENGTH} characters, not {len(value)}"
    is_wrong_url = field == "callback_url" and parse_http_url(value) is None
    return "must be an http:// or https:// URL" if is_wrong_url else None


def _nfc(value: Any) -> Any:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


@attrs.frozen(eq=False, repr=False)
class VideoRequest(Value):
    """One "Create Music Video" call: the track, and the text on its video.

    Args:
        task_id: Id of the music task that made the track; an integer becomes text.
        audio_id: Id of the track in its music task; an integer becomes text.
        author: Text at the beginning, at most 50 code points after NFC; None for none.
        domain_name: Watermark at the bottom, at most 50 code points after NFC; None for none.
        callback_url: URL to which the API reports the end; None for the client's own.
        extra: Further fields of the JSON body, by the names of the API, sent as they are: options
            of mp4gen's own server, or new ones of a vendor. None for none.

    Raises:
        ValidationError: Invalid fields; all are reported at once, by name.
    """

    task_id: str = attrs.field(converter=id_text)
    audio_id: str = attrs.field(converter=id_text)
    author: str | None = attrs.field(default=None, kw_only=True, converter=_nfc)
    domain_name: str | None = attrs.field(default=None, kw_only=True, converter=_nfc)
    callback_url: str | None = attrs.field(default=None, kw_only=True)
    extra: Mapping[str, Any] | None = attrs.field(
        default=None, kw_only=True, converter=extra_fields.freeze, eq=extra_fields.dump
    )

    def __attrs_post_init__(self) -> None:
        problems = {
            field: problem
            for field in extra_fields.OWN_FIELDS
            if (value := getattr(self, field)) is not None or field in {"task_id", "audio_id"}
            if (problem := _problem(field, value))
        }
        if self.extra is not None and (problem := extra_fields.problem(self.extra)):
            problems["extra"] = problem
        if problems:
            raise ValidationError(problems)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in extra_fields.OWN_FIELDS}
        return partial(VideoRequest, **fields, extra=extra_fields.thaw(self.extra)), ()


@attrs.frozen(eq=False, repr=False)
class VideoDetails(Value):
    """The state of a video task ("Get Music Video Details").

    Attributes:
        task_id: Id of the video task.
        music_task_id: The API's `musicId` as received, or None.
        audio_id: Id of the track; older responses carry it as `musicId`.
        music_index: Number of the track in its music task, or None.
        callback_url: URL to which the API reports the end.
        status: A `VideoStatus`, or the text of an unknown one, which means "not finished".
        video_url: URL of the MP4, or None.
        created_at, completed_at: Aware UTC, or None if the API's text names no time zone.
        error_code: The API's number of a failure.
        error_message: The API's text of a failure.
        raw: The `data` of the response as received.

    `ready` and `failed` say how the task ended; while both are False, poll it again. With a
    `CallbackReceiver`, `callback_url` and `raw` hold the secret of the callback until then.
    """

    task_id: str
    music_task_id: str | None = None
    audio_id: str | None = None
    music_index: int | None = None
    # Not shown: its last part is the secret that lets a caller speak for the API.
    callback_url: str | None = attrs.field(default=None, repr=False)
    status: VideoStatus | str = VideoStatus.PENDING
    video_url: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: int | None = None
    error_message: str | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, converter=read_only, eq=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping cannot be pickled, and errors that carry details must be.
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(VideoDetails)}
        return partial(VideoDetails, **fields | {"raw": dict(self.raw)}), ()

    @property
    def failed(self) -> bool:
        """Whether the task ended without a video; final."""
        return self.status in FAILED_STATUSES

    @property
    def ready(self) -> bool:
        """Whether there is a video; a lost callback does not matter."""
        return bool(self.video_url) and not self.failed


@attrs.frozen(eq=False, repr=False)
class Video(Value):
    """A finished video.

    Attributes:
        task_id: Id of the video task.
        url: URL of the MP4.
        audio_id: Id of the track, or None if the API does not name it.
        created_at, completed_at: Aware UTC, or None if the API names no time zone.
        expires_at: When the host deletes the file, or None if unknown.
        adopted: Whether an earlier request made the video, maybe with another author or watermark.
    """

    task_id: str
    url: str
    audio_id: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    adopted: bool = False


@attrs.frozen(eq=False, repr=False)
class Track(Value):
    """One track of a music task ("Get Music Generation Details").

    Attributes:
        task_id: Id of the music task.
        audio_id: Id of the track.
        title: Title of the track.
        duration: Seconds.
        audio_url: URL of the audio file.
        image_url: URL of the cover.
        tags: The style as text.
        created_at: Aware UTC, or None if the API names no time zone.
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
        extra: Mapping[str, Any] | None = None,
    ) -> VideoRequest:
        """Return the request for a video of this track.

        Raises:
            ValidationError: An invalid field.
        """
        return VideoRequest(
            self.task_id,
            self.audio_id,
            author=author,
            domain_name=domain_name,
            callback_url=callback_url,
            extra=extra,
        )


def to_video_request(value: VideoRequest | Track) -> VideoRequest:
    """Return a request as it is, and the request for a video of a track.

    Raises:
        TypeError: It is neither.
        ValidationError: The track's ids are invalid.
    """
    if isinstance(value, Track):
        return value.video_request()
    if not isinstance(value, VideoRequest):
        raise TypeError(f"Not a request: {type(value).__name__}.")
    return value
