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

TOO_OFTEN = "Your call frequency is too high. Please try again later."
EXISTS = "Mp4 record already exists"


@attrs.frozen(kw_only=True)
class Reply:
    """One answer as it shall leave the service.

    Attributes:
        status: the HTTP status.
        body: the body; None for what the service would have answered.
        headers: further headers.
        data: fields to change in the `data` of the usual answer.
        finished: whether the usual answer is that of a finished task, whatever the time.
        accept: whether the call takes effect (a submit makes its task) where the body is given
            here; where it is the usual one, it always does.
        delay: seconds until the first byte leaves.
        sent: which bytes of the answer leave, head included, as the end of a slice: 10 for the
            first ten, -10 for all but the last ten, None for all.
        then: what follows: "keep" the connection, "close" it, "reset" it, or "stall" for ever.
        drip: seconds between one byte and the next; 0 for all at once.
        raw: bytes to send in place of a well-formed answer.
        ignore_range: whether a file is sent from its beginning, whatever was asked for.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    data: Mapping[str, Any] | None = None
    finished: bool = False
    accept: bool = False
    delay: float = 0.0
    sent: int | None = None
    then: Literal["keep", "close", "reset", "stall"] = "keep"
    drip: float = 0.0
    raw: bytes | None = None
    ignore_range: bool = False

    @property
    def usual(self) -> bool:
        """Whether the service's own answer is part of this one."""
        return self.body is None and self.raw is None


def _page(title: str) -> bytes:
    return f"<html><head><title>{title}</title></head><body>{title}</body></html>\n".encode()


def _html(status: int, title: str, *, accept: bool = False) -> Reply:
    headers = {"Content-Type": "text/html"}
    return Reply(status=status, body=_page(title), headers=headers, accept=accept)


def _flag(flag: str, message: str | None = None) -> Reply:
    return Reply(data={"successFlag": flag, "errorMessage": message, "response": None}, accept=True)


def _bomb() -> bytes:
    squeeze = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return squeeze.compress(bytes(4 * MAX_BODY_BYTES)) + squeeze.flush()


_JSON = b'{"code":200,"msg":"success","data":null}'

# What can be asked for by name, besides `code_N` (a refusal with that body code) and the four of
# `of_dialect`.
FAULTS: Mapping[str, Reply] = {
    # The connection.
    "reset": Reply(body=b"", sent=0, then="reset"),
    "reset_after_accept": Reply(accept=True, sent=0, then="reset"),
    "close_without_answer": Reply(body=b"", sent=0, then="close"),
    "close_after_accept": Reply(accept=True, sent=0, then="close"),
    "half_headers": Reply(body=_JSON, sent=30, then="close"),
    "half_headers_after_accept": Reply(accept=True, sent=30, then="close"),
    "truncated": Reply(body=_JSON, sent=-9, then="close"),
    "truncated_after_accept": Reply(accept=True, sent=-9, then="close"),
    "garbage": Reply(raw=b"\x16\x03\x01 this is not HTTP\r\n\r\n", then="close"),
    "stall": Reply(body=b"", sent=0, then="stall"),
    "stall_after_accept": Reply(accept=True, sent=0, then="stall"),
    "drip": Reply(body=_JSON, drip=1.0),
    "drip_after_accept": Reply(accept=True, drip=1.0),
    # Pages that are not the API's.
    "html_200": _html(200, "Welcome"),
    "html_404": _html(404, "404 Not Found"),
    "html_405": _html(405, "405 Method Not Allowed"),
    "html_429": _html(429, "429 Too Many Requests"),
    "html_500": _html(500, "500 Internal Server Error"),
    "html_502": _html(502, "502 Bad Gateway"),
    "html_503": _html(503, "503 Service Unavailable"),
    "html_504": _html(504, "504 Gateway Time-out"),
    "html_502_after_accept": _html(502, "502 Bad Gateway", accept=True),
    "html_504_after_accept": _html(504, "504 Gateway Time-out", accept=True),
    "blocked": Reply(status=403, body=b"error code: 1010"),
    "redirect": Reply(status=302, body=b"", headers={"Location": "https://example.com/"}),
    # Bodies that are not what the pages promise.
    "empty": Reply(body=b""),
    "empty_after_accept": Reply(body=b"", accept=True),
    "bom": Reply(body=b"\xef\xbb\xbf" + _JSON),
    "nan_code": Reply(body=b'{"code":NaN,"msg":"","data":null}'),
    "deep_json": Reply(body=b"[" * 100_000),
    "wrong_types": Reply(body=b'{"code":200,"msg":7,"data":[["taskId"]]}'),
    "huge": Reply(body=b" " * (MAX_BODY_BYTES + 1)),
    "bomb": Reply(body=_bomb(), headers={"Content-Encoding": "gzip"}),
    # What the API itself says.
    "unauthorized": Reply(body=build_error_response(ApiError("Unauthorized access", code=401))),
    "unknown_track": Reply(body=build_error_response(ApiError("record does not exist", code=404))),
    "server_error": Reply(body=build_error_response(ApiError("Server error", code=500))),
    "data_null": Reply(body=build_data_response(None)),
    "data_null_after_accept": Reply(body=build_data_response(None), accept=True),
    "record_null": Reply(body=build_error_response(ApiError("recordInfo is null", code=422))),
    # What a task can look like.
    "pending": _flag("PENDING"),
    "unknown_flag": _flag("QUEUED_FOR_REVIEW"),
    "success_without_url": _flag("SUCCESS"),
    # The host could not deliver its callback; the file is there all the same.
    "callback_exception": Reply(data={"successFlag": "CALLBACK_EXCEPTION"}, finished=True),
    "callback_exception_without_url": _flag("CALLBACK_EXCEPTION"),
    "create_failed": _flag("CREATE_TASK_FAILED", "Failed to create task"),
    "failed": _flag("GENERATE_MP4_FAILED", "Failed to generate the video"),
    # What a file host does.
    "expired": _html(403, "The link has expired"),
    "gone": _html(410, "Gone"),
    "range_ignored": Reply(ignore_range=True),
}

_OF_DIALECT: Mapping[str, tuple[type[ApiError], str]] = {
    "rate_limited": (RateLimitError, TOO_OFTEN),
    "no_credits": (InsufficientCreditsError, "Insufficient credits"),
    "maintenance": (MaintenanceError, "System maintenance"),
    "exists": (AlreadyExistsError, EXISTS),
}


def of_dialect(name: str, dialect: Dialect) -> Reply:
    """A refusal whose code differs between hosts: the last of those with that meaning."""
    kind, message = _OF_DIALECT[name]
    code = max(code for code, meaning in dialect.codes.items() if meaning is kind)
    if name == "no_credits" and 402 in dialect.codes:
        # docs.kie.ai: 433 is for sub-keys only.
        code = 402
    return Reply(body=build_error_response(ApiError(message, code=code)))


def named(name: str, dialect: Dialect) -> Reply:
    """The reply of that name.

    Raises:
        ValueError: there is none; names them all.
    """
    if name in _OF_DIALECT:
        return of_dialect(name, dialect)
    if name.startswith("code_") and name[5:].isdecimal():
        return Reply(body=build_error_response(ApiError("scripted", code=int(name[5:]))))
    if name not in FAULTS:
        known = ", ".join(sorted([*FAULTS, *_OF_DIALECT, "code_N"]))
        raise ValueError(f"no scripted answer is called {name!r}; there are {known}")
    return FAULTS[name]
