"""The fake service's proper answers, built by the server's end of the protocol; no sockets."""

from __future__ import annotations

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
from mp4gen.errors import AlreadyExistsError, ApiError, InvalidRequestError
from mp4gen.models import Track

from .faults import EXISTS, Reply, of_dialect
from .media import etag
from .state import FakeCall, FakeTask, SecondSubmit, State

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Settings(Protocol):
    """What is read of the service itself."""

    dialect: Dialect
    second_submit: SecondSubmit
    retry_after: float | None
    credits: float
    music: dict[str, list[Track]]

    def file_url(self, task_id: str) -> str:
        """Where the file of a task is."""
        ...


@attrs.frozen
class Answering:
    """One answer to be found, at loop time `now`."""

    service: Settings
    state: State
    now: float
    epoch: datetime

    def usual(self, call: FakeCall, reply: Reply) -> web.Response:
        """What the API says to `call`, with what `reply` changes of it."""
        match call.endpoint:
            case "create":
                answer = self._create(call)
            case "details":
                answer = self._details(call.query.get("taskId", ""), reply)
            case "tracks":
                answer = self._tracks(call.query.get("taskId", ""))
            case "credits":
                answer = _json(protocol.build_data_response(self.service.credits))
            case "download_url":
                answer = _json(protocol.build_data_response(_fresh(call.body)))
            case "file":
                answer = self._file(call, ignore_range=reply.ignore_range)
            case _:
                error = ApiError("Invalid request method or path", code=404)
                answer = _json(protocol.build_error_response(error), status=404)
        return answer

    def _create(self, call: FakeCall) -> web.Response:
        try:
            request = protocol.parse_create_body(call.body)
        except InvalidRequestError as error:
            return _json(protocol.build_error_response(error))
        first = self.state.first_of(request)
        if first is not None and self.service.second_submit != "new_task":
            return self._exists(first)
        if self.service.credits < 1:
            refusal = of_dialect("no_credits", self.service.dialect)
            return _json(refusal.body or b"")
        self.service.credits -= 1
        task = self.state.add(request, self.now)
        return _json(protocol.build_create_response(task.task_id), headers=self._pace(task))

    def _exists(self, first: FakeTask) -> web.Response:
        told = first.task_id if self.service.second_submit == "existing_id" else None
        # docs.kie.ai documents 409 and is seen to answer 422 with this very text.
        code = 422 if self.service.dialect.name == "kie" else 409
        error = AlreadyExistsError(EXISTS, code=code, existing_task_id=told)
        return _json(protocol.build_error_response(error))

    def _details(self, task_id: str, reply: Reply) -> web.Response:
        task = self.state.tasks.get(task_id)
        if task is None:
            return _json(protocol.build_data_response(None))
        task.looks += 1
        now = max(self.now, task.ends) if reply.finished else self.now
        details = task.details(now, self.service.file_url(task_id), self.epoch)
        answer = json.loads(protocol.build_details_response(details))
        if self.service.dialect.name == "kie":
            _as_kie(answer["data"])
        answer["data"] |= reply.data or {}
        return _json(dump_json(answer), headers=self._pace(task))

    def _tracks(self, task_id: str) -> web.Response:
        tracks = self.service.music.get(task_id)
        if tracks is None:
            return _json(protocol.build_data_response(None))
        return _json(protocol.build_tracks_response(task_id, tracks))

    def _pace(self, task: FakeTask) -> dict[str, str]:
        """How soon to look again: said by our own server, not by the vendors'."""
        wait = self.service.retry_after
        if wait is None or (wait and self.now >= task.ends):
            return {}
        return {"Retry-After": f"{wait:.0f}"}

    def _file(self, call: FakeCall, *, ignore_range: bool) -> web.Response:
        name = call.path.removeprefix("/files/").removesuffix(".mp4")
        task = self.state.tasks.get(name)
        if task is None or self.now < task.ends or call.method not in {"GET", "HEAD"}:
            return web.Response(status=404, text="no such file\n")
        content, tag = task.content, etag(task.content)
        headers = {"Content-Type": "video/mp4", "ETag": tag, "Accept-Ranges": "bytes"}
        span = _RANGE.fullmatch(call.headers.get("range", ""))
        if span is None or ignore_range or call.headers.get("if-range", tag) != tag:
            return web.Response(body=content, headers=headers)
        first = int(span[1])
        if first >= len(content):
            headers["Content-Range"] = f"bytes */{len(content)}"
            return web.Response(status=416, headers=headers)
        last = min(int(span[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return web.Response(status=206, body=content[first : last + 1], headers=headers)


def _json(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    kind = "application/json"
    return web.Response(body=body, status=status, content_type=kind, headers=headers or {})


def _fresh(body: bytes) -> str:
    given = load_json(body)
    url = given.get("url") if isinstance(given, dict) else None
    return f"{str(url).partition('?')[0]}?fresh"


def _as_kie(data: dict[str, Any]) -> None:
    """The shape of docs.kie.ai, "Get Music Video Details": a number for the track, plain times."""
    data.pop("audioId")
    data["musicIndex"] = 0
    for name in ("createTime", "completeTime"):
        if data[name] is not None:
            # The page names no zone; a reader must not assume one.
            data[name] = f"{datetime.fromtimestamp(data[name] / 1000):%Y-%m-%d %H:%M:%S}"  # noqa: DTZ006
