"""Scripted responses and faults by name; pure data, sends nothing.

A fault works with every endpoint. With a name ending in `_after_accept` a submit creates its task
although the response is lost; with all others it creates none.
"""

import zlib
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from mp4gen.api.dialects import Dialect
from mp4gen.api.protocol import build_data_response, build_error_response
from mp4gen.api.responses import MAX_BODY_BYTES
from mp4gen.errors import (
    AlreadyExistsError,
    ApiError,
    InsufficientCreditsError,
    MaintenanceError,
    RateLimitError,
)

RATE_LIMITED_MESSAGE = "Your call frequency is too high. Please try again later."
ALREADY_EXISTS_MESSAGE = "Mp4 record already exists"
Connection = Literal["keep", "close", "reset", "hang"]


@attrs.frozen(kw_only=True)
class ScriptedResponse:
    """A response as it leaves the service.

    Attributes:
        status: The HTTP status.
        body: The body; None for the service's default response.
        headers: Additional headers.
        data: Fields to change in the `data` of the default response.
        force_finished: Whether the default response reports the task as finished at any time.
        take_effect: Whether the request takes effect (a submit creates its task) despite a `body`.
            With the default response it always does.
        delay: The seconds until the first byte is sent.
        truncate_at: The bytes of the response to send, head included, as the end of a slice: 10 for
            the first ten, -10 for all but the last ten, None for all.
        connection: What follows: "keep", "close" or "reset" the connection, or "hang" until the
            client disconnects.
        byte_delay: The seconds between two bytes; 0 to send all at once.
        raw_bytes: The bytes to send instead of a well-formed response.
        ignore_range: Whether a file is sent from its beginning despite a `Range` header.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    data: Mapping[str, Any] | None = None
    force_finished: bool = False
    take_effect: bool = False
    delay: float = 0.0
    truncate_at: int | None = None
    connection: Connection = "keep"
    byte_delay: float = 0.0
    raw_bytes: bytes | None = None
    ignore_range: bool = False

    @property
    def is_default(self) -> bool:
        """Whether this changes the service's default response instead of replacing it."""
        return self.body is None and self.raw_bytes is None


def _cut(
    truncate_at: int, connection: Connection = "close", *, accept: bool = False
) -> ScriptedResponse:
    return ScriptedResponse(
        body=None if accept else _JSON,
        take_effect=accept,
        truncate_at=truncate_at,
        connection=connection,
    )


def _html_page(status: int, title: str, *, take_effect: bool = False) -> ScriptedResponse:
    html = f"<html><head><title>{title}</title></head><body>{title}</body></html>\n".encode()
    headers = {"Content-Type": "text/html"}
    return ScriptedResponse(status=status, body=html, headers=headers, take_effect=take_effect)


def _api_error(code: int, message: str) -> ScriptedResponse:
    return ScriptedResponse(body=build_error_response(ApiError(message, code=code)))


def _with_status(status: str, message: str | None = None) -> ScriptedResponse:
    return ScriptedResponse(
        data={"successFlag": status, "errorMessage": message, "response": None}, take_effect=True
    )


def _gzip_bomb() -> bytes:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return compressor.compress(bytes(4 * MAX_BODY_BYTES)) + compressor.flush()


_JSON = b'{"code":200,"msg":"success","data":null}'

