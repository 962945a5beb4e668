"""Both ends of the API's conversation, as pure functions: no I/O, no clock, no waiting.

The client's end builds an `ApiCall` and reads an `Answer`; the server's end reads the call's body
and builds the answer's. `read_answer` is the whole contract of an answer: it gives the `data`, or
raises the one error that the answer means. The body's `code` goes before the HTTP status.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import attrs
import cattrs

from . import wire
from .dialects import Dialect
from .errors import (
    AlreadyExistsError,
    ApiError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
    ValidationError,
)
from .models import Track, VideoDetails, VideoRequest

GENERATE_PATH = "/api/v1/mp4/generate"
DETAILS_PATH = "/api/v1/mp4/record-info"
TRACKS_PATH = "/api/v1/generate/record-info"

# The callback field is required even of those who only poll (docs.sunoapi.org, "Create Music
# Video"); the reserved `.invalid` domain keeps results from ever reaching somebody else's server.
NO_CALLBACK = "https://mp4gen.invalid/no-callback"

# No published answer comes near this.
MAX_BODY = 1 << 20


@attrs.frozen
class ApiCall:
    """One HTTP call to make, without host or key.

    Attributes:
        method: GET or POST.
        path: the path and query below the base URL.
        body: JSON bytes, or None.
        submit: whether the call costs money, so that sending it twice may cost twice.
        counted: whether the call counts against the rate limit.
        task_id: the task that an error is about.
    """

    method: str
    path: str
    body: bytes | None = None
    submit: bool = False
    counted: bool = True
    task_id: str | None = None


@attrs.frozen
class Answer:
    """What came back: the status, the headers in lower case, and the body's bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait as the server asks; a date counts from the answer's own date."""
        text = self.headers.get("retry-after", "").strip()
        if text.isdecimal() and len(text) < 10:
            return float(text)
        try:
            until, now = (parsedate_to_datetime(t) for t in (text, self.headers.get("date", "")))
            return max(0.0, (until - now).total_seconds())
        except (ValueError, TypeError):
            return None


# --- the client's end -----------------------------------------------------------------------


def create_call(request: VideoRequest, callback_url: str | None = None) -> ApiCall:
    """The call of "Create Music Video"; `callback_url` stands in for one of its own."""
    url = request.callback_url or callback_url or NO_CALLBACK
    body = wire.write_video_request(attrs.evolve(request, callback_url=url))
    return ApiCall("POST", GENERATE_PATH, _dump(body), submit=True)


def details_call(task_id: str, dialect: Dialect) -> ApiCall:
    """The call of "Get Music Video Details"."""
    path = f"{DETAILS_PATH}?{urlencode({'taskId': task_id})}"
    return ApiCall("GET", path, counted=dialect.polls_counted, task_id=task_id)


def tracks_call(task_id: str, dialect: Dialect) -> ApiCall:
    """The call of "Get Music Generation Details"."""
    path = f"{TRACKS_PATH}?{urlencode({'taskId': task_id})}"
    return ApiCall("GET", path, counted=dialect.polls_counted, task_id=task_id)


def credits_call(dialect: Dialect) -> ApiCall:
    """The call of "Get Remaining Credits"."""
    return ApiCall("GET", dialect.credits_path, counted=dialect.polls_counted)


def download_url_call(url: str, dialect: Dialect) -> ApiCall | None:
    """The call of "Get Download URL" for a link that has expired; None where there is none."""
    if dialect.download_url_path is None:
        return None
    return ApiCall("POST", dialect.download_url_path, _dump({"url": url}))


def read_answer(answer: Answer, dialect: Dialect, task_id: str | None = None) -> Any:
    """The answer's `data`.

    Raises:
        ApiError: the API refused; the class says how.
        ConfigurationError: the other side is not the API at all.
        ProtocolError: an answer that is not what the vendor's pages promise.
    """
    body = _load(answer.body)
    code = wire.whole_number(body.get("code")) if isinstance(body, dict) else None
    if code is None:
        raise _foreign(answer, task_id)
    data = body.get("data")
    # docs.kie.ai shows code 0 beside a success; only an answer that holds something is one.
    if code == 200 or (code == 0 and _holds_something(data)):
        return data
    message = body.get("msg") or body.get("message") or ""
    raise _refusal(code, str(message)[:500], data, dialect, task_id)


def read_create(answer: Answer, dialect: Dialect) -> str:
    """The new task's id.

    Raises:
        Mp4GenError: as `read_answer`; a success without an id is a `ProtocolError`.
    """
    task_id = _task_id_in(read_answer(answer, dialect))
    if task_id is None:
        raise ProtocolError(f"the submit was answered without a task id: {excerpt(answer)}")
    return task_id


def read_details(answer: Answer, dialect: Dialect, task_id: str) -> VideoDetails:
    """One look at the task.

    Raises:
        Mp4GenError: as `read_answer`; no record (yet) is a `NotFoundError`.
    """
    data = read_answer(answer, dialect, task_id)
    if data is None:
        # docs.kie.ai: a task that is unknown, or too fresh, has `data: null`.
        raise NotFoundError("the API has no record of the task", code=200, task_id=task_id)
    if not isinstance(data, dict):
        raise ProtocolError(f"the details of {task_id} are not an object: {excerpt(answer)}")
    details: VideoDetails = _structured(wire.read_video_details, data, task_id, answer)
    return details


def read_tracks(answer: Answer, dialect: Dialect, task_id: str) -> list[Track]:
    """The tracks of a music task that are known so far.

    Raises:
        Mp4GenError: as `read_answer`; an unknown music task is a `NotFoundError`.
    """
    data = read_answer(answer, dialect, task_id)
    if data is None:
        raise NotFoundError("the API has no record of the music task", code=200, task_id=task_id)
    response = data.get("response") if isinstance(data, dict) else None
    items = response.get("sunoData") if isinstance(response, dict) else None
    if not isinstance(items, list):
        return []
    return [
        _structured(wire.read_track, item, task_id, answer)
        for item in items
        if isinstance(item, dict)
    ]


def read_credits(answer: Answer, dialect: Dialect) -> float:
    """The credits left; a fraction has been seen on kie.

    Raises:
        Mp4GenError: as `read_answer`; something that is no number is a `ProtocolError`.
    """
    data = read_answer(answer, dialect)
    try:
        return float(data)
    except (TypeError, ValueError):
        raise ProtocolError(f"the credits are not a number: {excerpt(answer)}") from None


def read_download_url(answer: Answer, dialect: Dialect) -> str:
    """The fresh link, good for 20 minutes (docs.kie.ai, "Get Download URL").

    Raises:
        Mp4GenError: as `read_answer`; something that is no text is a `ProtocolError`.
    """
    data = read_answer(answer, dialect)
    if not isinstance(data, str) or not data:
        raise ProtocolError(f"the download link is not a text: {excerpt(answer)}")
    return data


def excerpt(answer: Answer) -> str:
    """The first 200 bytes of a body as one line that is safe to show."""
    text = answer.body[:200].decode("utf-8", "replace")
    shown = "".join(char if char.isprintable() else " " for char in text)
    return f"HTTP {answer.status}, {len(answer.body)} bytes: {shown!r}"


def _load(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _holds_something(data: Any) -> bool:
    return bool(_task_id_in(data)) if isinstance(data, dict) else data is not None


def _task_id_in(data: Any) -> str | None:
    if not isinstance(data, dict):
        return None
    found = data.get("taskId") or data.get("task_id")
    return found if isinstance(found, str) and found.strip() else None


def _structured(read: Any, data: dict[str, Any], task_id: str, answer: Answer) -> Any:
    try:
        return read(data, task_id)
    except (cattrs.BaseValidationError, TypeError, ValueError):
        raise ProtocolError(f"unreadable answer about {task_id}: {excerpt(answer)}") from None


def _refusal(code: int, message: str, data: Any, dialect: Dialect, task_id: str | None) -> ApiError:
    """The one meaning of a body code; the text decides where a code is shared by two meanings."""
    said = message.lower()
    kind = dialect.codes.get(code)
    # docs.kie.ai documents 409 and is seen to answer 422 with this very text.
    if kind is AlreadyExistsError or (kind is InvalidRequestError and "already exists" in said):
        existing = _task_id_in(data)
        return AlreadyExistsError(message, code=code, task_id=task_id, existing_task_id=existing)
    if "recordinfo is null" in said or "record does not exist" in said:
        kind = NotFoundError
    elif "call frequency" in said:
        kind = RateLimitError
    elif kind is None:
        kind = ServerError if code >= 500 or "try again later" in said else ApiError
    return kind(message, code=code, task_id=task_id)


def _foreign(answer: Answer, task_id: str | None) -> Exception:
    """What an answer means that is not the API's JSON, by its HTTP status."""
    status, seen = answer.status, excerpt(answer)
    if status in {404, 405} or 300 <= status < 400:
        return ConfigurationError(
            f"the server at this base_url is not the API ({seen}); correct base_url"
        )
    if status in {401, 403}:
        blocked = (
            " (the host's firewall blocked this client)"
            if b"error code: 1010" in answer.body
            else ""
        )
        return AuthenticationError(f"refused without a reason{blocked}", code=status)
    if status == 429:
        return RateLimitError("too many requests", code=status, task_id=task_id)
    if status in {400, 413, 422}:
        return InvalidRequestError(f"refused without a reason, {seen}", code=status)
    if status >= 500:
        # Some gateway answered in the API's place: what became of the call is not known.
        error = ServerError(f"not the API's own answer, {seen}", code=status, task_id=task_id)
        error.from_api = False
        return error
    return ProtocolError(f"not the API's JSON, {seen}")


