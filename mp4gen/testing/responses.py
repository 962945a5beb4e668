"""Build the fake service's correct responses with the server side of the protocol; no sockets."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import attrs
from aiohttp import web

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.api.responses import dump_json, load_json
from mp4gen.api.timestamped_lyrics import TimestampedLyrics, build_lyrics_response
from mp4gen.errors import AlreadyExistsError, ApiError, InvalidRequestError
from mp4gen.models import Track

from .faults import ALREADY_EXISTS_MESSAGE, dialect_error
from .media import etag
from .scripted_response import ScriptedResponse
from .state import DuplicatePolicy, FakeServiceState, FakeTask, RecordedRequest

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class ServiceSettings(Protocol):
    """The part of the service that responses depend on."""

    dialect: Dialect
    duplicate_policy: DuplicatePolicy
    retry_after: float | None
    credits: float
    music: dict[str, list[Track]]
    lyrics: list[TimestampedLyrics]

    def file_url(self, task_id: str) -> str:
        """Return the URL of a task's file."""
        ...


@attrs.frozen
class ResponseBuilder:
    """Builds one response at loop time `now`."""

    service: ServiceSettings
    state: FakeServiceState
    now: float
    epoch: datetime

    def default(self, request: RecordedRequest, scripted: ScriptedResponse) -> web.Response:
        """Return the API's response to `request`, with the changes of `scripted`."""
        match request.endpoint:
            case "create":
                response = self._create(request)
            case "details":
                response = self._details(request.query.get("taskId", ""), scripted)
            case "tracks":
                response = self._tracks(request.query.get("taskId", ""))
            case "lyrics":
                response = self._lyrics(request.body)
            case "credits":
                response = _json_response(protocol.build_data_response(self.service.credits))
            case "download_url":
                response = _json_response(
                    protocol.build_data_response(_refreshed_url(request.body))
                )
            case "file":
                response = self._file(request, ignore_range=scripted.ignore_range)
            case _:
                error = ApiError("Invalid request method or path", code=404)
                response = _json_response(protocol.build_error_response(error), status=404)
        return response

    def _create(self, request: RecordedRequest) -> web.Response:
        try:
            video_request = protocol.parse_create_body(request.body)
        except InvalidRequestError as error:
            return _json_response(protocol.build_error_response(error))
        existing = self.state.find_existing(video_request)
        if existing is not None and self.service.duplicate_policy != "new_task":
            return self._already_exists(existing)
        if self.service.credits < 1:
            scripted = dialect_error("no_credits", self.service.dialect)
            return _json_response(scripted.body or b"")
        self.service.credits -= 1
        task = self.state.add(video_request, self.now)
        return _json_response(
            protocol.build_create_response(task.task_id), headers=self._retry_after(task)
        )

    def _already_exists(self, existing: FakeTask) -> web.Response:
        existing_task_id = (
            existing.task_id if self.service.duplicate_policy == "existing_id" else None
        )
        # docs.kie.ai documents 409, but the service answers 422 with this text.
        code = 422 if self.service.dialect.name == "kie" else 409
        error = AlreadyExistsError(
            ALREADY_EXISTS_MESSAGE, code=code, existing_task_id=existing_task_id
        )
        return _json_response(protocol.build_error_response(error))

    def _details(self, task_id: str, scripted: ScriptedResponse) -> web.Response:
        task = self.state.tasks.get(task_id)
        if task is None:
            return _json_response(protocol.build_data_response(None))
        task.poll_count += 1
        now = max(self.now, task.completes_at) if scripted.force_finished else self.now
        details = task.details(now, self.service.file_url(task_id), self.epoch)
        response = json.loads(protocol.build_details_response(details))
        if self.service.dialect.name == "kie":
            _as_kie(response["data"])
        response["data"] |= scripted.data or {}
        return _json_response(dump_json(response), headers=self._retry_after(task))

    def _tracks(self, task_id: str) -> web.Response:
        tracks = self.service.music.get(task_id)
        if tracks is None:
            return _json_response(protocol.build_data_response(None))
        return _json_response(protocol.build_tracks_response(task_id, tracks))

    def _lyrics(self, body: bytes) -> web.Response:
        ids = load_json(body)
        for lyrics in self.service.lyrics:
            if ids == {"taskId": lyrics.task_id, "audioId": lyrics.audio_id}:
                return _json_response(build_lyrics_response(lyrics))
        return _json_response(protocol.build_data_response(None))

    def _retry_after(self, task: FakeTask) -> dict[str, str]:
        """Return the header for the next poll, which our own server sends and vendors do not."""
        retry_after = self.service.retry_after
        if retry_after is None or (retry_after and self.now >= task.completes_at):
            return {}
        return {"Retry-After": f"{retry_after:.0f}"}

    def _file(self, request: RecordedRequest, *, ignore_range: bool) -> web.Response:
        name = request.path.removeprefix("/files/").removesuffix(".mp4")
        task = self.state.tasks.get(name)
        if task is None or self.now < task.completes_at or request.method not in {"GET", "HEAD"}:
            return web.Response(status=404, text="no such file\n")
        content, tag = task.content, etag(task.content)
        headers = {"Content-Type": "video/mp4", "ETag": tag, "Accept-Ranges": "bytes"}
        range_match = _RANGE.fullmatch(request.headers.get("range", ""))
        if range_match is None or ignore_range or request.headers.get("if-range", tag) != tag:
            return web.Response(body=content, headers=headers)
        first = int(range_match[1])
        if first >= len(content):
            headers["Content-Range"] = f"bytes */{len(content)}"
            return web.Response(status=416, headers=headers)
        last = min(int(range_match[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return web.Response(status=206, body=content[first : last + 1], headers=headers)


def _json_response(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    content_type = "application/json"
    return web.Response(body=body, status=status, content_type=content_type, headers=headers or {})


def _refreshed_url(body: bytes) -> str:
    data = load_json(body)
    url = data.get("url") if isinstance(data, dict) else None
    return f"{str(url).partition('?')[0]}?fresh"


def _as_kie(data: dict[str, Any]) -> None:
    """Change details into kie's shape: a track number and plain times.

    See docs.kie.ai, "Get Music Video Details".
    """
    data.pop("audioId")
    data["musicIndex"] = 0
    for name in ("createTime", "completeTime"):
        if data[name] is not None:
            # The page names no time zone.
            data[name] = f"{datetime.fromtimestamp(data[name] / 1000):%Y-%m-%d %H:%M:%S}"  # noqa: DTZ006
