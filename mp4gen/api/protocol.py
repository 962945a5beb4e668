"""Both ends of the API's conversation, as pure functions: no I/O, no clock, no waiting.

The client's end builds an `ApiCall` and reads an `Answer`; the server's end reads the call's body
and builds the answer's. Callbacks are built, signed, verified and read here as well.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
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
    find_task_id,
    load_json,
    parse_response,
)

GENERATE_PATH = "/api/v1/mp4/generate"
DETAILS_PATH = "/api/v1/mp4/record-info"
TRACKS_PATH = "/api/v1/generate/record-info"

# The callback field is required even of those who only poll (docs.sunoapi.org, "Create Music
# Video"); the reserved `.invalid` domain keeps results from ever reaching somebody else's server.
PLACEHOLDER_CALLBACK_URL = "https://mp4gen.invalid/no-callback"


@attrs.frozen
class ApiRequest:
    """One HTTP call to make, without host or key.

    Attributes:
        method: GET or POST.
        path: the path and query below the base URL.
        body: JSON bytes, or None.
        is_submit: whether the call costs money, so that sending it twice may cost twice.
        rate_limited: whether the call counts against the rate limit.
        task_id: the task that an error is about.
    """

    method: str
    path: str
    body: bytes | None = None
    is_submit: bool = False
    rate_limited: bool = True
    task_id: str | None = None


# --- the client's end -----------------------------------------------------------------------


def build_create_request(request: VideoRequest, callback_url: str | None = None) -> ApiRequest:
    """The call of "Create Music Video"; `callback_url` stands in for one of its own."""
    url = request.callback_url or callback_url or PLACEHOLDER_CALLBACK_URL
    body = converters.unstructure_video_request(attrs.evolve(request, callback_url=url))
    return ApiRequest("POST", GENERATE_PATH, dump_json(body), is_submit=True)


def build_details_request(task_id: str, dialect: Dialect) -> ApiRequest:
    """The call of "Get Music Video Details"."""
    path = f"{DETAILS_PATH}?taskId={quote(task_id, safe='')}"
    return ApiRequest("GET", path, rate_limited=dialect.polls_count_toward_limit, task_id=task_id)


def build_tracks_request(task_id: str, dialect: Dialect) -> ApiRequest:
    """The call of "Get Music Generation Details"."""
    path = f"{TRACKS_PATH}?taskId={quote(task_id, safe='')}"
    return ApiRequest("GET", path, rate_limited=dialect.polls_count_toward_limit, task_id=task_id)


def build_credits_request(dialect: Dialect) -> ApiRequest:
    """The call of "Get Remaining Credits"."""
    return ApiRequest("GET", dialect.credits_path, rate_limited=dialect.polls_count_toward_limit)


def build_download_url_request(url: str, dialect: Dialect) -> ApiRequest | None:
    """The call of "Get Download URL" for a link that has expired; None where there is none."""
    if dialect.download_url_path is None:
        return None
    return ApiRequest("POST", dialect.download_url_path, dump_json({"url": url}))


def parse_create(response: HttpResponse, dialect: Dialect) -> str:
    """The new task's id.

    Raises:
        Mp4GenError: as `read_answer`; a success without an id is a `ProtocolError`.
    """
    task_id = find_task_id(parse_response(response, dialect))
    if task_id is None:
        raise ProtocolError(
            f"the submit was answered without a task id: {describe_response(response)}"
        )
    return task_id


def parse_details(response: HttpResponse, dialect: Dialect, task_id: str) -> VideoDetails:
    """One look at the task.

    Raises:
        Mp4GenError: as `read_answer`; no record (yet) is a `NotFoundError`.
    """
    data = parse_response(response, dialect, task_id)
    if data is None:
        # docs.kie.ai: a task that is unknown, or too fresh, has `data: null`.
        raise NotFoundError("the API has no record of the task", code=200, task_id=task_id)
    if not isinstance(data, dict):
        raise ProtocolError(
            f"the details of {task_id} are not an object: {describe_response(response)}"
        )
    details: VideoDetails = _structure_or_raise(
        converters.structure_video_details, data, task_id, response
    )
    return details


def parse_tracks(response: HttpResponse, dialect: Dialect, task_id: str) -> list[Track]:
    """The tracks of a music task that are known so far.

    Raises:
        Mp4GenError: as `read_answer`; an unknown music task is a `NotFoundError`.
    """
    data = parse_response(response, dialect, task_id)
    if data is None:
        raise NotFoundError("the API has no record of the music task", code=200, task_id=task_id)
    result = data.get("response") if isinstance(data, dict) else None
    items = result.get("sunoData") if isinstance(result, dict) else None
    if not isinstance(items, list):
        return []
    return [
        _structure_or_raise(converters.structure_track, item, task_id, response)
        for item in items
        if isinstance(item, dict)
    ]


def parse_credits(response: HttpResponse, dialect: Dialect) -> float:
    """The credits left; a fraction has been seen on kie.

    Raises:
        Mp4GenError: as `read_answer`; something that is no number is a `ProtocolError`.
    """
    remaining = converters.parse_float(parse_response(response, dialect))
    if remaining is None:
        raise ProtocolError(f"the credits are not a number: {describe_response(response)}")
    return remaining


def parse_download_url(response: HttpResponse, dialect: Dialect) -> str:
    """The fresh link, good for 20 minutes (docs.kie.ai, "Get Download URL").

    Raises:
        Mp4GenError: as `read_answer`; something that is no text is a `ProtocolError`.
    """
    data = parse_response(response, dialect)
    if not isinstance(data, str) or not data:
        raise ProtocolError(f"the download link is not a text: {describe_response(response)}")
    return data


def _structure_or_raise(
    structure: Any, data: dict[str, Any], task_id: str, response: HttpResponse
) -> Any:
    try:
        return structure(data, task_id)
    except (ExceptionGroup, TypeError, ValueError):
        raise ProtocolError(
            f"unreadable answer about {task_id}: {describe_response(response)}"
        ) from None


# --- the server's end -----------------------------------------------------------------------


def parse_create_body(body: bytes) -> VideoRequest:
    """The request in the body of "Create Music Video".

    Raises:
        InvalidRequestError: code 400; one sentence that names every field at fault.
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
    """A success with `data`."""
    return dump_json({"code": 200, "msg": "success", "data": data})


