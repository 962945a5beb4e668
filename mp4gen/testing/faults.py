"""Scripted answers and faults, by name; pure data, sends nothing.

A name means the same to every endpoint that can have it. Those that end in `_after_accept` let a
submit take effect although its answer is lost; all others leave no task behind.
"""

from __future__ import annotations

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


@attrs.frozen(kw_only=True)
class ScriptedResponse:
    """One answer as it shall leave the service.

    Attributes:
        status: the HTTP status.
        body: the body; None for what the service would have answered.
        headers: further headers.
        data: fields to change in the `data` of the usual answer.
        force_finished: whether the usual answer is that of a finished task, whatever the time.
        take_effect: whether the call takes effect (a submit makes its task) where the body is given
            here; where it is the usual one, it always does.
        delay: seconds until the first byte leaves.
        truncate_at: which bytes of the answer leave, head included, as the end of a slice: 10 for the
            first ten, -10 for all but the last ten, None for all.
        connection: what follows: "keep" the connection, "close" it, "reset" it, or "stall" for ever.
        byte_delay: seconds between one byte and the next; 0 for all at once.
        raw_bytes: bytes to send in place of a well-formed answer.
        ignore_range: whether a file is sent from its beginning, whatever was asked for.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    data: Mapping[str, Any] | None = None
    force_finished: bool = False
    take_effect: bool = False
    delay: float = 0.0
    truncate_at: int | None = None
    connection: Literal["keep", "close", "reset", "hang"] = "keep"
    byte_delay: float = 0.0
    raw_bytes: bytes | None = None
    ignore_range: bool = False

    @property
    def is_default(self) -> bool:
        """Whether the service's own answer is part of this one."""
        return self.body is None and self.raw_bytes is None


def _html_page(title: str) -> bytes:
    return f"<html><head><title>{title}</title></head><body>{title}</body></html>\n".encode()


def _html_response(status: int, title: str, *, take_effect: bool = False) -> ScriptedResponse:
    headers = {"Content-Type": "text/html"}
    return ScriptedResponse(
        status=status, body=_html_page(title), headers=headers, take_effect=take_effect
    )


def _with_status(status: str, message: str | None = None) -> ScriptedResponse:
    return ScriptedResponse(
        data={"successFlag": status, "errorMessage": message, "response": None}, take_effect=True
    )


def _gzip_bomb() -> bytes:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return compressor.compress(bytes(4 * MAX_BODY_BYTES)) + compressor.flush()


_JSON = b'{"code":200,"msg":"success","data":null}'