# --- the server's end -----------------------------------------------------------------------


def read_create_body(body: bytes) -> VideoRequest:
    """The request in the body of "Create Music Video".

    Raises:
        InvalidRequestError: code 400; one sentence that names every field at fault.
    """
    data = _load(body)
    if not isinstance(data, dict):
        raise InvalidRequestError("the body must be a JSON object", code=400)
    if not data.get("callBackUrl"):
        raise InvalidRequestError(_problems_in(data, "callBackUrl is required"), code=400)
    try:
        return wire.read_video_request(data)
    except (ValidationError, cattrs.BaseValidationError):
        raise InvalidRequestError(_problems_in(data), code=400) from None


def answer_data(data: Any) -> bytes:
    """A success with `data`."""
    return _dump({"code": 200, "msg": "success", "data": data})


def answer_created(task_id: str) -> bytes:
    """The success of "Create Music Video"."""
    return answer_data({"taskId": task_id})


def answer_details(details: VideoDetails) -> bytes:
    """The success of "Get Music Video Details"."""
    return answer_data(wire.write_video_details(details))


def answer_tracks(task_id: str, tracks: Sequence[Track]) -> bytes:
    """The success of "Get Music Generation Details" for a finished music task."""
    items = [wire.write_track(track) for track in tracks]
    return answer_data(
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


def answer_error(error: ApiError) -> bytes:
    """A refusal; that of a second submit carries the first one's task id."""
    existing = error.existing_task_id if isinstance(error, AlreadyExistsError) else None
    data = {"taskId": existing} if existing else None
    return _dump({"code": error.code, "msg": error.message, "data": data})


def _problems_in(data: dict[str, Any], *found: str) -> str:
    """Every fault of a submit's body in one sentence, in the API's names."""
    problems = list(found)
    for field, name in wire.VIDEO_REQUEST.items():
        if name == "callBackUrl" and found:
            continue
        try:
            values: Any = {"task_id": "-", "audio_id": "-", field: data.get(name)}
            VideoRequest(**values)
        except ValidationError as error:
            missing = name not in data
            problems.append(f"{name} {'is required' if missing else error.problems[field]}")
    return "; ".join(problems)


def callback_body(task_id: str, video_url: str | None, *, code: int = 200) -> bytes:
    """What is posted at the end of a task (docs.sunoapi.org, "Music Video Generation Callbacks").

    Unlike all other bodies it speaks snake_case. A failure has no `video_url` and its own `code`.
    """
    message = "MP4 generated successfully." if code == 200 else "Music video generation failed"
    data = {"task_id": task_id, "video_url": video_url}
    return _dump({"code": code, "msg": message, "data": data})


def sign_callback(task_id: str, secret: str, timestamp: int) -> dict[str, str]:
    """The two headers of a signed callback (docs.kie.ai, "Webhook Security Verification").

    Only the id and the time, in seconds since 1970, are signed: the body is not.
    """
    signed = hmac.digest(secret.encode(), f"{task_id}.{timestamp}".encode(), "sha256")
    signature = base64.b64encode(signed).decode("ascii")
    return {"X-Webhook-Timestamp": str(timestamp), "X-Webhook-Signature": signature}
