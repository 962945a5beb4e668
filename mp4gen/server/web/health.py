"""How the server itself is, and its contract: for those who run it. Tells nothing of any task."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web

from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.queue.admission import Admission, RejectReason
from mp4gen.server.queue.scheduler import RenderScheduler

from .openapi import document


class Health:
    """`GET /healthz` and `GET /openapi.json`, for everybody.

    Args:
        config: the mode of operation.
        scheduler: how much there is to do.
        data: how much room there is.
        admission: whether new tasks are taken.
    """

    def __init__(
        self,
        config: ServerConfig,
        scheduler: RenderScheduler,
        data: DataDirectory,
        admission: Admission,
    ) -> None:
        self._scheduler, self._data, self._admission = scheduler, data, admission
        self._document = document(package_version(), requires_key=bool(config.accounts))

    def routes(self) -> list[web.RouteDef]:
        """Where each is told."""
        return [web.get("/healthz", self.health), web.get("/openapi.json", self.openapi)]

    async def health(self, _: web.Request) -> web.Response:
        """HTTP 200 while new tasks are taken, else 503; the body says why."""
        reject_reason = self._admission.reject_reason
        # A full queue is a server at work: it takes tasks again by itself.
        status = "ok" if reject_reason in {None, RejectReason.QUEUE_FULL} else reject_reason.value
        body = {
            "status": status,
            "version": package_version(),
            "queued": self._scheduler.queued,
            "rendering": self._scheduler.rendering,
            "free_bytes": self._data.free_bytes(),
        }
        return web.json_response(body, status=200 if status == "ok" else 503)

    async def openapi(self, _: web.Request) -> web.Response:
        """The OpenAPI document."""
        return web.json_response(self._document)


@functools.cache
def package_version() -> str:
    """The version of this package."""
    try:
        return version("mp4gen")
    except PackageNotFoundError:
        return "unknown"
