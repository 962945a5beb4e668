"""Each value has a JSON-ready form with all its fields."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

import mp4gen
from mp4gen.models import Value

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REQUEST = mp4gen.VideoRequest("music", "track", author="Ada")
EXTRA = {"look": "ring", "deep": {"list": [1, 2.5, None, {"x": True}]}}
VIDEO = mp4gen.Video("video", "https://files.example/v.mp4", "track", TIME, expires_at=TIME)
RAW = {"musicId": "m", "odd": [1, {"deep": math.inf}], "none": None}
DETAILS = mp4gen.VideoDetails("video", status=mp4gen.VideoStatus.SUCCESS, raw=RAW)
ERROR = mp4gen.TransportError("Request failed.", sent=False)
LINE = mp4gen.LyricLine(1.5, None, "A", (mp4gen.LyricWord(1.5, "A"),))
VALUES: list[tuple[Value, dict[str, Any]]] = [
    (REQUEST, {"task_id": "music", "author": "Ada", "domain_name": None, "extra": None}),
    (mp4gen.VideoRequest("m", "a", extra=EXTRA), {"extra": EXTRA}),
    (DETAILS, {"status": "SUCCESS", "raw": {**RAW, "odd": [1, {"deep": None}]}}),
    (mp4gen.VideoDetails("video", status="NEW"), {"status": "NEW", "raw": {}}),
    (VIDEO, {"created_at": "2026-01-02T03:04:05+00:00", "completed_at": None, "adopted": False}),
    (mp4gen.Track("music", "track", duration=3.5), {"duration": 3.5, "title": None}),
    (
        mp4gen.Conversion(REQUEST, "video", VIDEO, Path("v.mp4"), ERROR),
        {
            "request": REQUEST.to_dict(),
            "video": VIDEO.to_dict(),
            "path": "v.mp4",
            "error": {"type": "TransportError", "message": "Request failed."},
        },
    ),
    (mp4gen.RunSummary(1, 2, 3, "stop"), {"succeeded": 1, "stop_reason": "stop"}),
    (mp4gen.VideoCallback("video", 200, "ok", None), {"code": 200, "video_url": None}),
    (
        mp4gen.TimestampedLyrics("music", "track", (LINE,)),
        {
            "lines": [
                {"start": 1.5, "end": None, "text": "A", "words": [{"start": 1.5, "text": "A"}]}
            ]
        },
    ),
]


def test_list_holds_every_value() -> None:
    """A new public value needs the method, and an example here."""
    public = [getattr(mp4gen, name) for name in mp4gen.__all__]
    settings = {mp4gen.RateLimit, mp4gen.Polling, mp4gen.Retry, mp4gen.Dialect}
    parts_of_values = {mp4gen.LyricLine, mp4gen.LyricWord}
    values = {
        kind
        for kind in public
        if attrs.has(kind)
        and not issubclass(kind, mp4gen.Event)
        and kind not in settings | parts_of_values
    }

    assert {type(value) for value, _ in VALUES} == values


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda v: type(v).__name__)
def test_to_dict_is_ready_for_json(value: Value, expected: dict[str, Any]) -> None:
    """It has all fields, in plain types that JSON keeps."""
    found = value.to_dict()

    assert list(found) == [field.name for field in attrs.fields(type(value))]  # type: ignore[arg-type]
    assert found.items() >= expected.items()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert not isinstance(found.get("status"), mp4gen.VideoStatus)


@pytest.mark.parametrize("value", [value for value, _ in VALUES], ids=lambda v: type(v).__name__)
def test_value_has_no_room_for_other_attributes(value: Value) -> None:
    """The base class keeps the slots of its children."""
    assert not hasattr(value, "__dict__")
