"""Handles the page's requests: its state, its events, images, and changes by its user."""

import asyncio
import contextlib
import json
import math
import time
from typing import Any

import attrs
from aiohttp import web

from mp4gen.errors import InvalidRequestError
from mp4gen.models import VideoRequest
from mp4gen.server.data_dir import random_token
from mp4gen.server.library import uploads
from mp4gen.server.library.library import SUFFIXES, LibraryTrack
from mp4gen.server.library.metadata_cache import read_cached, write_cached
from mp4gen.server.queue.admission import RejectReason
from mp4gen.server.queue.retention import delete_task
from mp4gen.server.queue.task import Task, TaskState
from mp4gen.server.rendering.aspect_ratio import ASPECT_RATIOS, style_for

from .api import new_task, request_base_url
from .change_feed import MIN_INTERVAL
from .music_files import send_music
from .page_assets import SECURITY_HEADERS, SessionHandler, read_json, require_session
from .responses import UNKNOWN_TRACK
from .services import Services

_MAX_VIDEOS = 200
_MAX_PREVIEW_SIDE = 540
_DAY = 86400
_LOST = "The file of this video is gone. Create the video again."
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
        self._event_cache: dict[str, tuple[tuple[int, int] | None, bytes]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the page's script; all but GET need the session's token."""

        def route(method: str, path: str, handler: SessionHandler, **options: Any) -> web.RouteDef:
            checked = require_session(
                self._services.sessions, handler, needs_csrf_token=method != "GET"
            )
            return web.route(method, path, checked, **options)

        return [
            route("GET", "/page/state", self.state),
            route("GET", "/page/events", self.events, allow_head=False),
            route("GET", "/page/cover", self.cover),
            route("GET", "/page/music", self.music),
            route("GET", "/page/preview", self.preview),
            route("GET", "/page/thumbnail", self.thumbnail),
            route("POST", "/page/videos", self.create_video),
            route("DELETE", "/page/videos/{task_id}", self.delete_video),
            route("POST", "/page/upload", self.upload),
        ]

    # --- state ------------------------------------------------------------------------------

    async def state(self, request: web.Request, account: str) -> web.StreamResponse:
        """Answer with everything the page shows, and the token for its changes."""
        estimate = self._services.scheduler.estimate_render_time
        library = [
            {
                "task": track.task_id,
                "audio": track.audio_id,
                "title": info.title or track.path.stem,
                "artist": info.artist,
                "duration": info.duration,
                "render_seconds": math.ceil(estimate(info.duration or track.estimated_duration)),
                "problem": info.problem,
            }
            for track, info in await self._services.metadata_cache.tracks()
        ]
        settings = {
            "token": self._services.sessions.csrf_token(account),
            "library": library,
            "extensions": SUFFIXES,
            "max_upload_bytes": self._services.config.max_upload_bytes,
            "requires_key": not self._services.sessions.is_open,
        }
        return web.json_response(settings | self._live_state(account))

    async def events(self, request: web.Request, account: str) -> web.StreamResponse:
        """Send the queue and the videos as server-sent events whenever they change."""
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            # Otherwise nginx collects events before it passes them on.
            "X-Accel-Buffering": "no",
        }
        response = web.StreamResponse(headers=SECURITY_HEADERS | headers)
        await response.prepare(request)
        version = -1
        with contextlib.suppress(ConnectionError):
            while not self._services.feed.closed:
                self._services.metadata_cache.refresh_if_changed()
                version = await self._services.feed.wait_for_change(version)
                await response.write(self._event(account, version))
                await asyncio.sleep(MIN_INTERVAL)
        return response

    def _event(self, account: str, version: int) -> bytes:
        """Return the event of a version, encoded once for all pages of the account."""
        # The time is part of the key, since videos also expire without a change.
        key = version, int(asyncio.get_running_loop().time())
        cached_key, event = self._event_cache.get(account, (None, b""))
        if cached_key != key:
            text = json.dumps(self._live_state(account), ensure_ascii=False)
            event = f"data: {text}\n\n".encode()
            self._event_cache[account] = key, event
        return event

    def _live_state(self, account: str) -> dict[str, Any]:
        newest = self._services.store.newest(account, _MAX_VIDEOS)
        return {
            "rendering": self._services.scheduler.rendering,
            "queued": self._services.scheduler.queued,
            "trouble": self._services.scheduler.trouble or self._services.library.trouble,
            "library_version": self._services.feed.library_version,
            "videos": [self._video(task) for task in newest],
        }

    def _video(self, task: Task) -> dict[str, Any]:
        progress = self._services.scheduler.progress(task.task_id)
        now = asyncio.get_running_loop().time()
        if self._services.admission.is_lost(task):
            task = attrs.evolve(task, state=TaskState.FAILED, error_message=_LOST)
        return {
            "id": task.task_id,
            "task": task.music_task_id,
            "audio": task.audio_id,
            "state": task.state,
            "aspect_ratio": task.aspect_ratio,
            "done": progress.done if progress else None,
            "total": progress.total if progress else None,
            "seconds_remaining": math.ceil(progress.remaining(now)) if progress else None,
            "size": task.size,
            "url": f"files/{task.filename}" if task.state is TaskState.DONE else None,
            "days_remaining": self._days_remaining(task),
            "error": task.error_message,
            "trouble": task.last_trouble,
            "warnings": task.warnings,
        }

    def _days_remaining(self, task: Task) -> int | None:
        """Return the full days until a finished task expires; None if it does not."""
        retention_days = self._services.config.retention_days
        if task.completed_at is None or not retention_days:
            return None
        age_days = (time.time() - task.completed_at) / _DAY
        return max(0, math.floor(retention_days - age_days))

    # --- one track --------------------------------------------------------------------------

    async def cover(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a track's square cover."""
        return _jpeg(await self._services.metadata_cache.cover(await self._track(request)), _DAY)

    async def music(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a track's audio file."""
        track = await self._track(request)
        return await send_music(request, self._services.library, track.path)

    async def preview(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with a frame of the video that would be created."""
        track = await self._track(request)
        image = await self._services.metadata_cache.preview(
            track,
            _captions(_video_request(track, request.query)),
            self._style(_aspect_ratio(request.query)),
            # The page cancels the preview when the user chooses another track.
            is_still_needed=lambda: request.transport is not None,
        )
        # The page requests it twice: once to decode it, once to show it.
        return _jpeg(image, 60)

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
                await asyncio.to_thread(cache_path.unlink, missing_ok=True)
        return _jpeg(image, _DAY)

    async def _render_thumbnail(self, task: Task) -> bytes:
        cache = self._services.metadata_cache
        if task.state is TaskState.DONE:
            return await cache.video_thumbnail(self._services.data.videos / task.filename)
        track = await self._find(task.music_task_id, task.audio_id)
        return await cache.thumbnail(track, _captions(task), self._style(task.aspect_ratio))

    def _style(self, aspect_ratio: str | None) -> dict[str, Any]:
        style = style_for(self._services.config.style, aspect_ratio, threads=1)
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
        await delete_task(self._services.store, self._services.data, task, "on the page")
        self._services.scheduler.cancel(task.task_id)
        self._services.feed.notify()
        return web.json_response({})

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
