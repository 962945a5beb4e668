"""The page for people, and what its script asks for; everything it does goes through the store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
from aiohttp import web

from mp4gen.errors import ApiError, InvalidRequestError, Mp4GenError, ValidationError
from mp4gen.models import VideoRequest

from . import uploads
from .answers import UNKNOWN_TRACK, refusal
from .api import MAX_BODY, base_url_of, new_task, read_capped
from .catalog import Catalog
from .config import ServerConfig
from .datadir import DataFolder
from .feed import PAUSE, Feed
from .jobs import Jobs
from .library import SUFFIXES, Library, LibraryTrack
from .sessions import Sessions, fresh_name
from .shapes import SHAPES, style_for
from .store import Store
from .tasks import State, Task

_HERE = Path(__file__).with_name("page")
_FONTS = Path(__file__).parents[1] / "render" / "fonts"
_ASSETS = {
    "style.css": (_HERE, "text/css"),
    "app.js": (_HERE, "text/javascript"),
    "icon.svg": (_HERE, "image/svg+xml"),
    "Inter-Regular.ttf": (_FONTS, "font/ttf"),
    "Inter-Medium.ttf": (_FONTS, "font/ttf"),
    "InterDisplay-SemiBold.ttf": (_FONTS, "font/ttf"),
}
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; media-src 'self'; font-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SHOWN = 200
_PREVIEW_SIDE = 540
_DAY = 86400.0

_Handler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


@attrs.frozen(kw_only=True)
class Pages:
    """The page of one server."""

    config: ServerConfig
    store: Store
    jobs: Jobs
    library: Library
    data: DataFolder
    catalog: Catalog
    sessions: Sessions
    feed: Feed

    def routes(self) -> list[web.RouteDef]:
        """The page, its parts, and what its script calls."""
        return [
            web.get("/", self.index),
            web.get("/page/asset/{name}", self.asset),
            web.post("/page/enter", self.enter),
            web.get("/page/state", self._seen(self.state)),
            web.get("/page/events", self._seen(self.events)),
            web.get("/page/cover", self._seen(self.cover)),
            web.get("/page/music", self._seen(self.music)),
            web.get("/page/preview", self._seen(self.preview)),
            web.post("/page/videos", self._seen(self.make, changes=True)),
            web.delete("/page/videos/{task_id}", self._seen(self.remove, changes=True)),
            web.post("/page/upload", self._seen(self.upload, changes=True)),
        ]

    # --- for everybody ----------------------------------------------------------------------

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page itself; where no key is needed its visitor gets a session at once."""
        content = await asyncio.to_thread((_HERE / "index.html").read_bytes)
        headers = {**_SAFE, "Cache-Control": "no-cache"}
        response = web.Response(body=content, content_type="text/html", headers=headers)
        response.charset = "utf-8"
        if self.sessions.open and self.sessions.account_of(request) is None:
            self.sessions.enter(response, None)
        return response

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A part of the page."""
        name = request.match_info["name"]
        if name not in _ASSETS:
            raise web.HTTPNotFound
        folder, kind = _ASSETS[name]
        headers = {**_SAFE, "Content-Type": kind, "Cache-Control": "no-cache"}
        return web.FileResponse(folder / name, headers=headers)

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """Begin a session with the server's key."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return refusal(403, status=403)
        key = await _json_of(request)
        response = web.json_response({})
        given = key.get("key")
        if self.sessions.enter(response, given if isinstance(given, str) else None) is None:
            return refusal(401, "That is not the key of this server.", status=401)
        return response

    def _seen(self, handler: _Handler, *, changes: bool = False) -> Any:
        """Only for those with a session; what changes something needs its token as well."""

        async def check(request: web.Request) -> web.StreamResponse:
            account = self.sessions.account_of(request)
            if account is None:
                return refusal(401, status=401)
            if changes and not self.sessions.may_change(request):
                return refusal(403, "Reload the page and try again.", status=403)
            try:
                return await handler(request, account)
            except ApiError as error:
                return refusal(error.code, error.message, status=error.code)
            except ValidationError as error:
                return refusal(400, str(error), status=400)
            except Mp4GenError as error:
                return refusal(400, str(error), status=422)

        return check

    # --- what is there ----------------------------------------------------------------------

    async def state(self, request: web.Request, account: str) -> web.StreamResponse:
        """Everything the page shows, and the token that its changes must carry."""
        tracks = await self.catalog.tracks()
        library = [
            {
                "task": track.task_id,
                "audio": track.audio_id,
                "title": info.title or track.path.stem,
                "artist": info.artist,
                "seconds": info.seconds,
                "takes": math.ceil(self.jobs.seconds_for(info.seconds or track.guessed_seconds)),
                "problem": info.problem,
            }
            for track, info in tracks
        ]
        own = {
            "token": self.sessions.token(request),
            "library": library,
            "endings": SUFFIXES,
            "locked": not self.sessions.open,
        }
        return web.json_response({**own, **self._moving(account)}, headers=_SAFE)

    async def events(self, request: web.Request, account: str) -> web.StreamResponse:
        """Server-sent events: the queue and the videos whenever they have moved."""
        headers = {**_SAFE, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        seen = -1
        with contextlib.suppress(ConnectionError):
            while not self.feed.closed:
                seen = await self.feed.next(seen)
                text = json.dumps(self._moving(account), ensure_ascii=False)
                await response.write(f"data: {text}\n\n".encode())
                await asyncio.sleep(PAUSE)
        return response

    def _moving(self, account: str) -> dict[str, Any]:
        return {
            "rendering": self.jobs.rendering,
            "waiting": self.jobs.waiting,
            "library_version": self.feed.library,
            "videos": [self._video(task) for task in self.store.newest(account, _SHOWN)],
        }

    def _video(self, task: Task) -> dict[str, Any]:
        progress = self.jobs.progress(task.task_id)
        now = asyncio.get_running_loop().time()
        kept = (task.completed_at or 0) + self.config.retention_days * _DAY - time.time()
        return {
            "id": task.task_id,
            "task": task.music_task_id,
            "audio": task.audio_id,
            "state": task.state,
            "shape": task.shape,
            "done": progress.done if progress else None,
            "total": progress.total if progress else None,
            "left": math.ceil(progress.left(now)) if progress else None,
            "size": task.size,
            "url": f"/files/{task.file}" if task.state is State.DONE else None,
            "days": max(0, math.floor(kept / _DAY)) if task.ended else None,
            "error": task.error_message,
        }

    # --- one track --------------------------------------------------------------------------

    async def cover(self, request: web.Request, _: str) -> web.StreamResponse:
        """A track's square picture."""
        made = await self.catalog.cover(await self._track(request))
        headers = {**_SAFE, "Cache-Control": "private, max-age=86400"}
        return web.Response(body=made, content_type="image/jpeg", headers=headers)

    async def music(self, request: web.Request, _: str) -> web.StreamResponse:
        """A track to listen to."""
        track = await self._track(request)
        return web.FileResponse(track.path, headers={**_SAFE, "Cache-Control": "no-cache"})

    async def preview(self, request: web.Request, _: str) -> web.StreamResponse:
        """A moment of the video that would be made."""
        track = await self._track(request)
        wanted = _wanted(track, request.query)
        style = style_for(self.config.style, _shape(request.query), threads=1)
        short = min(int(style["width"]), int(style["height"]))
        for side in ("width", "height"):
            style[side] = int(style[side] * min(1, _PREVIEW_SIDE / short)) // 2 * 2
        words = {"author": wanted.author, "domain_name": wanted.domain_name}
        made = await self.catalog.preview(track, words, style)
        # The page asks twice: for a picture to decode, then for the same one to show.
        headers = {**_SAFE, "Cache-Control": "private, max-age=60"}
        return web.Response(body=made, content_type="image/jpeg", headers=headers)

    async def _track(self, request: web.Request) -> LibraryTrack:
        return await self._find(request.query.get("task", ""), request.query.get("audio", ""))

    async def _find(self, task_id: Any, audio_id: Any) -> LibraryTrack:
        track = await asyncio.to_thread(self.library.find, str(task_id), str(audio_id))
        if track is None:
            raise InvalidRequestError(UNKNOWN_TRACK, code=404)
        return track

    # --- changes ----------------------------------------------------------------------------

    async def make(self, request: web.Request, account: str) -> web.StreamResponse:
        """Queue a video; the page may make as many of one track as its user asks for."""
        self._check_room()
        body = await _json_of(request)
        track = await self._find(body.get("task"), body.get("audio"))
        task = new_task(
            account,
            _wanted(track, body),
            track,
            base_url_of(request, self.config),
            variant=f"page-{fresh_name()}",
            shape=_shape(body),
            audio_mode="copy" if body.get("sound") == "copy" else "compatible",
        )
        await self.store.add(task)
        self.jobs.submit(task)
        return web.json_response({"id": task.task_id}, headers=_SAFE)

    async def remove(self, request: web.Request, account: str) -> web.StreamResponse:
        """Delete a video, or stop making it."""
        task = self.store.get(request.match_info["task_id"])
        if task is None or task.account != account:
            raise InvalidRequestError("There is no such video any more.", code=404)
        await self.store.remove(task.task_id)
        self.jobs.drop(task.task_id)
        await asyncio.to_thread(self.data.remove_video, task.file)
        self.feed.moved()
        return web.json_response({}, headers=_SAFE)

    async def upload(self, request: web.Request, _: str) -> web.StreamResponse:
        """Take a music file into the library, where it can be read as music."""
        self._check_room()
        name = uploads.safe_name(request.query.get("name", ""))
        folder = self.library.root / uploads.FOLDER
        part = await uploads.receive(request, folder, self.config.max_upload_bytes)
        try:
            stat = part.stat()
            track = LibraryTrack(uploads.FOLDER, name, part, stat.st_size, stat.st_mtime)
            info = await self.catalog.info(track)
            if info.problem is not None:
                raise InvalidRequestError(info.problem.replace(part.name, name), code=400)
            path = await asyncio.to_thread(uploads.settle, part, name)
        finally:
            part.unlink(missing_ok=True)
        self.feed.library_moved()
        found = await self._find(uploads.FOLDER, path.name)
        return web.json_response({"task": found.task_id, "audio": found.audio_id}, headers=_SAFE)

    def _check_room(self) -> None:
        if self.config.maintenance:
            raise InvalidRequestError("The server is being maintained.", code=503)
        if self.data.free_bytes() < self.config.min_free_bytes:
            raise InvalidRequestError("The server's disk is full.", code=507)
        if self.jobs.waiting >= self.config.queue_limit:
            raise InvalidRequestError("Too many videos are waiting already.", code=503)


async def _json_of(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await read_capped(request, MAX_BODY))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidRequestError("the body must be a JSON object", code=400)
    return body


def _wanted(track: LibraryTrack, given: Any) -> VideoRequest:
    """The request in what the page sends; empty texts are none."""
    return VideoRequest(
        track.task_id,
        track.audio_id,
        author=given.get("author") or None,
        domain_name=given.get("domainName") or None,
    )


def _shape(given: Any) -> str | None:
    shape = given.get("shape")
    return shape if shape in SHAPES else None
