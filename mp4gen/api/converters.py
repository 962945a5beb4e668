"""Models to JSON values and back: one explicit table per direction; no bytes, no HTTP, no errors.

Names on the wire are the vendor's (`callBackUrl` in the request, `callbackUrl` in the details), so
no case converter could make them. Reading is strict about what decides (ids, the status) and
forgiving about all else: a misread side field must never cost a finished video.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from mp4gen import models
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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def structure_video_request(data: Mapping[str, Any]) -> VideoRequest:
    """The request in `data`, in the API's names.

    Raises:
        ValidationError: a value that cannot be right.
        cattrs.BaseValidationError: a missing field or a wrong type.
    """
    # An empty optional text means "none", as it does to the vendor.
    values = {name: value for name, value in data.items() if value not in (None, "")}
    return _converter().structure(values, VideoRequest)


def unstructure_video_request(request: VideoRequest) -> dict[str, Any]:
    """The request as the API wants it; what was not given is left out."""
    values = _converter().unstructure(request)
    return {name: value for name, value in values.items() if value is not None}


def structure_video_details(data: Mapping[str, Any], task_id: str) -> VideoDetails:
    """The details in any of the four published shapes; `task_id` is what was asked for."""
    response, task_id_value = data.get("response"), data.get("taskId")
    url = response.get("videoUrl") if isinstance(response, Mapping) else None
    flat = {
        **data,
        "taskId": task_id_value if isinstance(task_id_value, str) and task_id_value else task_id,
        "audioId": data.get("audioId") or data.get("musicId"),
        "videoUrl": url,
        "raw": data,
    }
    return _converter().structure(flat, VideoDetails)


def unstructure_video_details(details: VideoDetails) -> dict[str, Any]:
    """The details in the shape of docs.sunoapi.org, "Get Music Video Details"."""
    values: dict[str, Any] = _converter().unstructure(details)
    url = values.pop("videoUrl")
    values.pop("musicIndex")
    return {**values, "response": {"videoUrl": url} if url else None}


def structure_track(data: Mapping[str, Any], task_id: str) -> Track:
    """One track of the music task `task_id`.

    Raises:
        cattrs.BaseValidationError: a track without an id.
    """
    return _converter().structure({**data, "taskId": task_id}, Track)


def unstructure_track(track: Track) -> dict[str, Any]:
    """The track as an item of `response.sunoData`."""
    values: dict[str, Any] = _converter().unstructure(track)
    del values["taskId"]
    return values


def parse_int(value: object) -> int | None:
    """`value` as an int where it is one, also as text; None for all else."""
    if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def parse_float(value: Any) -> float | None:
    """`value` as a finite float where it is one, also as text; None for all else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _strict_str(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, not {type(value).__name__}")
    return value


def _optional_str(value: Any, _: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _parse_status(value: Any, _: Any) -> VideoStatus | str:
    text = "" if value is None else str(value).strip()
    # A published schema text reads "SUCCESS-Success" (docs.kie.ai, "Get Music Video Details").
    known = text.partition("-")[0].upper()
    return VideoStatus(known) if known in VideoStatus.__members__ else text


def _parse_time(value: Any, _: Any) -> datetime | None:
    """Epoch milliseconds, as number or digits, or ISO text that names its zone; else None."""
    if isinstance(value, str) and not value.strip().isdecimal():
        return _parse_iso_time(value)
    number = parse_int(value)
    if number is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=number)
    except OverflowError:
        return None


def _parse_iso_time(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text.strip())
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _to_epoch_milliseconds(value: datetime) -> int:
    return round(value.timestamp() * 1000)


def _parse_error_code(value: Any, _: Any) -> int | None:
    # Older pages show 0 and "" for "no error".
    return parse_int(value) or None


def _parse_index(value: Any, _: Any) -> int | None:
    return parse_int(value)


def _parse_seconds(value: Any, _: Any) -> float | None:
    return parse_float(value)


def _register_video_request(converter: cattrs.Converter) -> None:
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

    names: Any = {field: override(rename=name) for field, name in VIDEO_REQUEST.items()}
    converter.register_structure_hook(
        VideoRequest, make_dict_structure_fn(VideoRequest, converter, **names)
    )
    converter.register_unstructure_hook(
        VideoRequest, make_dict_unstructure_fn(VideoRequest, converter, **names)
    )


def _register_model(
    converter: cattrs.Converter, model: Any, names: dict[str, str], hooks: dict[str, Any]
) -> None:
    """Every field of `model` by its name and its own reader; all others are optional texts."""
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

    structure_overrides: Any = {
        field: override(rename=name, struct_hook=hooks.get(field, _optional_str))
        for field, name in names.items()
    }
    unstructure_overrides: Any = {field: override(rename=name) for field, name in names.items()}
    if "raw" in hooks:
        structure_overrides["raw"] = override(struct_hook=hooks["raw"])
        unstructure_overrides["raw"] = override(omit=True)
    converter.register_structure_hook(
        model, make_dict_structure_fn(model, converter, **structure_overrides)
    )
    converter.register_unstructure_hook(
        model, make_dict_unstructure_fn(model, converter, **unstructure_overrides)
    )


def _identity(value: Any, _: Any) -> Any:
    return value


@functools.cache
def _converter() -> cattrs.Converter:
    """Built once, by the first body that is read or written: both it and cattrs cost a while."""
    import cattrs

    for model in (VideoRequest, VideoDetails, Track):
        # The package claims these classes, and its own names are not those of their annotations.
        attrs.resolve_types(model, vars(models))
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _strict_str)
    converter.register_unstructure_hook(datetime, _to_epoch_milliseconds)
    _register_video_request(converter)
    details: dict[str, Any] = {
        "task_id": _strict_str,
        "status": _parse_status,
        "error_code": _parse_error_code,
    }
    details |= {"music_index": _parse_index, "created_at": _parse_time, "completed_at": _parse_time}
    _register_model(converter, VideoDetails, VIDEO_DETAILS, details | {"raw": _identity})
    track: dict[str, Any] = {"task_id": _strict_str, "audio_id": _strict_str}
    track |= {"duration": _parse_seconds, "created_at": _parse_time}
    _register_model(converter, Track, TRACK, track)
    return converter
