"""Hands out finished videos, whole or in part; knows only their unguessable names."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from .responses import error_response

_NAME = re.compile(r"[A-Za-z0-9_-]{20,64}\.mp4")
_RANGE = re.compile(r"bytes=(\d+-\d*|-0*[1-9]\d*)", re.ASCII)


class VideoFiles:
    """`GET /files/<name>.mp4`, with `Range`, `If-Range` and the other conditions of RFC 9110.

    Args:
        folder: where the videos are. A file appears in it whole, so any that is there is whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def routes(self) -> list[web.RouteDef]:
        """Where videos are handed out; the name alone is the permission, as with the vendor."""
        return [web.get("/files/{name}", self.video)]

    async def video(self, request: web.Request) -> web.StreamResponse:
        """One video."""
        name = request.match_info["name"]
        path = self._folder / name
        try:
            if not _NAME.fullmatch(name):
                raise FileNotFoundError(name)
            stat = path.stat()
        except OSError:
            return error_response(404, "There is no such file, or it has expired", status=404)
        etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        headers = {"Content-Type": "video/mp4", "Cache-Control": "private, max-age=3600"}
        return VersionedFile(path, etag=etag, headers=headers)


class VersionedFile(web.FileResponse):
    """aiohttp's file response, which reads only dates in `If-Range`, made to read tags too.

    Args:
        path: the file.
        etag: its entity tag, quoted; the one that aiohttp gives it as well.
        headers: more headers of the answer.
    """

    def __init__(self, path: Path, *, etag: str, headers: dict[str, str]) -> None:
        super().__init__(path, headers=headers)
        self._tag = etag

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers, then the file or the part of it."""
        if hdrs.RANGE in request.headers and not self._is_usable(request):
            # A part of another version is of no use to anybody, nor a range that says nothing.
            kept = {name: text for name, text in request.headers.items() if name != hdrs.RANGE}
            request = request.clone(headers=kept)
        return await super().prepare(request)

    def _is_usable(self, request: web.BaseRequest) -> bool:
        version = request.headers.get(hdrs.IF_RANGE, "")
        current = not version.removeprefix("W/").startswith('"') or version == self._tag
        return current and bool(_RANGE.fullmatch(request.headers[hdrs.RANGE]))
