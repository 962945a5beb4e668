"""Handles the API's operations, as the vendor's pages describe them."""

import asyncio
import functools
import math
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from mp4gen.api import converters, protocol
from mp4gen.api.responses import load_json
from mp4gen.api.sliding_window import SlidingWindow
from mp4gen.errors import ApiError, InvalidRequestError
from mp4gen.models import Track, VideoRequest
from mp4gen.server.callbacks.http_post import wants_callback
from mp4gen.server.config import ServerConfig
from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.queue.admission import RejectReason
from mp4gen.server.queue.task import CallbackState, Task
from mp4gen.server.rendering.previews import MusicInfo
from mp4gen.server.rendering.video_options import DEFAULT_OPTIONS, VideoOptions
from mp4gen.server.troubles import TRANSIENT_ERRORS, describe_trouble

from .operations import OPERATIONS
from .responses import UNKNOWN_TRACK, api_response, error_response
from .security import host_header
from .services import Services
from .video_fields import parse_video_fields

# Lyrics may be escaped, and so twice as long.
MAX_BODY_BYTES = 256 << 10
_BODY_TIMEOUT = 30.0


_Handler = Callable[[web.Request, str], Awaitable[web.Response]]


class Api:
    """The handlers of one server.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._windows = defaultdict[str, SlidingWindow](SlidingWindow)

    def routes(self) -> list[web.RouteDef]:
        """Return the route of each operation."""
        return [
            web.route(op.method, op.path, self._authenticated(getattr(self, op.name)))
            for op in OPERATIONS
        ]

    def _authenticated(self, handler: _Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return `handler` with the checks and the error responses of all operations."""

        async def check(request: web.Request) -> web.Response:
            try:
                account = self._services.guard.authenticate(request)
            except ApiError as error:
                retry_after = None if error.retry_after is None else math.ceil(error.retry_after)
                return error_response(error.code, error.message, retry_after=retry_after)
            if self._services.admission.maintenance:
                return error_response(455)
            try:
                return await handler(request, account)
            except TRANSIENT_ERRORS as error:
                # The client waits and tries again, as during maintenance.
                return error_response(455, describe_trouble(error))
            except ApiError as error:
                # The rest of a body that is too large is not read, so HTTP must report it too.
                status = 413 if error.code == 413 else 200
                return api_response(protocol.build_error_response(error), status=status)

        return check

    async def generate(self, request: web.Request, account: str) -> web.Response:
        """Answer "Create Music Video"."""
        if rejection := self._reject_if_unavailable(account):
            return rejection
        body = await read_body(request, MAX_BODY_BYTES)
        video_request = protocol.parse_create_body(body)
        fields = parse_video_fields(load_json(body))
        track = await self._services.library.find(video_request.task_id, video_request.audio_id)
        if track is None:
            return error_response(422, UNKNOWN_TRACK)
        task = new_task(
            account,
            video_request,
            track,
            request_base_url(request, self._services.config),
            aspect_ratio=fields.aspect_ratio,
            options=fields.options,
        )
        task = await self._services.admission.accept(task, track.path)
        answer = protocol.build_create_response(task.task_id)
        return api_response(answer, retry_after=self._services.scheduler.retry_after(task))

    async def details(self, request: web.Request, account: str) -> web.Response:
        """Answer "Get Music Video Details"."""
        task = self._services.store.get(_task_id(request))
        if task is None or task.account != account:
            # As the vendor answers if there is no record, or none yet.
            return api_response(protocol.build_data_response(None))
        if not task.is_finished and await self._services.scheduler.wait_for_end(task.task_id):
            task = self._services.store.get(task.task_id) or task
        task = await self._services.admission.recover(task)
        base = request_base_url(request, self._services.config)
        retry_after = None if task.is_finished else self._services.scheduler.retry_after(task)
        return api_response(_details_body(task, base), retry_after=retry_after)

    async def tracks(self, request: web.Request, account: str) -> web.Response:
        """Answer "Get Music Generation Details", for a folder of the library."""
        task_id = _task_id(request)
        found = await self._services.library.tracks(task_id)
        if not found:
            return api_response(protocol.build_data_response(None))
        infos = await self._services.metadata_cache.infos(found)
        base = request_base_url(request, self._services.config)
        tracks = [
            self._api_track(account, base, one, info)
            for one, info in zip(found, infos, strict=True)
        ]
        return api_response(protocol.build_tracks_response(task_id, tracks))

    async def credits(self, _: web.Request, account: str) -> web.Response:
        """Answer "Get Remaining Credits": the number of videos that can still be queued."""
        available = max(0, self._services.admission.room_for(account))
        return api_response(protocol.build_data_response(available))

    async def kie_credits(self, request: web.Request, account: str) -> web.Response:
        """Answer the same on kie.ai's path."""
        return await self.credits(request, account)

    def _api_track(self, account: str, base: str, found: LibraryTrack, info: MusicInfo) -> Track:
        path, ids, now = self._services.links.path, (found.task_id, found.audio_id), time.time()
        return Track(
            found.task_id,
            found.audio_id,
            title=info.title or found.path.stem,
            duration=info.duration,
            audio_url=base + path("music", found.path.name, account, ids, now),
            image_url=base + path("covers", f"{found.path.stem}.jpg", account, ids, now),
            created_at=datetime.fromtimestamp(found.modified, UTC),
        )

    def _reject_if_unavailable(self, account: str) -> web.Response | None:
        """Return the error response if no submit can be accepted now, else None."""
        match self._services.admission.reject_reason_for(account):
            case RejectReason.MAINTENANCE:
                return error_response(455)
            case RejectReason.DISK_FULL:
                # None if there is space again meanwhile.
                trouble = self._services.data.space_trouble(self._services.config.min_free_bytes)
                return error_response(455, trouble)
            case RejectReason.QUEUE_FULL:
                config = self._services.config
                message = "The queue has no room for more tasks of yours. Please try again later."
                return error_response(430, message, retry_after=math.ceil(config.rate_limit.per))
        wait = self._windows[account].try_acquire(
            self._services.config.rate_limit, asyncio.get_running_loop().time()
        )
        return error_response(430, retry_after=math.ceil(wait)) if wait else None


