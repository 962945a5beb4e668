"""Handles the page's reads of its state: the library, the videos and their changes."""

import asyncio
import contextlib
import json
import math
import time
from typing import Any

import attrs
from aiohttp import web

from mp4gen.render.formats import SUFFIXES
from mp4gen.server.data_dir import random_token
from mp4gen.server.queue.task import Task, TaskState

from .change_feed import MIN_INTERVAL
from .compression import Text, compress_json, send_text
from .library_view import LibraryView
from .page_assets import SECURITY_HEADERS
from .page_settings import settings
from .services import Services

PAGE_SIZE = 50
_MAX_PAGE = 1_000_000
_DAY = 86400
_LOST = "The file of this video is gone. Create the video again."
_COUNTS = {
    "waiting": TaskState.QUEUED,
    "rendering": TaskState.RENDERING,
    "ready": TaskState.DONE,
    "failed": TaskState.FAILED,
}
_NOT_RENDERING = tuple(state for state in TaskState if state is not TaskState.RENDERING)
_RENDERING = (TaskState.RENDERING,)
# The states of each filter, besides those that render; any other shows all videos.
_FILTERS = {
    "rendering": (TaskState.QUEUED,),
    "ready": (TaskState.DONE,),
    "failed": (TaskState.FAILED,),
}
_NO_CACHE = {"Cache-Control": "private, no-cache"}


class PageState:
    """What the page shows.

    The events are small: they carry the counts, the renders in progress, and the versions of the
    videos and of the library, which the page then asks for.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._event_cache: dict[str, tuple[tuple[int, int] | None, bytes]] = {}
        self._summaries: dict[str, tuple[int, dict[str, Any]]] = {}
        self._library = LibraryView(random_token())
        self._library_lock = asyncio.Lock()
        self._complete_library: tuple[str, Text] | None = None

    async def state(self, _: web.Request, account: str) -> web.StreamResponse:
        """Answer with the settings, the token for changes, and what an event says."""
        # Not compressed: the size of a compressed answer could give the token away.
        values = {
            "token": self._services.sessions.csrf_token(account),
            "extensions": SUFFIXES,
            "max_upload_bytes": self._services.config.max_upload_bytes,
            **settings(self._services.config),
        }
        return web.json_response(values | self._live_state(account))

    async def library(self, request: web.Request, _: str) -> web.StreamResponse:
        """Answer with the tracks that changed since the version in the query; all without one."""
        text = await self._library_text(request.query.get("since", ""))
        return send_text(request, text, _NO_CACHE)

    async def _library_text(self, since: str) -> Text:
        tracks = await self._services.metadata_cache.tracks()
        async with self._library_lock:
            # Large libraries take a tenth of a second.
            await asyncio.to_thread(self._library.update, tracks)
            changes = await asyncio.to_thread(self._library.changes, since)
            if not changes["complete"]:
                return await asyncio.to_thread(compress_json, changes)
            version, text = self._complete_library or ("", None)
            if text is None or version != self._library.version:
                text = await asyncio.to_thread(compress_json, changes)
                self._complete_library = self._library.version, text
            return text

    async def videos(self, request: web.Request, account: str) -> web.StreamResponse:
        """Answer with one page of the videos, newest first; those that render are on the first."""
        name = request.query.get("state", "")
        number = request.query.get("page", "0")
        page = min(int(number), _MAX_PAGE) if number.isdecimal() and len(number) < 8 else 0
        store = self._services.store
        states = _FILTERS.get(name, _NOT_RENDERING)
        tasks = store.newest(account, PAGE_SIZE, states=states, offset=page * PAGE_SIZE)
        if TaskState.QUEUED in states and page == 0:
            tasks = store.newest(account, PAGE_SIZE, states=_RENDERING) + tasks
        shown = {"videos": [self._video(task) for task in tasks]}
        return send_text(request, compress_json(shown), _NO_CACHE)

    async def events(self, request: web.Request, account: str) -> web.StreamResponse:
        """Send the live state as server-sent events whenever it changes."""
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
        # The time is part of the key, since a trouble comes and goes without an event.
        key = version, int(asyncio.get_running_loop().time())
        cached_key, event = self._event_cache.get(account, (None, b""))
        if cached_key != key:
            text = json.dumps(self._live_state(account), ensure_ascii=False)
            event = f"data: {text}\n\n".encode()
            self._event_cache[account] = key, event
        return event

    def _live_state(self, account: str) -> dict[str, Any]:
        scheduler, store = self._services.scheduler, self._services.store
        running = store.newest(account, PAGE_SIZE, states=_RENDERING)
        fixed = scheduler.estimate_render_time(0.0)
        return {
            "rendering": scheduler.rendering,
            "queued": scheduler.queued,
            "trouble": scheduler.trouble or self._services.library.trouble,
            "library_version": self._services.feed.library_version,
            "videos_version": store.version,
            **self._summary(account),
            "running": [self._video(task) for task in running],
            "page_size": PAGE_SIZE,
            # Seconds that a render takes: of none, and of each second of music.
            "render_seconds": [
                round(fixed, 2),
                round(scheduler.estimate_render_time(1000.0) / 1000 - fixed / 1000, 4),
            ],
        }

    def _summary(self, account: str) -> dict[str, Any]:
        """Return what is counted over all videos; counted again only after a write."""
        store = self._services.store
        version, summary = self._summaries.get(account, (None, {}))
        if version != store.version:
            overview = store.overview(account)
            summary = {
                "counts": {name: overview.counts[state] for name, state in _COUNTS.items()},
                "batches": overview.batches,
            }
            self._summaries[account] = store.version, summary
        return summary

    def _video(self, task: Task) -> dict[str, Any]:
        progress = self._services.scheduler.progress(task.task_id)
        if self._services.admission.is_lost(task):
            task = attrs.evolve(task, state=TaskState.FAILED, error_message=_LOST)
        return {
            "id": task.task_id,
            "task": task.music_task_id,
            "audio": task.audio_id,
            "state": task.state,
            "title": task.options.title,
            "preset": task.options.preset,
            "aspect_ratio": task.aspect_ratio,
            "position": self._services.scheduler.position(task.task_id),
            "kept": task.kept,
            "done": progress.done if progress else None,
            "total": progress.total if progress else None,
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
        if task.completed_at is None or task.kept or not retention_days:
            return None
        age_days = (time.time() - task.completed_at) / _DAY
        return max(0, math.floor(retention_days - age_days))
