"""Handles the page's changes of videos: creates, keeps, repeats and deletes them."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from mp4gen import filesystem
from mp4gen.errors import AlreadyExistsError, InvalidRequestError
from mp4gen.models import VideoRequest
from mp4gen.server.data_dir import random_token
from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.library.track_images import read_cached, write_cached
from mp4gen.server.queue.admission import RejectReason
from mp4gen.server.queue.recovery import encode_record
from mp4gen.server.queue.retention import delete_task, delete_tasks
from mp4gen.server.queue.task import Task, TaskState
from mp4gen.server.videos.video_store import LocalVideo

from .api import new_task, request_base_url
from .page_assets import read_json
from .page_tracks import (
    captions,
    find_track,
    jpeg,
    preview_style,
    video_fields,
    video_request,
)
from .services import Services
from .video_fields import VideoFields

_DAY = 86400
_THUMBNAIL_SIDE = 180
_MAX_OUTPUTS, _MAX_SONGS = 16, 50
_BATCH = re.compile(r"[A-Za-z0-9_-]{16}")
# In a batch each song has one video with the same options.
_BATCH_VARIANT = "batch"
_UNFINISHED = (TaskState.QUEUED, TaskState.RENDERING)
_DELETED_TOGETHER = {"waiting": (TaskState.QUEUED,), "failed": (TaskState.FAILED,)}
_REJECTIONS = {
    RejectReason.MAINTENANCE: (503, "The server is under maintenance."),
    RejectReason.DISK_FULL: (507, "The server's disk is full."),
    RejectReason.QUEUE_FULL: (503, "Too many videos are queued. Try again later."),
}


class PageVideos:
    """What the page does with videos; each handler needs a session.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    # --- creating ---------------------------------------------------------------------------

    async def create(self, request: web.Request, account: str) -> web.StreamResponse:
        """Queue a video for each output; on the page a track may have any number of videos."""
        body = await read_json(request)
        track = await find_track(self._services, body.get("task"), body.get("audio"))
        outputs = self._outputs(body)
        require_capacity(self._services, account)
        base_url, created = request_base_url(request, self._services.config), []
        for fields in outputs:
            task = _new_task(account, track, body, fields, base_url)
            await self._services.admission.accept(task, track.path)
            created.append(task.task_id)
        return web.json_response({"ids": created})

    async def create_batch(self, request: web.Request, account: str) -> web.StreamResponse:
        """Queue the videos of many songs, except those that exist with the same options.

        The songs of one batch may come in several requests, all but the first with its `batch`.
        """
        body = await read_json(request)
        outputs, songs = self._outputs(body), _songs(body)
        batch, created = _batch_of(body), []
        base_url = request_base_url(request, self._services.config)
        for ids in songs:
            track = await self._services.library.find(*ids)
            if track is None:
                continue
            for fields in outputs:
                require_capacity(self._services, account)
                task = _new_task(account, track, body, fields, base_url, batch=batch)
                try:
                    await self._services.admission.accept(task, track.path)
                except AlreadyExistsError:
                    continue
                created.append(task.task_id)
        return web.json_response({"batch": batch, "ids": created})

    async def repeat(self, request: web.Request, account: str) -> web.StreamResponse:
        """Queue the same video again; it takes the place of one that failed."""
        task = self._own_task(request, account)
        services = self._services
        if services.admission.is_lost(task):
            await services.admission.recover(task)
            return web.json_response({"ids": [task.task_id]})
        require_capacity(services, account)
        track = await find_track(services, task.music_task_id, task.audio_id)
        texts = {"author": task.author, "domainName": task.domain_name}
        fields = VideoFields(task.aspect_ratio, task.options)
        body = {**texts, "audio_mode": task.audio_mode}
        again = _new_task(account, track, body, fields, task.base_url)
        await services.admission.accept(again, track.path)
        if task.state is TaskState.FAILED:
            await delete_task(services.store, services.videos, task, "made again")
        services.feed.notify()
        return web.json_response({"ids": [again.task_id]})

    def _outputs(self, body: Mapping[str, Any]) -> list[VideoFields]:
        """Return the fields of each video that a request asks for, one for each preset."""
        presets = body.get("presets") or [body.get("preset")]
        if not isinstance(presets, list) or len(presets) > _MAX_OUTPUTS:
            raise InvalidRequestError("The presets must be a list of names.", code=400)
        return [video_fields(self._services, {**body, "preset": name}) for name in presets]

    # --- one video --------------------------------------------------------------------------

    async def thumbnail(self, request: web.Request, account: str) -> web.StreamResponse:
        """Answer with a small image of a video, also before it is rendered."""
        task = self._own_task(request, account)
        cache_path = self._services.data.thumbnail_path(task.filename)
        image = await asyncio.to_thread(read_cached, cache_path)
        if image is None:
            image = await self._draw_thumbnail(task)
            await asyncio.to_thread(write_cached, cache_path, image)
            if self._services.store.get(task.task_id) is None:
                # The video was deleted in the meantime.
                await asyncio.to_thread(filesystem.remove, cache_path)
        return jpeg(image, _DAY)

    async def _draw_thumbnail(self, task: Task) -> bytes:
        services = self._services
        if task.state is TaskState.DONE:
            return await services.images.video_thumbnail(await self._file_of(task))
        track = await find_track(services, task.music_task_id, task.audio_id)
        fields = VideoFields(task.aspect_ratio, task.options)
        style = preview_style(services, fields, _THUMBNAIL_SIDE)
        return await services.images.thumbnail(track, captions(task), style, task.options)

    async def _file_of(self, task: Task) -> Path | str:
        found = await self._services.videos.find(task.filename)
        if found is None:
            raise InvalidRequestError("The file of this video is gone.", code=404)
        return found.path if isinstance(found, LocalVideo) else await found.link("GET")

    async def keep(self, request: web.Request, account: str) -> web.StreamResponse:
        """Let a video never expire, or expire as all others."""
        task = self._own_task(request, account)
        kept = (await read_json(request)).get("kept")
        if not isinstance(kept, bool):
            raise InvalidRequestError("kept must be true or false.", code=400)
        await self._services.store.set_kept(task.task_id, kept=kept)
        if task.state is TaskState.DONE:
            # A server without its database finds the video by the record, and must keep it, too.
            record = encode_record(task, kept=kept)
            await self._services.videos.write_record(task.filename, record)
        self._services.feed.notify()
        return web.json_response({})

    async def delete(self, request: web.Request, account: str) -> web.StreamResponse:
        """Delete a video, or cancel its render."""
        task = self._own_task(request, account)
        await delete_task(self._services.store, self._services.videos, task, "on the page")
        self._cancel([task])
        return web.json_response({})

    # --- several videos ---------------------------------------------------------------------

    async def delete_all(self, request: web.Request, account: str) -> web.StreamResponse:
        """Cancel all videos that wait, or delete all that failed."""
        states = _DELETED_TOGETHER.get(request.query.get("state", ""))
        if states is None:
            raise InvalidRequestError("The state must be waiting or failed.", code=400)
        store, videos = self._services.store, self._services.videos
        deleted = await delete_tasks(store, videos, account, states, "deleted on the page")
        self._cancel(deleted)
        return web.json_response({"deleted": len(deleted)})

    async def stop_batch(self, request: web.Request, account: str) -> web.StreamResponse:
        """Cancel the videos of a batch that are not finished."""
        store, videos = self._services.store, self._services.videos
        batch, reason = request.match_info["batch"], "stopped on the page"
        deleted = await delete_tasks(store, videos, account, _UNFINISHED, reason, batch=batch)
        self._cancel(deleted)
        return web.json_response({"deleted": len(deleted)})

    def _cancel(self, deleted: Iterable[Task]) -> None:
        for task in deleted:
            self._services.scheduler.cancel(task.task_id)
        self._services.feed.notify()

    def _own_task(self, request: web.Request, account: str) -> Task:
        task_id = request.match_info.get("task_id") or request.query.get("id", "")
        task = self._services.store.get(task_id)
        if task is None or task.account != account:
            raise InvalidRequestError("This video does not exist any more.", code=404)
        return task


