"""Sends music files to the page; a music folder that hangs never blocks the server."""

import mimetypes
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aiohttp import hdrs, web

from mp4gen.errors import InvalidRequestError
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.troubles import TransientError

from .page_assets import SECURITY_HEADERS

_CHUNK = 256 << 10


async def send_music(
    request: web.Request,
    library: LibraryReader,
    path: Path,
    headers: Mapping[str, str] = SECURITY_HEADERS,
) -> web.StreamResponse:
    """Answer with an audio file, or with the range of it that the request asks for.

    Args:
        request: The request.
        library: Reads the file.
        path: The file.
        headers: Additional headers of the response.

    Raises:
        InvalidRequestError: The file cannot be read (code 404).
        MusicUnavailableError: The music folder does not answer.
    """
    try:
        # aiohttp's own file response reads in the threads that send the finished videos, too.
        file: BinaryIO = await library.run(path.open, "rb")
    except OSError:
        raise InvalidRequestError("The file cannot be read.", code=404) from None
    try:
        size = await library.run(file.seek, 0, 2)
        start, stop, is_partial = _range(request, size)
        response = _response(path, size, start, stop, headers, is_partial=is_partial)
        await response.prepare(request)
        is_complete = request.method == hdrs.METH_HEAD or await _send(
            response, library, file, range(start, stop)
        )
        if not is_complete and request.transport is not None:
            # The headers are sent: a broken connection tells the browser that this is not all.
            request.transport.abort()
        return response
    finally:
        with suppress(TransientError):
            await library.run(file.close)


def _range(request: web.Request, size: int) -> tuple[int, int, bool]:
    """Return the first byte, the byte after the last one, and whether that is a part."""
    try:
        wanted = request.http_range
    except ValueError:
        wanted = slice(None)
    # Without validators there is no version that `If-Range` could mean.
    if hdrs.IF_RANGE in request.headers or wanted == slice(None, None, 1) or wanted == slice(None):
        return 0, size, False
    start, stop, _ = wanted.indices(size)
    if start >= stop:
        headers = {hdrs.CONTENT_RANGE: f"bytes */{size}"}
        raise web.HTTPRequestRangeNotSatisfiable(headers=headers)
    return start, stop, True


def _response(
    path: Path, size: int, start: int, stop: int, extra: Mapping[str, str], *, is_partial: bool
) -> web.StreamResponse:
    headers = {
        **extra,
        hdrs.CONTENT_TYPE: mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        hdrs.CONTENT_LENGTH: str(stop - start),
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.CACHE_CONTROL: "no-cache",
    }
    if is_partial:
        headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{size}"
    return web.StreamResponse(status=206 if is_partial else 200, headers=headers)


async def _send(
    response: web.StreamResponse, library: LibraryReader, file: BinaryIO, part: range
) -> bool:
    """Send a part of the file; return whether that was possible."""
    try:
        await library.run(file.seek, part.start)
        for at in range(part.start, part.stop, _CHUNK):
            chunk = await library.run(file.read, min(_CHUNK, part.stop - at))
            await response.write(chunk)
            if len(chunk) < min(_CHUNK, part.stop - at):
                return False
    except (OSError, TransientError):
        return False
    return True
