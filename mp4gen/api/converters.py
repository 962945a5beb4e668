"""Models to JSON values and back, with one explicit table of names for each model.

The API's names are irregular (`callBackUrl` in the request, `callbackUrl` in the details), so no
case converter could make them. Parsing is strict about ids and the status and lenient about all
other fields: an unreadable detail must not make a finished video unavailable.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from mp4gen import extra_fields, models
from mp4gen.addresses import parse_http_url
from mp4gen.models import Track, VideoDetails, VideoRequest, VideoStatus

if TYPE_CHECKING:
    import cattrs

# docs.sunoapi.org, "Create Music Video".
VIDEO_REQUEST = {
    "task_id": "taskId",
    "audio_id": "audioId",
    "callback_url": "callBackUrl",
    "author": "author",
    "domain_name": "domainName",
}
# docs.sunoapi.org and docs.kie.ai, "Get Music Video Details"; `videoUrl` sits in `response`.
VIDEO_DETAILS = {
    "task_id": "taskId",
    "music_task_id": "musicId",
    "audio_id": "audioId",
    "music_index": "musicIndex",
    "callback_url": "callbackUrl",
    "status": "successFlag",
    "video_url": "videoUrl",
    "created_at": "createTime",
    "completed_at": "completeTime",
    "error_code": "errorCode",
    "error_message": "errorMessage",
}
# docs.sunoapi.org, "Get Music Generation Details", one item of `response.sunoData`.
TRACK = {
    "task_id": "taskId",
    "audio_id": "id",
    "title": "title",
    "duration": "duration",
    "audio_url": "audioUrl",
    "image_url": "imageUrl",
    "tags": "tags",
    "created_at": "createTime",
}
_STATUSES = {status.value: status for status in VideoStatus}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def prepare_converter() -> None:
    """Build the converter, which a first call could not do without free file descriptors."""
    _structure_details()


def structure_video_request(data: Mapping[str, Any]) -> VideoRequest:
    """Return the request in `data`, which has the API's names.

    Further fields become its `extra`, unless a request could not have them.

    Raises:
        ValidationError: An invalid value.
        cattrs.BaseValidationError: A missing field or a wrong type.
    """
    # As for the vendor, an empty text means None.
    values = {name: value for name, value in data.items() if value not in (None, "")}
    names = VIDEO_REQUEST.values()
    known = {name: value for name, value in values.items() if name in names}
    # As for the vendor, other fields are no reason to refuse a request. A misspelled name of the
    # API's own is one of them.
    extra = {
        name: value
        for name, value in values.items()
        if name not in names and extra_fields.problem({name: value}) is None
    }
    return _converter().structure(known | {"extra": extra}, VideoRequest)


def unstructure_video_request(request: VideoRequest) -> dict[str, Any]:
    """Return the request with the API's names, without fields that are None."""
    values = _converter().unstructure(request)
    own = {name: value for name, value in values.items() if value is not None}
    return own if request.extra is None else own | extra_fields.thaw(request.extra)


def structure_video_details(data: Mapping[str, Any], task_id: str) -> VideoDetails:
    """Return the details of `task_id` from any of the four published shapes."""
    response = data.get("response")
    flat = {
        **data,
        "taskId": parse_id(data.get("taskId")) or task_id,
        "audioId": parse_id(data.get("audioId")) or parse_id(data.get("musicId")),
        "videoUrl": response.get("videoUrl") if isinstance(response, dict) else None,
        "raw": data,
    }
    details: VideoDetails = _structure_details()(flat, VideoDetails)
    return details


def unstructure_video_details(details: VideoDetails) -> dict[str, Any]:
    """Return the details in the shape of docs.sunoapi.org, "Get Music Video Details"."""
    values: dict[str, Any] = _converter().unstructure(details)
    url = values.pop("videoUrl")
    values.pop("musicIndex")
    return {**values, "response": {"videoUrl": url} if url else None}


def structure_track(data: Mapping[str, Any], task_id: str) -> Track | None:
    """Return one track of the music task `task_id`, or None if it has no id."""
    if parse_id(data.get("id")) is None:
        return None
    return _converter().structure({**data, "taskId": task_id}, Track)


