"""Builds the API's OpenAPI document from the tables that the code uses."""

from typing import Any

from mp4gen.api import converters
from mp4gen.api.responses import DUPLICATES_HEADER, DUPLICATES_REJECTED
from mp4gen.models import MAX_TEXT_LENGTH, VideoStatus

from .openapi_options import NON_BLANK, option_schemas
from .operations import OPERATIONS, Operation
from .responses import DEFAULT_MESSAGES

_TEXT = {"type": "string"}
_NOT_EMPTY = {**_TEXT, "minLength": 1}
_INTEGER = {"type": "integer"}
_ID = {**_TEXT, "pattern": rf"^{NON_BLANK}$"}
# An empty text means the same as null.
_LABEL = {
    "type": ["string", "null"],
    "maxLength": MAX_TEXT_LENGTH,
    "pattern": rf"^({NON_BLANK})?$",
}
_HTTP_URL = {**_TEXT, "format": "uri", "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]"}
_REQUIRED = ("task_id", "audio_id", "callback_url")
_REQUEST = {
    "task_id": {**_ID, "description": "The track's folder."},
    "audio_id": {**_ID, "description": "The track's file name, without its extension."},
    "callback_url": {**_HTTP_URL, "description": "Receives a callback when the task finishes."},
    "author": {**_LABEL, "description": "Shown at the beginning."},
    "domain_name": {**_LABEL, "description": "The watermark."},
}
_DETAILS: dict[str, dict[str, Any]] = {
    "task_id": _TEXT,
    "music_task_id": _TEXT,
    "audio_id": _TEXT,
    "callback_url": _TEXT,
    "status": {**_TEXT, "enum": [status.value for status in VideoStatus]},
    "created_at": {**_INTEGER, "description": "Milliseconds since 1970."},
    "completed_at": {"type": ["integer", "null"], "description": "Milliseconds since 1970."},
    "error_code": {"type": ["integer", "null"]},
    "error_message": {"type": ["string", "null"]},
}


def document(version: str, *, requires_key: bool) -> dict[str, Any]:
    """Return the document.

    Args:
        version: The version of the package.
        requires_key: True if clients need a key.
    """
    operations = {op.path: {op.method.lower(): _operation(op)} for op in OPERATIONS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mp4gen",
            "version": version,
            "description": "Turns the music of one folder into MP4 videos.",
        },
        "paths": {
            **operations,
            "/files/{name}": {"get": _file_operation()},
            "/music/{name}": {
                "get": _link_operation("music", "The music file of a track", "audio/*")
            },
            "/covers/{name}": {
                "get": _link_operation("cover", "The cover of a track", "image/jpeg")
            },
            "/healthz": {"get": _health_operation()},
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"VideoRequest": _request_schema()},
        },
        # A server without a key accepts any key, and none.
        "security": [{"bearer": []}] if requires_key else [{}, {"bearer": []}],
    }


# --- the vendor's operations -----------------------------------------------------------------


def _operation(op: Operation) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": op.name,
        "summary": op.summary,
        "description": op.description,
        "responses": {"200": _response(op)},
    }
    if op.method == "POST":
        schema = {"$ref": "#/components/schemas/VideoRequest"}
        operation["requestBody"] = {"required": True, **_json(schema)}
        operation["responses"]["413"] = _response(op)
    if op.task_id_description is not None:
        query = {"name": "taskId", "in": "query", "required": True, "schema": _NOT_EMPTY}
        operation["parameters"] = [{**query, "description": op.task_id_description}]
    return operation


