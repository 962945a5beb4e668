"""The API's contract as an OpenAPI document, made from the tables that the code itself uses."""

from __future__ import annotations

from typing import Any

from mp4gen.api import converters
from mp4gen.models import MAX_TEXT_LENGTH, VideoStatus

from .operations import CALLS, Call
from .responses import CODES

_TEXT = {"type": "string"}
_NOT_EMPTY = {**_TEXT, "minLength": 1}
_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer"}
# Anything but control characters, and not only space.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
_SAYS_SOMETHING = rf"[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*"
_ID = {**_TEXT, "pattern": rf"^{_SAYS_SOMETHING}$"}
# An empty text means none, as null does.
_LABEL = {
    "type": ["string", "null"],
    "maxLength": MAX_TEXT_LENGTH,
    "pattern": rf"^({_SAYS_SOMETHING})?$",
}
_ADDRESS = {**_TEXT, "format": "uri", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]"}
_REQUIRED = ("task_id", "audio_id", "callback_url")
_REQUEST = {
    "task_id": {**_ID, "description": "The track's folder."},
    "audio_id": {**_ID, "description": "The track's file, without its ending."},
    "callback_url": {**_ADDRESS, "description": "Told the end of the task."},
    "author": {**_LABEL, "description": "Shown at the beginning."},
    "domain_name": {**_LABEL, "description": "The watermark."},
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


def document(version: str, *, locked: bool) -> dict[str, Any]:
    """The whole document.

    Args:
        version: of the package.
        locked: whether callers need a key.
    """
    calls = {call.path: {call.method.lower(): _operation(call)} for call in CALLS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mp4gen",
            "version": version,
            "description": "Turns the music of one folder into MP4 videos.",
        },
        "paths": {**calls, "/files/{name}": {"get": _file()}, "/healthz": {"get": _health()}},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"VideoRequest": _request()},
        },
        # A server without a key takes calls with any, and with none.
        "security": [{"bearer": []}] if locked else [{}, {"bearer": []}],
    }


# --- the vendor's calls ---------------------------------------------------------------------


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
        query = {"name": "taskId", "in": "query", "required": True}
        operation["parameters"] = [{**query, "schema": _NOT_EMPTY, "description": call.task_id}]
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
    properties = {name: _REQUEST[field] for field, name in converters.VIDEO_REQUEST.items()}
    required = [converters.VIDEO_REQUEST[field] for field in _REQUIRED]
    return {"type": "object", "properties": properties, "required": required}


def _details() -> dict[str, Any]:
    properties = {converters.VIDEO_DETAILS[field]: schema for field, schema in _DETAILS.items()}
    video = {converters.VIDEO_DETAILS["video_url"]: {**_TEXT, "format": "uri"}}
    return _object({**properties, "response": _or_null(_object(video))})


def _tracks() -> dict[str, Any]:
    track = {"audio_id": _TEXT, "title": {"type": ["string", "null"]}}
    items = _object({converters.TRACK[field]: schema for field, schema in track.items()})
    response = _object({"taskId": _TEXT, "sunoData": {"type": "array", "items": items}})
    return _object({"taskId": _TEXT, "status": {"const": "SUCCESS"}, "response": response})


_DATA: dict[str, dict[str, Any]] = {
    "generate": _or_null(_object({"taskId": _TEXT})),
    "details": _or_null(_details()),
    "tracks": _or_null(_tracks()),
    "credits": {"anyOf": [_NUMBER, {"type": "null"}]},
}


# --- what a finished task leads to, and the server itself -----------------------------------


def _file() -> dict[str, Any]:
    video: dict[str, Any] = {"content": {"video/mp4": {}}}
    name = {"name": "name", "in": "path", "required": True, "schema": _NOT_EMPTY}
    part = {"name": "Range", "in": "header", "schema": _TEXT}
    return {
        "operationId": "video",
        "summary": "A finished video",
        "description": "`videoUrl` of the details; its unguessable name is all the permission.",
        "security": [],
        "parameters": [
            {**name, "description": "As `videoUrl` ends."},
            {**part, "description": "Which bytes, as in RFC 9110; anything else is left out."},
        ],
        "responses": {
            "200": {"description": "The whole file.", **video},
            "206": {"description": "The part that was asked for.", **video},
            "304": {"description": "It is still what the caller has."},
            "404": {"description": "There is no such file, or it has expired.", **_refusal(404)},
            "412": {"description": "It is not the version that the caller wants."},
            "416": {"description": "The range lies beyond its end."},
        },
    }


def _refusal(code: int) -> dict[str, Any]:
    schema = _object({"code": {"const": code}, "msg": _TEXT, "data": {"type": "null"}})
    return {"content": {"application/json": {"schema": schema}}}


def _health() -> dict[str, Any]:
    kinds = {"type": "string", "enum": ["ok", "maintenance", "disk full"]}
    schema = _object(
        {
            "status": kinds,
            "version": _TEXT,
            "waiting": _WHOLE,
            "rendering": _WHOLE,
            "free_bytes": _WHOLE,
        }
    )
    body = {"content": {"application/json": {"schema": schema}}}
    return {
        "operationId": "health",
        "summary": "How the server is",
        "security": [],
        "responses": {
            "200": {"description": "New tasks are taken.", **body},
            "503": {"description": "None is; `status` says why.", **body},
        },
    }
