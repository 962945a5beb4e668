"""Handles the page's uploads: songs for the library, pictures and lyrics for videos."""

import asyncio

from aiohttp import web

from mp4gen.errors import InvalidRequestError, RenderError
from mp4gen.lyrics.decoding import decode_lines
from mp4gen.lyrics.files import parse_lyrics
from mp4gen.render.options import MAX_PICTURE_BYTES
from mp4gen.server.library import uploads
from mp4gen.server.library.library import LibraryTrack

from .api import read_body
from .page_tracks import find_track
from .page_videos import require_capacity
from .services import Services
from .video_fields import MAX_LYRICS_BYTES


class PageUploads:
    """What the page adds; each handler needs a session.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def song(self, request: web.Request, account: str) -> web.StreamResponse:
        """Add an audio file to the library if it can be decoded."""
        require_capacity(self._services, account)
        config, library = self._services.config, self._services.library
        name = uploads.safe_name(request.query.get("name", ""))
        folder = uploads.folder_for(request.query.get("folder", ""))
        part = await uploads.receive(
            request, library, config.max_upload_bytes, min_free_bytes=config.min_free_bytes
        )
        try:
            stat = await library.run(part.stat)
            track = LibraryTrack(uploads.FOLDER, name, part, stat.st_size, stat.st_mtime)
            info = await self._services.metadata_cache.info(track)
            if info.problem is not None:
                code = 503 if info.is_temporary else 400
                raise InvalidRequestError(info.problem.replace(part.name, name), code=code)
            path = await library.run(uploads.commit_upload, part, folder, name)
        finally:
            await uploads.remove_part(library, part)
        self._services.feed.notify_library()
        found = await find_track(self._services, folder, path.name)
        return web.json_response({"task": found.task_id, "audio": found.audio_id})

    async def picture(self, request: web.Request, account: str) -> web.StreamResponse:
        """Keep a picture for videos of this user; it goes when no video has it any more."""
        require_capacity(self._services, account)
        data = self._services.data
        content = await read_body(request, MAX_PICTURE_BYTES)
        try:
            picture = await self._services.images.convert_picture(content)
        except RenderError as error:
            raise InvalidRequestError(str(error), code=400) from error
        name = await asyncio.to_thread(data.save_picture, picture)
        if name is None:
            message = "The server has no room for more pictures. Delete videos that have some."
            raise InvalidRequestError(message, code=507)
        return web.json_response({"id": name})

    async def lyrics(self, request: web.Request, account: str) -> web.StreamResponse:
        """Keep a file of lyrics until videos are made with it."""
        require_capacity(self._services, account)
        content = await read_body(request, MAX_LYRICS_BYTES)
        name = request.query.get("name", "")
        try:
            lyrics = parse_lyrics(content, name)
        except RenderError as error:
            raise InvalidRequestError(str(error), code=400) from error
        if not lyrics.lines:
            raise InvalidRequestError(
                f"The lyrics have no times: {name}. Use another file.", code=400
            )
        text = "\n".join(decode_lines(content, name))
        saved = await asyncio.to_thread(self._services.data.save_lyrics, text)
        return web.json_response({"id": saved})
