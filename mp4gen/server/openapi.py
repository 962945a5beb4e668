"""The API's contract as an OpenAPI document, made from the tables that the code itself uses."""

from __future__ import annotations

from typing import Any

from mp4gen import wire
from mp4gen.models import MAX_TEXT, VideoStatus

from .answers import CODES
from .calls import CALLS, Call

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer"}
_REQUIRED = ("task_id", "audio_id", "callback_url")
_REQUEST = {
    "task_id": {**_TEXT, "minLength": 1, "description": "The track's folder."},
    "audio_id": {**_TEXT, "minLength": 1, "description": "The track's file, without its ending."},
    "callback_url": {**_TEXT, "format": "uri", "description": "Told the end of the task."},
    "author": {**_TEXT, "maxLength": MAX_TEXT, "description": "Shown at the beginning."},
    "domain_name": {**_TEXT, "maxLength": MAX_TEXT, "description": "The watermark."},
}
_DETAILS: dict[str, dict[str, Any]] = {
    "task_id": _TEXT,
    "music_task_id": _TEXT,
    "audio_id": _TEXT,
    "callback_url": _TEXT,
    "status": {**_TEXT, "enum": [status.value for status in VideoStatus]},
    "created_at": {**_WHOLE, "description": "Milliseconds since 1970."},
    "completed_at": {"type": ["integer", "null"], "description": "Milliseconds since 1970."},
    "error_code": {"type": ["integer", "null"]},
    "error_message": {"type": ["string", "null"]},
}


def document(version: str) -> dict[str, Any]:
    """The whole document, for this version of the package."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mp4gen",
            "version": version,
            "description": "Turns the music of one folder into MP4 videos.",
        },
        "paths": {call.path: {call.method.lower(): _operation(call)} for call in CALLS},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"VideoRequest": _request()},
        },
        # A server without a key takes calls without one too.
        "security": [{}, {"bearer": []}],
    }


def _operation(call: Call) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name,
        "summary": call.title,
        "description": call.about,
        "responses": {"200": _answer(call)},
    }
    if call.method == "POST":
        schema = {"$ref": "#/components/schemas/VideoRequest"}
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        operation["requestBody"] = body
        operation["responses"]["413"] = _answer(call)
    if call.task_id is not None:
        query = {"name": "taskId", "in": "query", "required": True, "schema": _TEXT}
        operation["parameters"] = [{**query, "description": call.task_id}]
    return operation


def _answer(call: Call) -> dict[str, Any]:
    meanings = "; ".join(f"{code}: {CODES[code]}" for code in call.codes)
    schema = {
        "type": "object",
        "required": ["code", "msg", "data"],
        "properties": {
            "code": {**_WHOLE, "enum": list(call.codes), "description": meanings},
            "msg": _TEXT,
            "data": _DATA[call.name],
        },
    }
    wait = {"schema": {**_WHOLE, "minimum": 1}, "description": "Seconds until the next look."}
    return {
        "description": "The `code` in the body says what came of it.",
        "headers": {"Retry-After": wait},
        "content": {"application/json": {"schema": schema}},
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _request() -> dict[str, Any]:
    properties = {name: _REQUEST[field] for field, name in wire.VIDEO_REQUEST.items()}
    required = [wire.VIDEO_REQUEST[field] for field in _REQUIRED]
    return {"type": "object", "properties": properties, "required": required}


def _details() -> dict[str, Any]:
    properties = {wire.VIDEO_DETAILS[field]: schema for field, schema in _DETAILS.items()}
    video = {wire.VIDEO_DETAILS["video_url"]: {**_TEXT, "format": "uri"}}
    return _object({**properties, "response": _or_null(_object(video))})


def _tracks() -> dict[str, Any]:
    track = {"audio_id": _TEXT, "title": {"type": ["string", "null"]}}
    items = _object({wire.TRACK[field]: schema for field, schema in track.items()})
    response = _object({"taskId": _TEXT, "sunoData": {"type": "array", "items": items}})
    return _object({"taskId": _TEXT, "status": {"const": "SUCCESS"}, "response": response})


_DATA: dict[str, dict[str, Any]] = {
    "generate": _or_null(_object({"taskId": _TEXT})),
    "details": _or_null(_details()),
    "tracks": _or_null(_tracks()),
    "credits": {"anyOf": [_NUMBER, {"type": "null"}]},
}
