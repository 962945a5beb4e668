"""Handles the page's requests for images and music, and the changes by its user."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from mp4gen import filesystem
from mp4gen.errors import InvalidRequestError
from mp4gen.models import VideoRequest
from mp4gen.server.data_dir import random_token
from mp4gen.server.library import uploads
from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.library.track_images import read_cached, write_cached
from mp4gen.server.queue.admission import RejectReason
from mp4gen.server.queue.retention import delete_task, delete_tasks
from mp4gen.server.queue.task import Task, TaskState
from mp4gen.server.rendering.video_options import ASPECT_RATIOS, style_for
from mp4gen.server.videos.video_store import LocalVideo

from .api import new_task, request_base_url
from .music_files import send_music
from .page_assets import SessionHandler, read_json, require_session
from .page_state import PageState
from .responses import UNKNOWN_TRACK
from .services import Services

_MAX_PREVIEW_SIDE = 540
_DAY = 86400
_DELETED_TOGETHER = {"waiting": TaskState.QUEUED, "failed": TaskState.FAILED}
_REJECTIONS = {
    RejectReason.MAINTENANCE: (503, "The server is under maintenance."),
    RejectReason.DISK_FULL: (507, "The server's disk is full."),
    RejectReason.QUEUE_FULL: (503, "Too many videos are queued. Try again later."),
}


class PageApi:
    """The handlers of the page's requests; each needs a session.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._state = PageState(services)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the page's script; all but GET need the session's token."""

        def route(method: str, path: str, handler: SessionHandler, **options: Any) -> web.RouteDef:
            checked = require_session(
                self._services.sessions, handler, needs_csrf_token=method != "GET"
            )
            return web.route(method, path, checked, **options)

        return [
            route("GET", "/page/state", self._state.state),
            route("GET", "/page/library", self._state.library),
            route("GET", "/page/videos", self._state.videos),
            route("GET", "/page/events", self._state.events, allow_head=False),
            route("GET", "/page/cover", self.cover),
            route("GET", "/page/music", self.music),
            route("GET", "/page/preview", self.preview),
            route("GET", "/page/waveform", self.waveform),
            route("GET", "/page/thumbnail", self.thumbnail),
            route("POST", "/page/videos", self.create_video),
            route("DELETE", "/page/videos/{task_id}", self.delete_video),
            route("DELETE", "/page/videos", self.delete_videos),
            route("POST", "/page/upload", self.upload),
        ]

    # --- one track --------------------------------------------------------------------------

    async def cover(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a track's square cover."""
        return _jpeg(await self._services.images.cover(await self._track(request)), _DAY)

    async def music(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a track's audio file."""
        track = await self._track(request)
        return await send_music(request, self._services.library, track.path)

    async def preview(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a frame of the video that would be created."""
        track = await self._track(request)
        image = await self._services.images.preview(
            track,
            _captions(_video_request(track, request.query)),
            self._style(_aspect_ratio(request.query)),
            is_still_needed=_is_connected(request),
        )
        # The page requests it twice: once to decode it, once to show it.
        return _jpeg(image, 60)

    async def waveform(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with the loudness of a track's parts."""
        text = await self._services.images.waveform(
            await self._track(request), is_still_needed=_is_connected(request)
        )
        headers = {"Cache-Control": f"private, max-age={_DAY}"}
        return web.Response(body=text, content_type="application/json", headers=headers)

    async def thumbnail(self, request: web.Request, account: str) -> web.StreamResponse:
        """Answer with a small image of a video, also before it is rendered."""
        task = self._get_own_task(request.query.get("id", ""), account)
        cache_path = self._services.data.thumbnail_path(task.filename)
        image = await asyncio.to_thread(read_cached, cache_path)
        if image is None:
            image = await self._render_thumbnail(task)
            await asyncio.to_thread(write_cached, cache_path, image)
            if self._services.store.get(task.task_id) is None:
                # The video was deleted in the meantime.
                await asyncio.to_thread(filesystem.remove, cache_path)
        return _jpeg(image, _DAY)

    async def _render_thumbnail(self, task: Task) -> bytes:
        images = self._services.images
        if task.state is TaskState.DONE:
            return await images.video_thumbnail(await self._find_video(task))
        track = await self._find(task.music_task_id, task.audio_id)
        return await images.thumbnail(track, _captions(task), self._style(task.aspect_ratio))

    async def _find_video(self, task: Task) -> Path | str:
        found = await self._services.videos.find(task.filename)
        if found is None:
            raise InvalidRequestError("The file of this video is gone.", code=404)
        return found.path if isinstance(found, LocalVideo) else await found.link("GET")

    def _style(self, aspect_ratio: str | None) -> dict[str, Any]:
        style = style_for(self._services.config.style, aspect_ratio)
        short = min(int(style["width"]), int(style["height"]))
        for side in ("width", "height"):
            style[side] = int(style[side] * min(1, _MAX_PREVIEW_SIDE / short)) // 2 * 2
        return style

    async def _track(self, request: web.Request) -> LibraryTrack:
        return await self._find(request.query.get("task", ""), request.query.get("audio", ""))

    async def _find(self, task_id: Any, audio_id: Any) -> LibraryTrack:
        track = await self._services.library.find(str(task_id), str(audio_id))
        if track is None:
            raise InvalidRequestError(UNKNOWN_TRACK, code=404)
        return track

    # --- changes ----------------------------------------------------------------------------

    async def create_video(self, request: web.Request, account: str) -> web.StreamResponse:
        """Queue a video; on the page a track may have any number of videos."""
        self._require_capacity(account)
        body = await read_json(request)
        track = await self._find(body.get("task"), body.get("audio"))
        task = new_task(
            account,
            _video_request(track, body),
            track,
            request_base_url(request, self._services.config),
            render_variant=f"page-{random_token()}",
            aspect_ratio=_aspect_ratio(body),
            audio_mode="copy" if body.get("audio_mode") == "copy" else "compatible",
        )
        await self._services.admission.accept(task, track.path)
        return web.json_response({"id": task.task_id})

    async def delete_video(self, request: web.Request, account: str) -> web.StreamResponse:
        """Delete a video, or cancel its render."""
        task = self._get_own_task(request.match_info["task_id"], account)
        await delete_task(self._services.store, self._services.videos, task, "on the page")
        self._services.scheduler.cancel(task.task_id)
        self._services.feed.notify()
        return web.json_response({})

    async def delete_videos(self, request: web.Request, account: str) -> web.StreamResponse:
        """Cancel all videos that wait, or delete all that failed."""
        state = _DELETED_TOGETHER.get(request.query.get("state", ""))
        if state is None:
            raise InvalidRequestError("The state must be waiting or failed.", code=400)
        store, videos = self._services.store, self._services.videos
        deleted = await delete_tasks(store, videos, account, state, "deleted on the page")
        for task in deleted:
            self._services.scheduler.cancel(task.task_id)
        self._services.feed.notify()
        return web.json_response({"deleted": len(deleted)})

    async def upload(self, request: web.Request, account: str) -> web.StreamResponse:
        """Add an audio file to the library if it can be decoded."""
        self._require_capacity(account)
        config = self._services.config
        library = self._services.library
        name = uploads.safe_name(request.query.get("name", ""))
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
            path = await library.run(uploads.commit_upload, part, name)
        finally:
            await uploads.remove_part(library, part)
        self._services.feed.notify_library()
        found = await self._find(uploads.FOLDER, path.name)
        return web.json_response({"task": found.task_id, "audio": found.audio_id})

    def _get_own_task(self, task_id: str, account: str) -> Task:
        task = self._services.store.get(task_id)
        if task is None or task.account != account:
            raise InvalidRequestError("This video does not exist any more.", code=404)
        return task

    def _require_capacity(self, account: str) -> None:
        if reject_reason := self._services.admission.reject_reason_for(account):
            status, message = _REJECTIONS[reject_reason]
            raise InvalidRequestError(message, code=status)


def _is_connected(request: web.Request) -> Callable[[], bool]:
    """Return a function for `is_still_needed`: the page drops what a later choice replaces."""
    return lambda: request.transport is not None


def _jpeg(image: bytes, max_age: int) -> web.Response:
    headers = {"Cache-Control": f"private, max-age={max_age}"}
    return web.Response(body=image, content_type="image/jpeg", headers=headers)


def _captions(source: VideoRequest | Task) -> dict[str, str | None]:
    return {"author": source.author, "domain_name": source.domain_name}


def _video_request(track: LibraryTrack, fields: Any) -> VideoRequest:
    return VideoRequest(
        track.task_id,
        track.audio_id,
        author=fields.get("author") or None,
        domain_name=fields.get("domainName") or None,
    )


def _aspect_ratio(fields: Any) -> str | None:
    aspect_ratio = fields.get("aspect_ratio")
    return aspect_ratio if aspect_ratio in ASPECT_RATIOS else None
