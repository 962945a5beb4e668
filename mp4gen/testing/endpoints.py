"""The endpoints of the API by name, and requests as they arrived."""

from collections.abc import Mapping
from typing import Literal, get_args

from aiohttp import web

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.api.timestamped_lyrics import LYRICS_PATH

from .state import RecordedRequest

Endpoint = Literal["create", "details", "tracks", "lyrics", "credits", "download_url", "file", "*"]
_ENDPOINTS: Mapping[tuple[str, str], str] = {
    ("POST", protocol.GENERATE_PATH): "create",
    ("GET", protocol.DETAILS_PATH): "details",
    ("GET", protocol.TRACKS_PATH): "tracks",
    ("POST", LYRICS_PATH): "lyrics",
    ("GET", Dialect.SUNO.credits_path): "credits",
    ("GET", Dialect.KIE.credits_path): "credits",
    ("POST", Dialect.KIE.download_url_path or ""): "download_url",
}


def known_endpoint(endpoint: Endpoint) -> Endpoint:
    """Return `endpoint`.

    Raises:
        ValueError: It is unknown; the text lists all names.
    """
    if endpoint not in get_args(Endpoint):
        names = ", ".join(get_args(Endpoint))
        raise ValueError(f"Unknown endpoint: {endpoint!r}. Use one of: {names}.")
    return endpoint


def endpoint_of(method: str, path: str) -> str:
    """Return the name of the endpoint of a request, "" if there is none."""
    if path.startswith("/files/"):
        return "file"
    return _ENDPOINTS.get((method, path), "")


async def record(
    request: web.Request, endpoint: str, now: float, *, rate_limited: bool
) -> RecordedRequest:
    """Read a request as tests see it."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    scheme, _, key = headers.pop("authorization", "").partition(" ")
    return RecordedRequest(
        received_at=now,
        endpoint=endpoint,
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers=headers,
        key=key if scheme == "Bearer" else None,
        body=await request.read(),
        rate_limited=rate_limited,
    )