def build_create_response(task_id: str) -> bytes:
    """The success of "Create Music Video"."""
    return build_data_response({"taskId": task_id})


def build_details_response(details: VideoDetails) -> bytes:
    """The success of "Get Music Video Details"."""
    return build_data_response(converters.unstructure_video_details(details))


def build_tracks_response(task_id: str, tracks: Sequence[Track]) -> bytes:
    """The success of "Get Music Generation Details" for a finished music task."""
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
    """A refusal; that of a second submit carries the first one's task id."""
    existing = error.existing_task_id if isinstance(error, AlreadyExistsError) else None
    data = {"taskId": existing} if existing else None
    return dump_json({"code": error.code, "msg": error.message, "data": data})


def _field_errors(data: dict[str, Any], *found: str) -> str:
    """Every fault of a submit's body in one sentence, in the API's names."""
    problems = list(found)
    for field, name in converters.VIDEO_REQUEST.items():
        if name == "callBackUrl" and found:
            continue
        try:
            values: Any = {"task_id": "-", "audio_id": "-", field: data.get(name)}
            VideoRequest(**values)
        except ValidationError as error:
            missing = name not in data
            problems.append(f"{name} {'is required' if missing else error.problems[field]}")
    return "; ".join(problems)


# --- callbacks, both ends -------------------------------------------------------------------


@attrs.frozen
class VideoCallback:
    """What a callback says; who sent it is for others to judge.

    Attributes:
        task_id: the video task.
        code: 200 for a success.
        message: the sender's words.
        video_url: the link, of a success.
    """

    task_id: str
    code: int
    message: str
    video_url: str | None


def build_callback(task_id: str, video_url: str | None, *, code: int = 200) -> bytes:
    """What is posted at the end of a task (docs.sunoapi.org, "Music Video Generation Callbacks").

    Unlike all other bodies it speaks snake_case. A failure has no `video_url` and its own `code`.
    """
    message = "MP4 generated successfully." if code == 200 else "Music video generation failed"
    data = {"task_id": task_id, "video_url": video_url}
    return dump_json({"code": code, "msg": message, "data": data})


def sign_callback(task_id: str, secret: str, timestamp: int) -> dict[str, str]:
    """The two headers of a signed callback (docs.kie.ai, "Webhook Security Verification").

    Only the id and the time, in seconds since 1970, are signed: the body is not.
    """
    text = f"{task_id}.{timestamp}".encode("utf-8", "surrogatepass")
    signed = hmac.digest(secret.encode(), text, "sha256")
    signature = base64.b64encode(signed).decode("ascii")
    return {"X-Webhook-Timestamp": str(timestamp), "X-Webhook-Signature": signature}


def parse_callback(body: bytes) -> VideoCallback:
    """The notice in a callback's body; the id is read as `task_id` and as `taskId`.

    Raises:
        ProtocolError: there is none in it.
    """
    value = load_json(body)
    data = value.get("data") if isinstance(value, dict) else None
    task_id = find_task_id(data) or find_task_id(value)
    if task_id is None:
        raise ProtocolError("the callback names no task")
    code = converters.parse_int(value.get("code"))
    url = data.get("video_url") or data.get("videoUrl") if isinstance(data, dict) else None
    return VideoCallback(
        task_id,
        code if code is not None else 200,
        str(value.get("msg") or "")[:500],
        url if isinstance(url, str) else None,
    )


def verify_signature(
    headers: Mapping[str, str], task_id: str, secret: str, now: float, tolerance: float = 300.0
) -> bool:
    """Whether a callback about `task_id` carries a fresh signature (docs.kie.ai, as above).

    Args:
        headers: of the callback, in lower case.
        task_id: from its body.
        secret: the account's webhook key.
        now: seconds since 1970.
        tolerance: seconds that the sender's clock may be off, either way; no page names any.
    """
    timestamp = headers.get("x-webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 20):
        return False
    expected = sign_callback(task_id, secret, int(timestamp))["X-Webhook-Signature"]
    signature = headers.get("x-webhook-signature", "").encode("utf-8", "replace")
    return (
        hmac.compare_digest(expected.encode(), signature) and abs(now - int(timestamp)) <= tolerance
    )