# What can be asked for by name, besides `code_N` (a refusal with that body code) and the four of
# `of_dialect`.
FAULTS: Mapping[str, ScriptedResponse] = {
    # The connection.
    "reset": ScriptedResponse(body=b"", truncate_at=0, connection="reset"),
    "reset_after_accept": ScriptedResponse(take_effect=True, truncate_at=0, connection="reset"),
    "close_without_answer": ScriptedResponse(body=b"", truncate_at=0, connection="close"),
    "close_after_accept": ScriptedResponse(take_effect=True, truncate_at=0, connection="close"),
    "half_headers": ScriptedResponse(body=_JSON, truncate_at=30, connection="close"),
    "half_headers_after_accept": ScriptedResponse(
        take_effect=True, truncate_at=30, connection="close"
    ),
    "truncated": ScriptedResponse(body=_JSON, truncate_at=-9, connection="close"),
    "truncated_after_accept": ScriptedResponse(
        take_effect=True, truncate_at=-9, connection="close"
    ),
    "garbage": ScriptedResponse(
        raw_bytes=b"\x16\x03\x01 this is not HTTP\r\n\r\n", connection="close"
    ),
    "hang": ScriptedResponse(body=b"", truncate_at=0, connection="hang"),
    "hang_after_accept": ScriptedResponse(take_effect=True, truncate_at=0, connection="hang"),
    "slow_drip": ScriptedResponse(body=_JSON, byte_delay=1.0),
    "slow_drip_after_accept": ScriptedResponse(take_effect=True, byte_delay=1.0),
    # Pages that are not the API's.
    "html_200": _html_response(200, "Welcome"),
    "html_404": _html_response(404, "404 Not Found"),
    "html_405": _html_response(405, "405 Method Not Allowed"),
    "html_429": _html_response(429, "429 Too Many Requests"),
    "html_500": _html_response(500, "500 Internal Server Error"),
    "html_502": _html_response(502, "502 Bad Gateway"),
    "html_503": _html_response(503, "503 Service Unavailable"),
    "html_504": _html_response(504, "504 Gateway Time-out"),
    "html_502_after_accept": _html_response(502, "502 Bad Gateway", take_effect=True),
    "html_504_after_accept": _html_response(504, "504 Gateway Time-out", take_effect=True),
    "blocked": ScriptedResponse(status=403, body=b"error code: 1010"),
    "redirect": ScriptedResponse(
        status=302, body=b"", headers={"Location": "https://example.com/"}
    ),
    # Bodies that are not what the pages promise.
    "empty": ScriptedResponse(body=b""),
    "empty_after_accept": ScriptedResponse(body=b"", take_effect=True),
    "utf8_bom": ScriptedResponse(body=b"\xef\xbb\xbf" + _JSON),
    "nan_code": ScriptedResponse(body=b'{"code":NaN,"msg":"","data":null}'),
    "deep_json": ScriptedResponse(body=b"[" * 100_000),
    "wrong_types": ScriptedResponse(body=b'{"code":200,"msg":7,"data":[["taskId"]]}'),
    "huge": ScriptedResponse(body=b" " * (MAX_BODY_BYTES + 1)),
    "gzip_bomb": ScriptedResponse(body=_gzip_bomb(), headers={"Content-Encoding": "gzip"}),
    # What the API itself says.
    "unauthorized": ScriptedResponse(
        body=build_error_response(ApiError("Unauthorized access", code=401))
    ),
    "unknown_track": ScriptedResponse(
        body=build_error_response(ApiError("record does not exist", code=404))
    ),
    "server_error": ScriptedResponse(body=build_error_response(ApiError("Server error", code=500))),
    "data_null": ScriptedResponse(body=build_data_response(None)),
    "data_null_after_accept": ScriptedResponse(body=build_data_response(None), take_effect=True),
    "record_null": ScriptedResponse(
        body=build_error_response(ApiError("recordInfo is null", code=422))
    ),
    # What a task can look like.
    "pending": _with_status("PENDING"),
    "unknown_flag": _with_status("QUEUED_FOR_REVIEW"),
    "success_without_url": _with_status("SUCCESS"),
    # The host could not deliver its callback; the file is there all the same.
    "callback_exception": ScriptedResponse(
        data={"successFlag": "CALLBACK_EXCEPTION"}, force_finished=True
    ),
    "callback_exception_without_url": _with_status("CALLBACK_EXCEPTION"),
    "create_failed": _with_status("CREATE_TASK_FAILED", "Failed to create task"),
    "failed": _with_status("GENERATE_MP4_FAILED", "Failed to generate the video"),
    # What a file host does.
    "expired": _html_response(403, "The link has expired"),
    "gone": _html_response(410, "Gone"),
    "range_ignored": ScriptedResponse(ignore_range=True),
}

_DIALECT_ERRORS: Mapping[str, tuple[type[ApiError], str]] = {
    "rate_limited": (RateLimitError, RATE_LIMITED_MESSAGE),
    "no_credits": (InsufficientCreditsError, "Insufficient credits"),
    "maintenance": (MaintenanceError, "System maintenance"),
    "exists": (AlreadyExistsError, ALREADY_EXISTS_MESSAGE),
}


def dialect_error(name: str, dialect: Dialect) -> ScriptedResponse:
    """A refusal whose code differs between hosts: the last of those with that meaning."""
    error_class, message = _DIALECT_ERRORS[name]
    code = max(code for code, meaning in dialect.codes.items() if meaning is error_class)
    if name == "no_credits" and 402 in dialect.codes:
        # docs.kie.ai: 433 is for sub-keys only.
        code = 402
    return ScriptedResponse(body=build_error_response(ApiError(message, code=code)))


def by_name(name: str, dialect: Dialect) -> ScriptedResponse:
    """The reply of that name.

    Raises:
        ValueError: there is none; names them all.
    """
    if name in _DIALECT_ERRORS:
        return dialect_error(name, dialect)
    if name.startswith("code_") and name[5:].isdecimal():
        return ScriptedResponse(body=build_error_response(ApiError("scripted", code=int(name[5:]))))
    if name not in FAULTS:
        names = ", ".join(sorted([*FAULTS, *_DIALECT_ERRORS, "code_N"]))
        raise ValueError(f"no scripted answer is called {name!r}; there are {names}")
    return FAULTS[name]
