"""The meaning of a response: its `data`, or the one error that it stands for; no I/O.

The `code` of the body comes before the HTTP status: some hosts send refusals with HTTP 200.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import attrs

from mp4gen.errors import (
    AlreadyExistsError,
    ApiError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    ProtocolError,
    RateLimitError,
    ServerError,
)

from . import converters
from .dialects import Dialect

# No published response comes near this size.
MAX_BODY_BYTES = 1 << 20


@attrs.frozen
class HttpResponse:
    """The status, the headers with names in lower case, and the bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, or None; a date counts from the `Date` header."""
        text = self.headers.get("retry-after", "").strip()
        if text.isdecimal() and len(text) < 10:
            return float(text)
        try:
            until, now = (parsedate_to_datetime(t) for t in (text, self.headers.get("date", "")))
            return max(0.0, (until - now).total_seconds())
        except (ValueError, TypeError):
            return None


def parse_response(response: HttpResponse, dialect: Dialect, task_id: str | None = None) -> Any:
    """Return the `data` of a response.

    Raises:
        ApiError: The API refused the call; the class says why.
        ConfigurationError: The server is not the API.
        ProtocolError: The vendor's pages do not describe such a response.
    """
    body = load_json(response.body)
    code = converters.parse_int(body.get("code")) if isinstance(body, dict) else None
    if code is None:
        raise _non_api_error(response, task_id)
    data = body.get("data")
    # docs.kie.ai shows code 0 for a success; without a payload it is not a success.
    if code == 200 or (code == 0 and _has_payload(data)):
        return data
    message = body.get("msg") or body.get("message") or ""
    raise _error_for_code(code, str(message)[:500], data, dialect, task_id)


def find_task_id(data: Any) -> str | None:
    """Return the task id in the `data` of a response, or None."""
    if not isinstance(data, dict):
        return None
    found = data.get("taskId") or data.get("task_id")
    return found if isinstance(found, str) and found.strip() else None


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


def dump_json(value: Any) -> bytes:
    """Return `value` as compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _reject_nan(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_reject_nan)


def _has_payload(data: Any) -> bool:
    return bool(find_task_id(data)) if isinstance(data, dict) else data is not None


def _error_for_code(
    code: int, message: str, data: Any, dialect: Dialect, task_id: str | None
) -> ApiError:
    """Return the error for a body code; the text decides if a code has two meanings."""
    lowered = message.lower()
    error_class = dialect.codes.get(code)
    # docs.kie.ai documents 409, but its service has been seen to answer 422 with this text.
    if error_class is AlreadyExistsError or (
        error_class is InvalidRequestError and "already exists" in lowered
    ):
        existing = find_task_id(data)
        return AlreadyExistsError(message, code=code, task_id=task_id, existing_task_id=existing)
    if "recordinfo is null" in lowered or "record does not exist" in lowered:
        error_class = NotFoundError
    elif "call frequency" in lowered:
        error_class = RateLimitError
    elif error_class is None:
        error_class = ServerError if code >= 500 or "try again later" in lowered else ApiError
    return error_class(message, code=code, task_id=task_id)


def _non_api_error(response: HttpResponse, task_id: str | None) -> Exception:
    """Return the error for a response that is not the API's JSON."""
    status, summary = response.status, describe_response(response)
    if status in {404, 405, 501} or 300 <= status < 400:
        return ConfigurationError(
            f"The server at base_url is not the API: {summary}. Correct base_url."
        )
    error: ApiError
    if status in {401, 403}:
        is_blocked = b"error code: 1010" in response.body
        blocked = " (the host's firewall blocked this client)" if is_blocked else ""
        error = AuthenticationError(f"refused without a reason{blocked}", code=status)
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
