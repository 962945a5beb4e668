"""Answers requests for the server's health and its OpenAPI document."""

from aiohttp import web

from mp4gen.server.queue.admission import RejectReason
from mp4gen.version import package_version

from .openapi import document
from .services import Services


class Health:
    """`GET /healthz` and `GET /openapi.json`; they need no key.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._document = document(package_version(), requires_key=bool(services.config.accounts))

    def routes(self) -> list[web.RouteDef]:
        """Return the two routes."""
        return [web.get("/healthz", self.health), web.get("/openapi.json", self.openapi)]

    async def health(self, _: web.Request) -> web.Response:
        """Answer with HTTP 200 if new tasks are accepted and rendered, else with 503 and why."""
        reject_reason = self._services.admission.reject_reason
        trouble = self._services.scheduler.trouble
        # A full queue is healthy: running renders empty it.
        if reject_reason not in {None, RejectReason.QUEUE_FULL}:
            status = reject_reason.value
        else:
            status = "ok" if trouble is None else "waiting"
        body = {
            "status": status,
            "trouble": trouble,
            "version": package_version(),
            "queued": self._services.scheduler.queued,
            "rendering": self._services.scheduler.rendering,
            "free_bytes": self._services.data.free_bytes(),
        }
        return web.json_response(body, status=200 if status == "ok" else 503)

    async def openapi(self, _: web.Request) -> web.Response:
        """Answer with the OpenAPI document."""
        return web.json_response(self._document)
