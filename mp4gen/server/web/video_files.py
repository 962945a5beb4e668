"""Serves finished videos under their unguessable names."""

import re
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from mp4gen.server.videos.video_store import VideoStore

from .responses import error_response

_NAME = re.compile(r"[A-Za-z0-9_-]{20,64}\.mp4")
_RANGE = re.compile(r"bytes=(\d+-\d*|-0*[1-9]\d*)", re.ASCII)


class VideoFiles:
    """`GET /files/<name>.mp4`, with `Range`, `If-Range` and the other conditions of RFC 9110.

    Args:
        videos: The place of the videos, which appear in it complete.
    """

    def __init__(self, videos: VideoStore) -> None:
        self._videos = videos

    def routes(self) -> list[web.RouteDef]:
        """Return the route; the name is the only permission, as on the vendor's host."""
        return [web.get("/files/{name}", self.video)]

    async def video(self, request: web.Request) -> web.StreamResponse:
        """Send one video or a part of it."""
        name = request.match_info["name"]
        found = await self._videos.find(name) if _NAME.fullmatch(name) else None
        if found is None:
            return error_response(404, "Unknown or expired file.", status=404)
        headers = {"Content-Type": "video/mp4", "Cache-Control": "private, max-age=3600"}
        return VersionedFile(found.path, etag=found.etag, headers=headers)


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
        if hdrs.RANGE in request.headers and not self._is_usable(request):
            kept = {name: text for name, text in request.headers.items() if name != hdrs.RANGE}
            request = request.clone(headers=kept)
        return await super().prepare(request)

    def _is_usable(self, request: web.BaseRequest) -> bool:
        version = request.headers.get(hdrs.IF_RANGE, "")
        current = not version.removeprefix("W/").startswith('"') or version == self._tag
        return current and bool(_RANGE.fullmatch(request.headers[hdrs.RANGE]))
