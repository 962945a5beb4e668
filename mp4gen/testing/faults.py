"""Faults by name; pure data, sends nothing.

A fault works with every endpoint. With a name ending in `_after_accept` a submit creates its task
although the response is lost; with all others it creates none.
"""

import zlib
from collections.abc import Mapping

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

from .scripted_response import Connection, ScriptedResponse

RATE_LIMITED_MESSAGE = "Your call frequency is too high. Please try again later."
ALREADY_EXISTS_MESSAGE = "Mp4 record already exists"


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

# What each fault simulates, and how.
_FAULTS: Mapping[str, tuple[str, ScriptedResponse]] = {
    # The connection.
    "reset": (
        "The connection is reset before the response.",
        _cut(0, "reset"),
    ),
    "reset_after_accept": (
        "The request takes effect, then the connection is reset.",
        _cut(0, "reset", accept=True),
    ),
    "close_without_answer": (
        "The connection is closed before the response.",
        _cut(0),
    ),
    "close_after_accept": (
        "The request takes effect, then the connection is closed.",
        _cut(0, accept=True),
    ),
    "half_headers": (
        "The response ends within its headers.",
        _cut(30),
    ),
    "half_headers_after_accept": (
        "The request takes effect; the response ends within its headers.",
        _cut(30, accept=True),
    ),
    "truncated": (
        "The response ends 9 bytes early.",
        _cut(-9),
    ),
    "truncated_after_accept": (
        "The request takes effect; the response ends 9 bytes early.",
        _cut(-9, accept=True),
    ),
    "garbage": (
        "The response is not HTTP.",
        ScriptedResponse(raw_bytes=b"\x16\x03\x01 this is not HTTP\r\n\r\n", connection="close"),
    ),
    "hang": (
        "No response; the connection stays open.",
        _cut(0, "hang"),
    ),
    "hang_after_accept": (
        "The request takes effect; no response, the connection stays open.",
        _cut(0, "hang", accept=True),
    ),
    "slow_drip": (
        "The response arrives at one byte per second.",
        ScriptedResponse(body=_JSON, byte_delay=1.0),
    ),
    "slow_drip_after_accept": (
        "The request takes effect; the response arrives at one byte per second.",
        ScriptedResponse(take_effect=True, byte_delay=1.0),
    ),
    # Pages that do not come from the API.
    "html_200": (
        "A web page with status 200, as of a captive portal.",
        _html_page(200, "Welcome"),
    ),
    "html_404": (
        "A web page with status 404, as of a wrong base URL.",
        _html_page(404, "404 Not Found"),
    ),
    "html_405": (
        "A web page with status 405, as of a wrong base URL.",
        _html_page(405, "405 Method Not Allowed"),
    ),
    "html_429": (
        "A gateway's page: too many requests.",
        _html_page(429, "429 Too Many Requests"),
    ),
    "html_500": (
        "A gateway's page: internal error.",
        _html_page(500, "500 Internal Server Error"),
    ),
    "html_502": (
        "A gateway's page: bad gateway.",
        _html_page(502, "502 Bad Gateway"),
    ),
    "html_503": (
        "A gateway's page: service unavailable.",
        _html_page(503, "503 Service Unavailable"),
    ),
    "html_504": (
        "A gateway's page: time-out.",
        _html_page(504, "504 Gateway Time-out"),
    ),
    "html_502_after_accept": (
        "The request takes effect; a gateway answers 502.",
        _html_page(502, "502 Bad Gateway", take_effect=True),
    ),
    "html_504_after_accept": (
        "The request takes effect; a gateway answers 504.",
        _html_page(504, "504 Gateway Time-out", take_effect=True),
    ),
    "blocked": (
        "A firewall's text with status 403.",
        ScriptedResponse(status=403, body=b"error code: 1010"),
    ),
    "redirect": (
        "A redirect to another host.",
        ScriptedResponse(status=302, body=b"", headers={"Location": "https://example.com/"}),
    ),
    # Bodies that break the documented contract.
    "empty": (
        "Status 200 without a body.",
        ScriptedResponse(body=b""),
    ),
    "empty_after_accept": (
        "The request takes effect; status 200 without a body.",
        ScriptedResponse(body=b"", take_effect=True),
    ),
    "utf8_bom": (
        "A valid body after a byte order mark.",
        ScriptedResponse(body=b"\xef\xbb\xbf" + _JSON),
    ),
    "nan_code": (
        "A body whose code is NaN.",
        ScriptedResponse(body=b'{"code":NaN,"msg":"","data":null}'),
    ),
    "deep_json": (
        "A body of 100,000 nested arrays.",
        ScriptedResponse(body=b"[" * 100_000),
    ),
    "wrong_types": (
        "A body whose fields have wrong types.",
        ScriptedResponse(body=b'{"code":200,"msg":7,"data":[["taskId"]]}'),
    ),
    "huge": (
        "A body above the accepted size.",
        ScriptedResponse(body=b" " * (MAX_BODY_BYTES + 1)),
    ),
    "gzip_bomb": (
        "A small compressed body that expands above the accepted size.",
        ScriptedResponse(body=_gzip_bomb(), headers={"Content-Encoding": "gzip"}),
    ),
    # Errors and empty responses of the API.
    "unauthorized": (
        "The API's 401: wrong key.",
        _api_error(401, "Unauthorized access"),
    ),
    "unknown_track": (
        "The API's 422: the track does not exist.",
        _api_error(422, "Record does not exist"),
    ),
    "server_error": (
        "The API's 500.",
        _api_error(500, "Server error"),
    ),
    "record_null": (
        "The API's 422: the record does not exist (yet).",
        _api_error(422, "recordInfo is null"),
    ),
    "data_null": (
        "A success without data, as for an unknown task.",
        ScriptedResponse(body=build_data_response(None)),
    ),
    "data_null_after_accept": (
        "The request takes effect; a success without data.",
        ScriptedResponse(body=build_data_response(None), take_effect=True),
    ),
    # States of a task.
    "pending": (
        "The task is not finished.",
        _with_status("PENDING"),
    ),
    "unknown_flag": (
        "The task has a status that is not documented.",
        _with_status("QUEUED_FOR_REVIEW"),
    ),
    "success_without_url": (
        "The task has succeeded, but its URL is missing.",
        _with_status("SUCCESS"),
    ),
    # The host could not deliver its callback, but the file exists.
    "callback_exception": (
        "The callback was not delivered; the video exists.",
        ScriptedResponse(data={"successFlag": "CALLBACK_EXCEPTION"}, force_finished=True),
    ),
    "callback_exception_without_url": (
        "The callback was not delivered; the URL is missing.",
        _with_status("CALLBACK_EXCEPTION"),
    ),
    "create_failed": (
        "The task has failed: CREATE_TASK_FAILED.",
        _with_status("CREATE_TASK_FAILED", "Failed to create task"),
    ),
    "failed": (
        "The task has failed: GENERATE_MP4_FAILED.",
        _with_status("GENERATE_MP4_FAILED", "Failed to generate the video"),
    ),
    # A file host.
    "expired": (
        "A file host's page: the link has expired.",
        _html_page(403, "The link has expired"),
    ),
    "gone": (
        "A file host's page: the file is gone.",
        _html_page(410, "Gone"),
    ),
    "range_ignored": (
        "A file is sent whole, although a range was requested.",
        ScriptedResponse(ignore_range=True),
    ),
}

