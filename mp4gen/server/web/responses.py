"""Builds HTTP responses from the API's bodies, and holds the table of its codes.

As on the vendor's pages, the API reports errors in the body's `code` under HTTP 200. Only errors
outside the API (an unknown path, a truncated body) have an HTTP status of their own.
"""

from collections.abc import Mapping

from aiohttp import web

from mp4gen.api import protocol
from mp4gen.api.responses import DUPLICATES_HEADER, DUPLICATES_REJECTED
from mp4gen.errors import ApiError

# The codes that this server sends (docs.sunoapi.org, "Create Music Video", table of body codes).
DEFAULT_MESSAGES: Mapping[int, str] = {
    200: "success",
    400: "Invalid parameters",
    401: "You do not have access permissions",
    403: "Access denied",
    404: "Invalid request method or path",
    409: "Mp4 record already exists",
    413: "The request body is too large",
    422: "Record does not exist",
    430: "Your call frequency is too high. Please try again later.",
    455: "System maintenance",
    500: "Server error",
}
# As the vendor answers a submit for an unknown track, under code 422.
UNKNOWN_TRACK = "Record does not exist"


def api_response(body: bytes, *, status: int = 200, retry_after: int | None = None) -> web.Response:
    """Return a response of the API; `retry_after` is in whole seconds."""
    # Clients that know it send a submit again after its response was lost.
    headers = {DUPLICATES_HEADER: DUPLICATES_REJECTED}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def error_response(
    code: int, message: str | None = None, *, status: int = 200, retry_after: int | None = None
) -> web.Response:
    """Return an error response, with the code's default message unless another is passed."""
    error = ApiError(message or DEFAULT_MESSAGES[code], code=code)
    return api_response(
        protocol.build_error_response(error), status=status, retry_after=retry_after
    )
