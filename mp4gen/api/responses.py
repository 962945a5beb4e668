"""The meaning of a response: its `data`, or the one error that it stands for; no I/O.

The `code` of the body comes before the HTTP status: some hosts send refusals with HTTP 200.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from mp4gen.errors import (
    AlreadyExistsError,
    ApiError,
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    InvalidRequestError,
    MaintenanceError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
)

from . import converters
from .dialects import Dialect

# The header and the value with which a host says that it refuses a second submit of a video. Our
# own server sends it; the vendors do not.
DUPLICATES_HEADER, DUPLICATES_REJECTED = "Mp4gen-Duplicates", "rejected"
_DUPLICATES_HEADER = DUPLICATES_HEADER.lower()
# No published response comes near this size.
MAX_BODY_BYTES = 1 << 20

# Texts that say more than the code beside them, first match first: hosts disagree about codes.
_CONFLICT = "already exists"
_MEANINGS: dict[type[ApiError], str] = {
    NotFoundError: "recordinfo is null|record does not exist",
    InsufficientCreditsError: "insufficient .{0,20}credit|credit.{0,30} insufficient",
    RateLimitError: "frequency|too many requests|rate limit",
    ServerError: (
        "try again later|temporarily unavailable|internal error|time-?out|timed out"
        "|failed to add suno mp4 generation task"
    ),
}
# Refusals that pass by themselves, more slowly than a `ServerError`.
_PASSING = (RateLimitError, MaintenanceError)
_SECONDS = r"[0-9]{1,9}(\.[0-9]{1,9})?"
_SURROGATE_ESCAPE = rb"\\u[dD][89a-fA-F]"


@attrs.frozen(eq=False, repr=False)
class HttpResponse:
    """The status, the headers, to be looked up in lower case, and the bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def rejects_duplicates(self) -> bool:
        """Whether the host says that it refuses a second submit of a video."""
        said = self.headers.get(_DUPLICATES_HEADER, "")
        return said.strip().lower() == DUPLICATES_REJECTED

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, or None; a date counts from the `Date` header."""
        text = self.headers.get("retry-after", "").strip()
        if not text:
            return None
        if re.fullmatch(_SECONDS, text):
            return float(text)
        until, now = _parse_date(text), self.date
        return max(0.0, (until - now).total_seconds()) if until and now else None

    @property
    def date(self) -> datetime | None:
        """The time of the response by the server's clock, or None."""
        return _parse_date(self.headers.get("date", ""))


def _parse_date(text: str) -> datetime | None:
    """Return a date of HTTP, or None if `text` is not one."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo else None


def parse_response(response: HttpResponse, dialect: Dialect, task_id: str | None = None) -> Any:
    """Return the `data` of a response.

    Raises:
        ApiError: The API refused the call; the class says why.
        ConfigurationError: The server is not the API.
        ProtocolError: The vendor's pages do not describe such a response.
    """
    return _parse_body(load_response_json(response.body), response, dialect, task_id)


def parse_submit(response: HttpResponse, dialect: Dialect) -> str | None:
    """Return the task id in the response to a submit, or None if it has none.

    Raises:
        AlreadyExistsError: The HTTP status, the code or the text says that the video exists.
        Mp4GenError: As `parse_response`.
    """
    body = load_response_json(response.body)
    if response.status == 409 or _says(_message(body), _CONFLICT):
        raise _conflict_error(body, response.status)
    data = _parse_body(body, response, dialect, None)
    return find_task_id(data) or find_task_id(body)


def find_task_id(value: Any) -> str | None:
    """Return the task id in an object of a response, or None."""
    if not isinstance(value, dict):
        return None
    return converters.parse_id(value.get("taskId")) or converters.parse_id(value.get("task_id"))


def describe_response(response: HttpResponse) -> str:
    """Return the first 200 bytes of the body as one printable line."""
    text = response.body[:200].decode("utf-8", "replace")
    printable = "".join(char if char.isprintable() else " " for char in text)
    return f"HTTP {response.status}, {len(response.body)} bytes: {printable!r}"


def load_json(body: bytes) -> Any:
    """Return the value of a JSON body, or None if it is not JSON."""
    try:
        return _decoder.decode(body.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError):
        return None


def load_response_json(body: bytes) -> Any:
    """Return the value of a response's JSON body, or None if it is not JSON.

    One character or number that cannot be read does not cost the rest: broken UTF-8 and lone
    surrogates become U+FFFD; NaN, infinity and numbers of thousands of digits become None.
    """
    text = body.removeprefix(BOM_UTF8).decode("utf-8", "replace")
    try:
        value = _decode_leniently(text)
        if b"\\u" in body and re.search(_SURROGATE_ESCAPE, body):
            utf16 = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
            value = _decode_leniently(utf16.decode("utf-16", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def _decode_leniently(text: str) -> Any:
    try:
        return _lenient_decoder.decode(text)
    except ValueError:
        # Maybe because of a number of thousands of digits; to look at each number takes longer.
        return _most_lenient_decoder.decode(text)


def dump_json(value: Any) -> bytes:
    """Return `value` as compact JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, as in a file name that is not UTF-8, becomes JSON's own escape.
    return text.encode("utf-8", "backslashreplace")


