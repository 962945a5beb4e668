"""How the server itself is, and its contract: for those who run it. Tells nothing of any task."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from aiohttp import web

from .config import ServerConfig
from .datadir import DataFolder
from .jobs import Jobs
from .openapi import document


class Health:
    """`GET /healthz` and `GET /openapi.json`, for everybody.

    Args:
        config: the mode of operation.
        jobs: how much there is to do.
        data: how much room there is.
    """

    def __init__(self, config: ServerConfig, jobs: Jobs, data: DataFolder) -> None:
        self._config, self._jobs, self._data = config, jobs, data
        self._document = document(own_version(), locked=bool(config.accounts))

    def routes(self) -> list[web.RouteDef]:
        """Where each is told."""
        return [web.get("/healthz", self.health), web.get("/openapi.json", self.contract)]

    async def health(self, _: web.Request) -> web.Response:
        """HTTP 200 while new tasks are taken, else 503; the body says why."""
        free = self._data.free_bytes()
        status = "ok"
        if self._config.maintenance:
            status = "maintenance"
        elif free < self._config.min_free_bytes:
            status = "disk full"
        body = {
            "status": status,
            "version": own_version(),
            "waiting": self._jobs.waiting,
            "rendering": self._jobs.rendering,
            "free_bytes": free,
        }
        return web.json_response(body, status=200 if status == "ok" else 503)

    async def contract(self, _: web.Request) -> web.Response:
        """The OpenAPI document."""
        return web.json_response(self._document)


def own_version() -> str:
    """The version of this package."""
    try:
        return version("mp4gen")
    except PackageNotFoundError:
        return "unknown"
