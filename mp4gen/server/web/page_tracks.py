"""Handles the page's requests for the images and the music of tracks."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from aiohttp import web

from mp4gen.errors import InvalidRequestError
from mp4gen.models import VideoRequest
from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.rendering.video_options import PICTURE_PREFIX, style_for

from .music_files import send_music
from .responses import UNKNOWN_TRACK
from .services import Services
from .video_fields import VideoFields, parse_video_fields

# Pixels of the shorter side of the large preview, and of the one that is scaled down for a look.
_LARGE, _SMALL = 540, 270
_DAY = 86400


class PageTracks:
    """What the page shows of tracks; each handler needs a session.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def cover(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a track's square cover."""
        return jpeg(await self._services.images.cover(await self._track(request)), _DAY)

    async def music(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a track's audio file."""
        track = await self._track(request)
        return await send_music(request, self._services.library, track.path)

    async def waveform(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with the loudness of a track's parts."""
        text = await self._services.images.waveform(
            await self._track(request), is_still_needed=_is_connected(request)
        )
        headers = {"Cache-Control": f"private, max-age={_DAY}"}
        return web.Response(body=text, content_type="application/json", headers=headers)

    async def preview(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a frame of the video that would be created."""
        track = await self._track(request)
        fields = video_fields(self._services, request.query)
        is_small = request.query.get("size") == "small"
        image = await self._services.images.preview(
            track,
            captions(video_request(track, request.query)),
            preview_style(self._services, fields, _SMALL if is_small else _LARGE),
            fields.options,
            is_small=is_small,
            is_still_needed=_is_connected(request),
        )
        # The page requests it twice: once to decode it, once to show it.
        return jpeg(image, 60)

    async def _track(self, request: web.Request) -> LibraryTrack:
        query = request.query
        return await find_track(self._services, query.get("task", ""), query.get("audio", ""))


async def find_track(services: Services, task_id: Any, audio_id: Any) -> LibraryTrack:
    """Return a track by its ids.

    Raises:
        InvalidRequestError: There is no such track (code 404).
    """
    track = await services.library.find(str(task_id), str(audio_id))
    if track is None:
        raise InvalidRequestError(UNKNOWN_TRACK, code=404)
    return track


def video_request(track: LibraryTrack, fields: Mapping[str, Any]) -> VideoRequest:
    """Return the request that the page's fields stand for."""
    return VideoRequest(
        track.task_id,
        track.audio_id,
        author=fields.get("author") or None,
        domain_name=fields.get("domainName") or None,
    )


def video_fields(services: Services, fields: Mapping[str, Any]) -> VideoFields:
    """Return the optional fields of the API, and the page's own: `picture`, `cover`, `lyricsFile`.

    Raises:
        InvalidRequestError: A field is invalid (code 400), or a file is gone (code 404).
    """
    found = parse_video_fields({**fields, "lyrics": _lyrics(services, fields)})
    pictures = {name: fields.get(name) or None for name in ("picture", "cover")}
    for name in pictures.values():
        if name is not None and not services.data.has_picture(str(name)):
            raise InvalidRequestError("Your picture is gone. Add it again.", code=404)
    options = attrs.evolve(found.options, cover=pictures["cover"])
    if pictures["picture"] is not None:
        options = attrs.evolve(options, background=PICTURE_PREFIX + pictures["picture"])
    return attrs.evolve(found, options=options)


def _lyrics(services: Services, fields: Mapping[str, Any]) -> Any:
    name = fields.get("lyricsFile")
    if not name:
        return fields.get("lyrics")
    text = services.data.read_lyrics(str(name))
    if text is None:
        raise InvalidRequestError("Your lyrics are gone. Add them again.", code=404)
    return text


def preview_style(services: Services, fields: VideoFields, short_side: int) -> dict[str, Any]:
    """Return the style of a video, whose shorter side has at most `short_side` pixels."""
    config, pictures = services.config, services.data.pictures
    style = style_for(config.style, fields.aspect_ratio, fields.options, pictures)
    scale = min(1, short_side / min(style["width"], style["height"]))
    for side in ("width", "height"):
        style[side] = int(style[side] * scale) // 2 * 2
    return style


def captions(source: Any) -> dict[str, str | None]:
    """Return the texts of a request or a task, as the renderer takes them."""
    return {"author": source.author, "domain_name": source.domain_name}


def jpeg(image: bytes, max_age: int) -> web.Response:
    """Return the response with an image that the browser may keep for `max_age` seconds."""
    headers = {"Cache-Control": f"private, max-age={max_age}"}
    return web.Response(body=image, content_type="image/jpeg", headers=headers)


def _is_connected(request: web.Request) -> Callable[[], bool]:
    """Return a function for `is_still_needed`: the page drops what a later choice replaces."""
    return lambda: request.transport is not None
