"""Sends finished videos that are on another host, as aiohttp sends those of a folder."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus

from aiohttp import ETag, hdrs, web
from aiohttp.abc import AbstractStreamWriter

from mp4gen.server.troubles import TransientError
from mp4gen.server.videos.video_store import RemoteVideo

# Of each response, two of these are in memory.
_CHUNK = 1 << 20


def remote_response(
    request: web.Request, video: RemoteVideo, headers: dict[str, str], *, allow_range: bool
) -> web.StreamResponse:
    """Return the response with a video, or with the range of it that the request asks for.

    Args:
        request: The request.
        video: The video.
        headers: Additional headers of the response.
        allow_range: Whether the request's range, if there is one, is valid.
    """
    headers = {
        **headers,
        hdrs.ETAG: video.etag,
        hdrs.LAST_MODIFIED: format_datetime(video.modified.astimezone(UTC), usegmt=True),
        hdrs.ACCEPT_RANGES: "bytes",
    }
    if status := _failed_condition(request, video):
        return web.Response(status=status, headers=headers)
    part, complete = _requested_part(request, video, allow_range=allow_range), range(video.size)
    if part == complete:
        return _RemoteFile(video, part, status=200, headers=headers)
    if not part:
        headers[hdrs.CONTENT_RANGE] = f"bytes */{video.size}"
        return web.Response(status=416, headers=headers)
    headers[hdrs.CONTENT_RANGE] = f"bytes {part.start}-{part.stop - 1}/{video.size}"
    return _RemoteFile(video, part, status=206, headers=headers)


class _RemoteFile(web.StreamResponse):
    """A response that reads a part of a video while it is sent, as aiohttp's file response does."""

    def __init__(
        self, video: RemoteVideo, part: range, *, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = len(part)
        self._video, self._part = video, part

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers, and the part."""
        writer = await super().prepare(request)
        is_complete = request.method == hdrs.METH_HEAD or await _send(self, self._video, self._part)
        if not is_complete and request.transport is not None:
            # The headers are sent: a broken connection tells the client that this is not all.
            request.transport.abort()
        return writer


def _failed_condition(request: web.Request, video: RemoteVideo) -> HTTPStatus | None:
    """Return the status for a condition that the video does not meet (RFC 9110, section 13.2.2)."""
    modified = video.modified.replace(microsecond=0)
    if (wanted := request.if_match) is not None:
        if not _has_tag(wanted, video):
            return HTTPStatus.PRECONDITION_FAILED
    elif (since := request.if_unmodified_since) is not None and modified > since:
        return HTTPStatus.PRECONDITION_FAILED
    if (known := request.if_none_match) is not None:
        return HTTPStatus.NOT_MODIFIED if _has_tag(known, video) else None
    since = request.if_modified_since
    return HTTPStatus.NOT_MODIFIED if since is not None and modified <= since else None


def _has_tag(tags: tuple[ETag, ...], video: RemoteVideo) -> bool:
    return any(tag.value in {"*", video.etag.strip('"')} for tag in tags)


def _requested_part(request: web.Request, video: RemoteVideo, *, allow_range: bool) -> range:
    """Return the range to send, which is empty if it is beyond the end of the video."""
    since: datetime | None = request.if_range
    changed = since is not None and video.modified.replace(microsecond=0) > since
    wanted = request.http_range if allow_range and not changed else slice(None)
    return range(video.size)[wanted]


async def _send(response: web.StreamResponse, video: RemoteVideo, part: range) -> bool:
    """Send a part of the video, reading ahead one chunk; return whether that was possible."""
    reading: asyncio.Future[bytes] | None = None
    try:
        for at in range(part.start, part.stop, _CHUNK):
            stop = min(at + _CHUNK, part.stop)
            content = await (reading or video.read(at, stop))
            reading = None
            if stop < part.stop:
                reading = asyncio.ensure_future(video.read(stop, min(stop + _CHUNK, part.stop)))
            if len(content) < stop - at:
                return False
            await response.write(content)
    except TransientError:
        return False
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    return True