def require_capacity(services: Services, account: str) -> None:
    """Check that the account may queue one more video.

    Raises:
        InvalidRequestError: It may not (code 503 or 507).
    """
    if reject_reason := services.admission.reject_reason_for(account):
        status, message = _REJECTIONS[reject_reason]
        raise InvalidRequestError(message, code=status)


def _new_task(
    account: str,
    track: LibraryTrack,
    body: Mapping[str, Any],
    fields: VideoFields,
    base_url: str,
    *,
    batch: str | None = None,
) -> Task:
    request: VideoRequest = video_request(track, body)
    return new_task(
        account,
        request,
        track,
        base_url,
        render_variant=_BATCH_VARIANT if batch else f"page-{random_token()}",
        aspect_ratio=fields.aspect_ratio,
        audio_mode="copy" if body.get("audio_mode") == "copy" else "compatible",
        options=fields.options,
        batch=batch,
    )


def _songs(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    songs: Any = body.get("songs")
    is_list = isinstance(songs, list) and len(songs) <= _MAX_SONGS
    if not is_list or not all(map(_is_pair, songs)):
        message = f"The songs must be a list of at most {_MAX_SONGS} pairs of ids."
        raise InvalidRequestError(message, code=400)
    return [(task, audio) for task, audio in songs]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and list(map(type, value)) == [str, str]


def _batch_of(body: Mapping[str, Any]) -> str:
    batch = body.get("batch")
    return batch if isinstance(batch, str) and _BATCH.fullmatch(batch) else random_token()
