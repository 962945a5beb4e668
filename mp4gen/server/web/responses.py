"""The API's answers as HTTP responses, and the table of its codes; decides nothing.

Whatever the API says, it says in the body's `code` under HTTP 200: so do the vendor's pages. Only
what is not the API's business (no such path, a body that is cut off) has an HTTP status too.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from mp4gen.api import protocol
from mp4gen.errors import ApiError

# docs.sunoapi.org, "Create Music Video", the table of body codes; those that this server sends.
DEFAULT_MESSAGES: Mapping[int, str] = {
    200: "success",
    400: "Invalid parameters",
    401: "You do not have access permissions",
    403: "Access denied",
    404: "Invalid request method or path",
    409: "Mp4 record already exists",
    413: "The request body is too large",
    430: "Your call frequency is too high. Please try again later.",
    455: "System maintenance",
    500: "Server error",
}
UNKNOWN_TRACK = "record does not exist"


def api_response(body: bytes, *, status: int = 200, retry_after: int | None = None) -> web.Response:
    """An answer of the API; `retry_after` in whole seconds."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def error_response(
    code: int, message: str | None = None, *, status: int = 200, retry_after: int | None = None
) -> web.Response:
    """A refusal by its code, in the table's words unless there are better ones."""
    error = ApiError(message or DEFAULT_MESSAGES[code], code=code)
    return api_response(
        protocol.build_error_response(error), status=status, retry_after=retry_after
    )
