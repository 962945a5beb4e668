"""Serves finished videos under their unguessable names."""

import re
from pathlib import Path
from typing import Literal

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from mp4gen.server.troubles import TransientError, describe_trouble
from mp4gen.server.videos.video_store import LocalVideo, RemoteVideo

from .remote_videos import remote_response
from .responses import error_response
from .services import Services

_NAME = re.compile(r"[A-Za-z0-9_-]{20,64}\.mp4")
_RANGE = re.compile(r"bytes=(\d+-\d*|-0*[1-9]\d*)", re.ASCII)
_HEADERS = {"Content-Type": "video/mp4", "Cache-Control": "private, max-age=3600"}


class VideoFiles:
    """`GET /files/<name>.mp4`, with `Range`, `If-Range` and the other conditions of RFC 9110.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        # Videos appear in it complete.
        self._videos = services.videos
        # The bucket's host then sends its videos itself.
        self._redirects = services.config.file_links == "presigned"

    def routes(self) -> list[web.RouteDef]:
        """Return the route; the name is the only permission, as on the vendor's host."""
        return [web.get("/files/{name}", self.video)]

    async def video(self, request: web.Request) -> web.StreamResponse:
        """Send one video or a part of it, or redirect to it."""
        name = request.match_info["name"]
        try:
            found = await self._videos.find(name) if _NAME.fullmatch(name) else None
            if found is None:
                return error_response(404, "Unknown or expired file.", status=404)
            if isinstance(found, LocalVideo):
                return VersionedFile(found.path, etag=found.etag, headers=_HEADERS)
            if self._redirects:
                return await _redirect(request, found)
        except TransientError as error:
            return error_response(455, describe_trouble(error), status=503)
        usable = is_range_usable(request, found.etag)
        return remote_response(request, found, _HEADERS, allow_range=usable)


async def _redirect(request: web.Request, video: RemoteVideo) -> web.Response:
    # The link is valid for this method only, and not for long.
    method: Literal["GET", "HEAD"] = "HEAD" if request.method == hdrs.METH_HEAD else "GET"
    headers = {hdrs.LOCATION: await video.link(method), hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(status=302, headers=headers)


def is_range_usable(request: web.BaseRequest, etag: str) -> bool:
    """Return whether a requested range is valid, and of the version with this tag."""
    version = request.headers.get(hdrs.IF_RANGE, "")
    current = not version.removeprefix("W/").startswith('"') or version == etag
    return current and bool(_RANGE.fullmatch(request.headers.get(hdrs.RANGE, "")))


class VersionedFile(web.FileResponse):
    """aiohttp's file response, which supports only dates in `If-Range`, with entity tags too.

    Args:
        path: The file.
        etag: Its entity tag, quoted; the same that aiohttp sends.
        headers: Additional headers of the response.
    """

    def __init__(self, path: Path, *, etag: str, headers: dict[str, str]) -> None:
        super().__init__(path, headers=headers)
        self._tag = etag

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers, and ignore a range that is invalid or of another version."""
        if hdrs.RANGE in request.headers and not is_range_usable(request, self._tag):
            kept = {name: text for name, text in request.headers.items() if name != hdrs.RANGE}
            request = request.clone(headers=kept)
        return await super().prepare(request)