# Clients poll tasks that have not changed.
@functools.lru_cache(1024)
def _details_body(task: Task, base_url: str) -> bytes:
    # Fields of our own: the vendor's server has no such sentences.
    fields = converters.unstructure_video_details(task.details(base_url)) | {
        "trouble": task.last_trouble,
        "warnings": task.warnings,
    }
    return protocol.build_data_response(fields)


def _task_id(request: web.Request) -> str:
    if task_id := request.query.get("taskId", ""):
        return task_id
    raise InvalidRequestError("taskId is required.", code=400)


async def read_body(request: web.Request, max_bytes: int) -> bytes:
    """Return the request's body, of at most `max_bytes` bytes.

    Raises:
        InvalidRequestError: The body is larger (code 413), too slow or incomplete (code 400).
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > max_bytes:
                    message = f"The body has more than {max_bytes} bytes."
                    raise InvalidRequestError(message, code=413)
    except TimeoutError:
        message = f"The body did not arrive within {_BODY_TIMEOUT:.0f} s."
        raise InvalidRequestError(message, code=400) from None
    except web.RequestPayloadError:
        raise InvalidRequestError("The body is incomplete.", code=400) from None
    return bytes(body)


def request_base_url(request: web.Request, config: ServerConfig) -> str:
    """Return the URL under which the client knows the server, without a trailing slash."""
    return config.public_url or f"{request.scheme}://{host_header(request)}"


def new_task(
    account: str,
    video_request: VideoRequest,
    track: LibraryTrack,
    base_url: str,
    *,
    render_variant: str = "",
    aspect_ratio: str | None = None,
    audio_mode: str = "compatible",
    options: VideoOptions = DEFAULT_OPTIONS,
    batch: str | None = None,
) -> Task:
    """Return a new queued task."""
    url = video_request.callback_url or ""
    return Task(
        task_id=secrets.token_hex(16),
        account=account,
        music_task_id=track.task_id,
        audio_id=track.audio_id,
        render_variant=render_variant,
        batch=batch,
        author=video_request.author,
        domain_name=video_request.domain_name,
        callback_url=url,
        base_url=base_url,
        aspect_ratio=aspect_ratio,
        audio_mode=audio_mode,
        options=options,
        filename=f"{secrets.token_urlsafe(18)}.mp4",
        estimated_duration=options.seconds_of(track.estimated_duration),
        callback=CallbackState.DUE if wants_callback(url) else CallbackState.NONE,
        created_at=time.time(),
    )