# `by_name` also knows `code_N` (an error with that body code) and the names of _DIALECT_ERRORS.
FAULTS: Mapping[str, ScriptedResponse] = {
    # The connection.
    "reset": _cut(0, "reset"),
    "reset_after_accept": _cut(0, "reset", accept=True),
    "close_without_answer": _cut(0),
    "close_after_accept": _cut(0, accept=True),
    "half_headers": _cut(30),
    "half_headers_after_accept": _cut(30, accept=True),
    "truncated": _cut(-9),
    "truncated_after_accept": _cut(-9, accept=True),
    "garbage": ScriptedResponse(
        raw_bytes=b"\x16\x03\x01 this is not HTTP\r\n\r\n", connection="close"
    ),
    "hang": _cut(0, "hang"),
    "hang_after_accept": _cut(0, "hang", accept=True),
    "slow_drip": ScriptedResponse(body=_JSON, byte_delay=1.0),
    "slow_drip_after_accept": ScriptedResponse(take_effect=True, byte_delay=1.0),
    # Pages that do not come from the API.
    "html_200": _html_page(200, "Welcome"),
    "html_404": _html_page(404, "404 Not Found"),
    "html_405": _html_page(405, "405 Method Not Allowed"),
    "html_429": _html_page(429, "429 Too Many Requests"),
    "html_500": _html_page(500, "500 Internal Server Error"),
    "html_502": _html_page(502, "502 Bad Gateway"),
    "html_503": _html_page(503, "503 Service Unavailable"),
    "html_504": _html_page(504, "504 Gateway Time-out"),
    "html_502_after_accept": _html_page(502, "502 Bad Gateway", take_effect=True),
    "html_504_after_accept": _html_page(504, "504 Gateway Time-out", take_effect=True),
    "blocked": ScriptedResponse(status=403, body=b"error code: 1010"),
    "redirect": ScriptedResponse(
        status=302, body=b"", headers={"Location": "https://example.com/"}
    ),
    # Bodies that break the documented contract.
    "empty": ScriptedResponse(body=b""),
    "empty_after_accept": ScriptedResponse(body=b"", take_effect=True),
    "utf8_bom": ScriptedResponse(body=b"\xef\xbb\xbf" + _JSON),
    "nan_code": ScriptedResponse(body=b'{"code":NaN,"msg":"","data":null}'),
    "deep_json": ScriptedResponse(body=b"[" * 100_000),
    "wrong_types": ScriptedResponse(body=b'{"code":200,"msg":7,"data":[["taskId"]]}'),
    "huge": ScriptedResponse(body=b" " * (MAX_BODY_BYTES + 1)),
    "gzip_bomb": ScriptedResponse(body=_gzip_bomb(), headers={"Content-Encoding": "gzip"}),
    # Errors and empty responses of the API.
    "unauthorized": _api_error(401, "Unauthorized access"),
    "unknown_track": _api_error(422, "Record does not exist"),
    "server_error": _api_error(500, "Server error"),
    "record_null": _api_error(422, "recordInfo is null"),
    "data_null": ScriptedResponse(body=build_data_response(None)),
    "data_null_after_accept": ScriptedResponse(body=build_data_response(None), take_effect=True),
    # States of a task.
    "pending": _with_status("PENDING"),
    "unknown_flag": _with_status("QUEUED_FOR_REVIEW"),
    "success_without_url": _with_status("SUCCESS"),
    # The host could not deliver its callback, but the file exists.
    "callback_exception": ScriptedResponse(
        data={"successFlag": "CALLBACK_EXCEPTION"}, force_finished=True
    ),
    "callback_exception_without_url": _with_status("CALLBACK_EXCEPTION"),
    "create_failed": _with_status("CREATE_TASK_FAILED", "Failed to create task"),
    "failed": _with_status("GENERATE_MP4_FAILED", "Failed to generate the video"),
    # A file host.
    "expired": _html_page(403, "The link has expired"),
    "gone": _html_page(410, "Gone"),
    "range_ignored": ScriptedResponse(ignore_range=True),
}

_DIALECT_ERRORS: Mapping[str, tuple[type[ApiError], str]] = {
    "rate_limited": (RateLimitError, RATE_LIMITED_MESSAGE),
    "no_credits": (InsufficientCreditsError, "Insufficient credits"),
    "maintenance": (MaintenanceError, "System maintenance"),
    "exists": (AlreadyExistsError, ALREADY_EXISTS_MESSAGE),
}


def dialect_error(name: str, dialect: Dialect) -> ScriptedResponse:
    """Return an error whose code differs between hosts: the highest code with that meaning."""
    error_class, message = _DIALECT_ERRORS[name]
    code = max(code for code, meaning in dialect.codes.items() if meaning is error_class)
    if name == "no_credits" and 402 in dialect.codes:
        # docs.kie.ai: 433 is for sub-keys only.
        code = 402
    return _api_error(code, message)


def by_name(name: str, dialect: Dialect) -> ScriptedResponse:
    """Return the scripted response of that name.

    Raises:
        ValueError: The name is unknown; the text lists all names.
    """
    if name in _DIALECT_ERRORS:
        return dialect_error(name, dialect)
    if name.startswith("code_") and name[5:].isdecimal():
        return _api_error(int(name[5:]), "scripted")
    if name not in FAULTS:
        names = ", ".join(sorted([*FAULTS, *_DIALECT_ERRORS, "code_N", "ok"]))
        raise ValueError(f"Unknown fault: {name!r}. Use one of: {names}.")
    return FAULTS[name]
