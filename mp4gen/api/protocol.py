"""Both sides of the API's protocol as pure functions: no I/O, no clock, no waiting.

The client side builds an `ApiRequest` and parses an `HttpResponse`; the server side parses the body
of the request and builds that of the response. Callbacks have a module of their own.
The `parse_*` functions of the client side raise the errors of `parse_response`.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import attrs

from mp4gen.errors import (
    AlreadyExistsError,
    ApiError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    ValidationError,
)
from mp4gen.models import Track, VideoDetails, VideoRequest

from . import converters
from .dialects import Dialect
from .responses import (
    HttpResponse,
    describe_response,
    dump_json,
    load_json,
    parse_response,
    parse_submit,
)

GENERATE_PATH = "/api/v1/mp4/generate"
DETAILS_PATH = "/api/v1/mp4/record-info"
TRACKS_PATH = "/api/v1/generate/record-info"

# The API requires a callback URL even if the client only polls (docs.sunoapi.org, "Create Music
# Video"). The reserved `.invalid` domain keeps results from reaching another server.
PLACEHOLDER_CALLBACK_URL = "https://mp4gen.invalid/no-callback"


@attrs.frozen(eq=False, repr=False)
class ApiRequest:
    """One HTTP request, without host and key.

    Attributes:
        method: GET or POST.
        path: Path and query below the base URL.
        body: JSON bytes, or None.
        is_submit: Whether the request costs money, so that sending it twice may cost twice.
        rate_limited: Whether the request counts towards the rate limit.
        task_id: The task that an error is about.
    """

    method: str
    path: str
    body: bytes | None = None
    is_submit: bool = False
    rate_limited: bool = True
    task_id: str | None = None


# --- client side ----------------------------------------------------------------------------


def build_create_request(request: VideoRequest, callback_url: str | None = None) -> ApiRequest:
    """Build "Create Music Video"; `callback_url` is used if the request has none."""
    url = request.callback_url or callback_url or PLACEHOLDER_CALLBACK_URL
    body = converters.unstructure_video_request(attrs.evolve(request, callback_url=url))
    return ApiRequest("POST", GENERATE_PATH, dump_json(body), is_submit=True)


def build_details_request(task_id: str, dialect: Dialect) -> ApiRequest:
    """Build "Get Music Video Details"."""
    path = f"{DETAILS_PATH}?taskId={quote(task_id, safe='')}"
    return ApiRequest("GET", path, rate_limited=dialect.polls_count_toward_limit, task_id=task_id)


def build_tracks_request(task_id: str, dialect: Dialect) -> ApiRequest:
    """Build "Get Music Generation Details"."""
    path = f"{TRACKS_PATH}?taskId={quote(task_id, safe='')}"
    return ApiRequest("GET", path, rate_limited=dialect.polls_count_toward_limit, task_id=task_id)


def build_credits_request(dialect: Dialect) -> ApiRequest:
    """Build "Get Remaining Credits"."""
    return ApiRequest("GET", dialect.credits_path, rate_limited=dialect.polls_count_toward_limit)


def build_download_url_request(url: str, dialect: Dialect) -> ApiRequest | None:
    """Build "Get Download URL" for an expired link; None if the host has no such call."""
    if dialect.download_url_path is None:
        return None
    return ApiRequest("POST", dialect.download_url_path, dump_json({"url": url}))


def parse_create(response: HttpResponse, dialect: Dialect) -> str:
    """Return the id of the new task; raise `ProtocolError` for a success without an id."""
    task_id = parse_submit(response, dialect)
    if task_id is None:
        raise _invalid_response("Response to the submit has no task id", response)
    return task_id


def parse_details(response: HttpResponse, dialect: Dialect, task_id: str) -> VideoDetails:
    """Return the state of the task; raise `NotFoundError` if there is no record (yet)."""
    data = parse_response(response, dialect, task_id)
    if data is None:
        # docs.kie.ai: an unknown or very new task has `data: null`.
        raise NotFoundError("no record of the task", code=200, task_id=task_id)
    if not isinstance(data, dict):
        raise _invalid_response(f"Details of {task_id} are not an object", response)
    details: VideoDetails = _structure_or_raise(
        converters.structure_video_details, data, task_id, response
    )
    return details


def parse_tracks(response: HttpResponse, dialect: Dialect, task_id: str) -> list[Track]:
    """Return the existing tracks of a music task; raise `NotFoundError` if it is unknown."""
    data = parse_response(response, dialect, task_id)
    if data is None:
        raise NotFoundError("no record of the music task", code=200, task_id=task_id)
    result = data.get("response") if isinstance(data, dict) else None
    items = result.get("sunoData") if isinstance(result, dict) else None
    if not isinstance(items, list):
        return []
    tracks = (
        _structure_or_raise(converters.structure_track, item, task_id, response)
        for item in items
        if isinstance(item, dict)
    )
    return [track for track in tracks if track is not None]


def parse_credits(response: HttpResponse, dialect: Dialect) -> float:
    """Return the remaining credits, a float because kie sends fractions."""
    remaining = converters.parse_float(parse_response(response, dialect))
    if remaining is None:
        raise _invalid_response("Credits are not a number", response)
    return remaining


def parse_download_url(response: HttpResponse, dialect: Dialect) -> str:
    """Return the new link, valid for 20 minutes (docs.kie.ai, "Get Download URL").

    Raises:
        Mp4GenError: As `parse_response`; anything but a URL is a `ProtocolError`.
    """
    url = converters.parse_url(parse_response(response, dialect))
    if url is None:
        raise _invalid_response("Download link is not a URL", response)
    return url


def _structure_or_raise(
    structure: Any, data: dict[str, Any], task_id: str, response: HttpResponse
) -> Any:
    try:
        return structure(data, task_id)
    except (ExceptionGroup, TypeError, ValueError):
        raise _invalid_response(f"Unreadable response about {task_id}", response) from None


def _invalid_response(problem: str, response: HttpResponse) -> ProtocolError:
    return ProtocolError(f"{problem}: {describe_response(response)}.")


# --- server side ----------------------------------------------------------------------------


def parse_create_body(body: bytes) -> VideoRequest:
    """Parse the body of "Create Music Video".

    Raises:
        InvalidRequestError: Code 400; the text names every invalid field.
    """
    data = load_json(body)
    if not isinstance(data, dict):
        raise InvalidRequestError("the body must be a JSON object", code=400)
    if not data.get("callBackUrl"):
        raise InvalidRequestError(_field_errors(data, "callBackUrl is required"), code=400)
    try:
        return converters.structure_video_request(data)
    except (ValidationError, ExceptionGroup):
        raise InvalidRequestError(_field_errors(data), code=400) from None


def build_data_response(data: Any) -> bytes:
    """Build a success with `data`."""
    return dump_json({"code": 200, "msg": "success", "data": data})


def build_create_response(task_id: str) -> bytes:
    """Build the success of "Create Music Video"."""
    return build_data_response({"taskId": task_id})


def build_details_response(details: VideoDetails) -> bytes:
    """Build the success of "Get Music Video Details"."""
    return build_data_response(converters.unstructure_video_details(details))


def build_tracks_response(task_id: str, tracks: Sequence[Track]) -> bytes:
    """Build the success of "Get Music Generation Details" for a finished music task."""
    items = [converters.unstructure_track(track) for track in tracks]
    return build_data_response(
        {
            "taskId": task_id,
            "parentMusicId": "",
            "param": "",
            "response": {"taskId": task_id, "sunoData": items},
            "status": "SUCCESS",
            "type": "GENERATE",
            "errorCode": None,
            "errorMessage": None,
        }
    )


def build_error_response(error: ApiError) -> bytes:
    """Build a refusal; that of a duplicate submit carries the task id of the first."""
    existing = error.existing_task_id if isinstance(error, AlreadyExistsError) else None
    data = {"taskId": existing} if existing else None
    return dump_json({"code": error.code, "msg": error.message, "data": data})


def _field_errors(data: dict[str, Any], *found: str) -> str:
    """Return every problem of a submit's body in one sentence, with the API's names."""
    problems = list(found)
    for field, name in converters.VIDEO_REQUEST.items():
        if name == "callBackUrl" and found:
            continue
        value = data.get(name)
        if value is not None and not isinstance(value, str):
            problems.append(f"{name} must be text, not {type(value).__name__}")
            continue
        try:
            values: Any = {"task_id": "-", "audio_id": "-", field: value}
            VideoRequest(**values)
        except ValidationError as error:
            missing = name not in data
            problems.append(f"{name} {'is required' if missing else error.problems[field]}")
    return "; ".join(problems)