_DIALECT_ERRORS: Mapping[str, tuple[str, type[ApiError], str]] = {
    "rate_limited": ("The API's error for too many calls.", RateLimitError, RATE_LIMITED_MESSAGE),
    "no_credits": (
        "The API's error for missing credits.",
        InsufficientCreditsError,
        "Insufficient credits",
    ),
    "maintenance": ("The API's 455: maintenance.", MaintenanceError, "System maintenance"),
    "exists": (
        "The API's error for a track that has a video; without its task id.",
        AlreadyExistsError,
        ALREADY_EXISTS_MESSAGE,
    ),
}

FAULTS: Mapping[str, ScriptedResponse] = {name: fault for name, (_, fault) in _FAULTS.items()}
"""The response of each fault that is the same on all hosts, by name."""

FAULT_MEANINGS: Mapping[str, str] = {
    **{name: fault[0] for name, fault in _FAULTS.items()},
    **{name: fault[0] for name, fault in _DIALECT_ERRORS.items()},
    "code_N": "The API's error with any code, such as code_413.",
    "ok": "The default response.",
}
"""What each name that `FakeService.script` accepts simulates."""


def dialect_error(name: str, dialect: Dialect) -> ScriptedResponse:
    """Return an error whose code differs between hosts: the highest code with that meaning."""
    _, error_class, message = _DIALECT_ERRORS[name]
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
        names = ", ".join(sorted(FAULT_MEANINGS))
        raise ValueError(f"Unknown fault: {name!r}. Use one of: {names}.")
    return FAULTS[name]