def _reject_nan(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parse_json_int(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


_decoder = json.JSONDecoder(parse_constant=_reject_nan)
_lenient_decoder = json.JSONDecoder(parse_constant=lambda _: None, strict=False)
_most_lenient_decoder = json.JSONDecoder(
    parse_int=_parse_json_int, parse_constant=lambda _: None, strict=False
)


def _has_payload(data: Any) -> bool:
    return bool(find_task_id(data)) if isinstance(data, dict) else data is not None


def _message(body: Any) -> str:
    """Return the text of a response, at most 500 characters, "" without one."""
    if not isinstance(body, dict):
        return ""
    return str(body.get("msg") or body.get("message") or body.get("error") or "")[:500]


def _parse_body(body: Any, response: HttpResponse, dialect: Dialect, task_id: str | None) -> Any:
    code = converters.parse_int(body.get("code")) if isinstance(body, dict) else None
    if code is None:
        raise _non_api_error(response, body, task_id)
    data = body.get("data")
    # docs.kie.ai shows code 0 for a success; without a payload it is not a success.
    if code == 200 or (code == 0 and _has_payload(data)):
        return data
    message, error_class = _message(body), dialect.codes.get(code)
    # docs.kie.ai documents 409, but its service has been seen to answer 422 with this text.
    if 409 in {code, response.status} or _says(message, _CONFLICT):
        raise _conflict_error(body, response.status, task_id)
    text_class = _class_from_text(message)
    if text_class is not None and not (text_class is ServerError and error_class in _PASSING):
        error_class = text_class
    if error_class is None:
        error_class = ServerError if code >= 500 else ApiError
    raise error_class(message, code=code, task_id=task_id)


def _says(message: str, texts: str) -> bool:
    return re.search(texts, message, re.IGNORECASE) is not None


def _class_from_text(message: str) -> type[ApiError] | None:
    """Return what a text means whatever the code beside it is, or None."""
    return next((kind for kind, texts in _MEANINGS.items() if _says(message, texts)), None)


def _conflict_error(body: Any, status: int, task_id: str | None = None) -> AlreadyExistsError:
    """Return the error for a track that has a video, with the video's task wherever it stands."""
    code = converters.parse_int(body.get("code")) if isinstance(body, dict) else None
    if code is None or code in {0, 200}:
        code = status if status >= 400 else 409
    return AlreadyExistsError(
        _message(body) or "the video exists",
        code=code,
        task_id=task_id,
        existing_task_id=_find_existing_task_id(body),
    )


def _find_existing_task_id(body: Any) -> str | None:
    """Return the first task id: in `data`, at the top, then in any object within, level by level.

    No page shows the body of a 409.
    """
    level = [body.get("data"), body] if isinstance(body, dict) else []
    while level:
        if found := next(filter(None, map(find_task_id, level)), None):
            return found
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    return None


def _non_api_error(response: HttpResponse, body: Any, task_id: str | None) -> Exception:
    """Return the error for a response that is not the API's JSON."""
    status, summary = response.status, describe_response(response)
    text_class = _class_from_text(_message(body)) if status >= 400 else None
    error: ApiError
    if status == 409 or (status >= 400 and _says(_message(body), _CONFLICT)):
        error = _conflict_error(body, status, task_id)
    elif text_class is not None:
        error = text_class(_message(body), code=status, task_id=task_id)
    elif status in {404, 405, 501} or 300 <= status < 400:
        not_the_api = ConfigurationError(
            f"The server at base_url is not the API: {summary}. Correct base_url."
        )
        not_the_api.from_api = False
        return not_the_api
    elif status in {401, 403}:
        is_blocked = b"error code: 1010" in response.body
        blocked = " (the host's firewall blocked this client)" if is_blocked else ""
        error = AuthenticationError(f"refused without a reason{blocked}", code=status)
    elif status == 402:
        error = InsufficientCreditsError(f"refused without a reason, {summary}", code=status)
    elif status == 429:
        error = RateLimitError("too many requests", code=status, task_id=task_id)
    elif status in {400, 413, 422}:
        error = InvalidRequestError(f"refused without a reason, {summary}", code=status)
    elif status >= 500:
        error = ServerError(f"not a response of the API, {summary}", code=status, task_id=task_id)
    else:
        return ProtocolError(f"Response is not the API's JSON: {summary}.")
    # A gateway responded in place of the API and does not know the API's state.
    error.from_api = False
    return error
