"""Serves the music files and covers that `audioUrl` and `imageUrl` of the API link to."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from mp4gen.errors import ApiError, InvalidRequestError, Mp4GenError
from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.troubles import TRANSIENT_ERRORS, describe_trouble

from .music_files import send_music
from .music_links import Kind
from .responses import error_response
from .services import Services

# Players on other sites may use it, as they may use a finished video.
_HEADERS = {"Cross-Origin-Resource-Policy": "cross-origin"}
_MAX_AGE = 3600
_Handler = Callable[[web.Request, LibraryTrack], Awaitable[web.StreamResponse]]


class LinkedFiles:
    """`GET /music/...` and `GET /covers/...`; the signature of the link is the only permission.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        """Return the two routes."""
        return [
            web.get("/music/{name}", self._verified("music", self.music)),
            web.get("/covers/{name}", self._verified("covers", self.cover)),
        ]

    def _verified(
        self, kind: Kind, handler: _Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return `handler` with the check of the link and the error responses."""

        async def check(request: web.Request) -> web.StreamResponse:
            ids = self._services.links.verify(kind, request.query, time.time())
            try:
                track = await self._services.library.find(*ids) if ids else None
                if track is None:
                    raise InvalidRequestError("Unknown or expired link.", code=404)
                return await handler(request, track)
            except ApiError as error:
                return error_response(error.code, error.message, status=error.code)
            except TRANSIENT_ERRORS as error:
                return error_response(455, describe_trouble(error), status=503)
            except Mp4GenError as error:
                return error_response(404, str(error), status=404)

        return check

    async def music(self, request: web.Request, track: LibraryTrack) -> web.StreamResponse:
        """Answer with a track's audio file, or a part of it."""
        return await send_music(request, self._services.library, track.path, _HEADERS)

    async def cover(self, _: web.Request, track: LibraryTrack) -> web.StreamResponse:
        """Answer with a track's square cover."""
        image = await self._services.images.cover(track)
        headers = {**_HEADERS, "Cache-Control": f"private, max-age={_MAX_AGE}"}
        return web.Response(body=image, content_type="image/jpeg", headers=headers)