def _response(op: Operation) -> dict[str, Any]:
    meanings = "; ".join(f"{code}: {DEFAULT_MESSAGES[code]}" for code in op.codes)
    code = {**_INTEGER, "enum": list(op.codes), "description": meanings}
    wait = {"schema": {**_INTEGER, "minimum": 1}, "description": "Seconds until the next poll."}
    duplicates = {
        "schema": {"const": DUPLICATES_REJECTED},
        "description": "A second submit of a video gets 409 and the id of the first task, so that "
        "a submit whose response was lost can be sent again.",
    }
    return {
        "description": "The `code` in the body is the result.",
        "headers": {"Retry-After": wait, DUPLICATES_HEADER: duplicates},
        **_json(_object({"code": code, "msg": _TEXT, "data": _DATA[op.name]})),
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _request_schema() -> dict[str, Any]:
    properties = {name: _REQUEST[field] for field, name in converters.VIDEO_REQUEST.items()}
    properties |= option_schemas()
    required = [converters.VIDEO_REQUEST[field] for field in _REQUIRED]
    return {"type": "object", "properties": properties, "required": required}


def _details_schema() -> dict[str, Any]:
    properties = {converters.VIDEO_DETAILS[field]: schema for field, schema in _DETAILS.items()}
    video = {converters.VIDEO_DETAILS["video_url"]: {**_TEXT, "format": "uri"}}
    trouble = {"type": ["string", "null"], "description": "Why the task is tried again later."}
    warnings = {"type": "array", "items": _TEXT, "description": "What to know about the video."}
    return _object(
        {
            **properties,
            "response": _or_null(_object(video)),
            "trouble": trouble,
            "warnings": warnings,
        }
    )


def _tracks_schema() -> dict[str, Any]:
    link = {**_TEXT, "format": "uri", "description": "A signed link, valid for 15 days."}
    track = {
        "audio_id": _TEXT,
        "title": {"type": ["string", "null"]},
        "duration": {"type": ["number", "null"], "description": "Seconds of music."},
        "audio_url": link,
        "image_url": link,
        "tags": {"type": "null"},
        "created_at": {"type": ["integer", "null"], "description": "Milliseconds since 1970."},
    }
    items = _object({converters.TRACK[field]: schema for field, schema in track.items()})
    response = _object({"taskId": _TEXT, "sunoData": {"type": "array", "items": items}})
    constants = {"parentMusicId": "", "param": "", "status": "SUCCESS", "type": "GENERATE"}
    errors: dict[str, Any] = {key: {"type": "null"} for key in ("errorCode", "errorMessage")}
    fields = {name: {"const": value} for name, value in constants.items()}
    return _object({"taskId": _TEXT, "response": response, **fields, **errors})


_DATA: dict[str, dict[str, Any]] = {
    "generate": _or_null(_object({"taskId": _TEXT})),
    "details": _or_null(_details_schema()),
    "tracks": _or_null(_tracks_schema()),
    "credits": _or_null({"type": "number"}),
    "kie_credits": _or_null({"type": "number"}),
}


# --- files and health -----------------------------------------------------------------------


def _file_operation() -> dict[str, Any]:
    video: dict[str, Any] = {"content": {"video/mp4": {}}}
    name = {"name": "name", "in": "path", "required": True, "schema": _NOT_EMPTY}
    part = {"name": "Range", "in": "header", "schema": _TEXT}
    not_found = _object({"code": {"const": 404}, "msg": _TEXT, "data": {"type": "null"}})
    return {
        "operationId": "video",
        "summary": "A finished video",
        "description": "`videoUrl` of the details; its unguessable name is the only permission.",
        "security": [],
        "parameters": [
            {**name, "description": "The last part of `videoUrl`."},
            {**part, "description": "Bytes as in RFC 9110; an invalid range is ignored."},
        ],
        "responses": {
            "200": {"description": "The complete file.", **video},
            "206": {"description": "The requested part.", **video},
            "302": {"description": "The file is on the host of the bucket (`--file-links`)."},
            "304": {"description": "The client's copy is current."},
            "404": {"description": "Unknown or expired file.", **_json(not_found)},
            "503": {"description": "The bucket cannot be used now."},
            "412": {"description": "The file is another version than the requested one."},
            "416": {"description": "The range is beyond the end of the file."},
        },
    }


def _link_operation(name: str, summary: str, media_type: str) -> dict[str, Any]:
    content: dict[str, Any] = {"content": {media_type: {}}}
    error = _json(_object({"code": _INTEGER, "msg": _TEXT, "data": {"type": "null"}}))
    query = {"in": "query", "required": True, "schema": _NOT_EMPTY}
    fields = ("taskId", "audioId", "expires", "signature")
    path = {"name": "name", "in": "path", "required": True, "schema": _NOT_EMPTY}
    return {
        "operationId": name,
        "summary": summary,
        "description": "A link of `sunoData`; its signature is the only permission.",
        "security": [],
        "parameters": [path, *({"name": field, **query} for field in fields)],
        "responses": {
            "200": {"description": "The complete file.", **content},
            "206": {"description": "The requested part of the music.", **content},
            "404": {"description": "Unknown or expired link.", **error},
            "416": {"description": "The range is beyond the end of the file."},
            "503": {"description": "The music cannot be read now.", **error},
        },
    }


def _health_operation() -> dict[str, Any]:
    status = {"type": "string", "enum": ["ok", "maintenance", "disk full", "waiting"]}
    trouble = {"type": ["string", "null"], "description": "Why no queued task is rendered."}
    numbers = dict.fromkeys(("queued", "rendering", "free_bytes"), _INTEGER)
    body = _json(_object({"status": status, "trouble": trouble, "version": _TEXT, **numbers}))
    return {
        "operationId": "health",
        "summary": "Health of the server",
        "security": [],
        "responses": {
            "200": {"description": "New tasks are accepted.", **body},
            "503": {"description": "No new tasks are accepted; `status` says why.", **body},
        },
    }