def unstructure_track(track: Track) -> dict[str, Any]:
    """Return the track as an item of `response.sunoData`."""
    values: dict[str, Any] = _converter().unstructure(track)
    del values["taskId"]
    return values


# The second argument of these functions is the type that cattrs passes to a hook.
def parse_int(value: object, _: object = None) -> int | None:
    """Return a whole number, also from text; None for other values."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def parse_id(value: object, _: object = None) -> str | None:
    """Return an id, also from a whole number; None if it could not be sent back to the API."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1e100:
        return str(value)
    text = value.strip() if isinstance(value, str) else ""
    return text if text and text.isprintable() and "\ufffd" not in text else None


def parse_url(value: object, _: object = None) -> str | None:
    """Return an absolute http(s) URL without the spaces around it; None for other values."""
    url = value.strip() if isinstance(value, str) else ""
    return url if url and "\ufffd" not in url and parse_http_url(url) else None


def parse_float(value: Any, _: object = None) -> float | None:
    """Return a finite number, also from text; None for other values."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _strict_str(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"Not a string: {type(value).__name__}.")
    return value


def _optional_str(value: Any, _: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _parse_status(value: Any, _: Any) -> VideoStatus | str:
    text = "" if value is None else str(value).strip()
    # A published schema text reads "SUCCESS-Success" (docs.kie.ai, "Get Music Video Details").
    return _STATUSES.get(text.partition("-")[0].upper(), text)


def _parse_time(value: Any, _: Any) -> datetime | None:
    """Parse epoch milliseconds or an ISO text with a time zone; return None for other values."""
    if isinstance(value, str) and not value.strip().isdecimal():
        return _parse_iso_time(value)
    number = parse_int(value)
    if number is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=number)
    except OverflowError:
        return None


def _unchanged(value: Any, _: Any) -> Any:
    return value


def _parse_iso_time(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text.strip())
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _register(converter: cattrs.Converter, model: Any, names: dict[str, str], **hooks: Any) -> None:
    """Register the names of the fields of `model`, and the hooks that structure them."""
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

    structure: Any = {
        field: override(rename=names.get(field), struct_hook=hooks.get(field))
        for field in {**names, **hooks}
    }
    unstructure: Any = {
        field: override(rename=names.get(field), omit=field not in names) for field in structure
    }
    converter.register_structure_hook(model, make_dict_structure_fn(model, converter, **structure))
    converter.register_unstructure_hook(
        model, make_dict_unstructure_fn(model, converter, **unstructure)
    )


@functools.cache
def _structure_details() -> Callable[[Any, Any], Any]:
    """Return the function that structures details: most calls are polls, and need it alone."""
    return _converter().get_structure_hook(VideoDetails)


@functools.cache
def _converter() -> cattrs.Converter:
    """Return the converter. The first use builds it: importing cattrs takes time."""
    import cattrs

    for model in (VideoRequest, VideoDetails, Track):
        # Their `__module__` is the package, which lacks the names in their annotations.
        attrs.resolve_types(model, vars(models))
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _strict_str)
    converter.register_unstructure_hook(datetime, lambda time: round(time.timestamp() * 1000))
    _register(converter, VideoRequest, VIDEO_REQUEST, extra=_unchanged)
    _register(
        converter,
        VideoDetails,
        VIDEO_DETAILS,
        **dict.fromkeys(VIDEO_DETAILS, _optional_str)
        | {
            "task_id": _unchanged,
            "music_task_id": parse_id,
            "audio_id": _unchanged,
            "video_url": parse_url,
            "status": _parse_status,
            # Older pages show 0 and "" if there is no error.
            "error_code": lambda value, _: parse_int(value) or None,
            "music_index": parse_int,
            "created_at": _parse_time,
            "completed_at": _parse_time,
            "raw": _unchanged,
        },
    )
    _register(
        converter,
        Track,
        TRACK,
        **dict.fromkeys(TRACK, _optional_str)
        | {
            "task_id": _strict_str,
            "audio_id": parse_id,
            "audio_url": parse_url,
            "image_url": parse_url,
            "duration": parse_float,
            "created_at": _parse_time,
        },
    )
    return converter
