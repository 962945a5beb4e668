"""Logs one line for each request; the lines contain no key, no query and no unguessable name."""

import logging
import re
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

log = logging.getLogger("mp4gen.server.access")

# What follows is a permission, as the name of a video.
_SECRET_PATH = re.compile(r"(/(?:files|music|covers)/).+")


class AccessLogger(AbstractAccessLogger):
    """Logs the client's address, the request, the status, the bytes and the seconds."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Log one request; `time` is in seconds."""
        fields: dict[str, Any] = {
            "remote": request.remote or "-",
            "method": request.method,
            "path": _SECRET_PATH.sub(r"\1...", request.rel_url.raw_path),
            "status": response.status,
            "bytes": response.body_length,
            "seconds": round(time, 4),
        }
        parts = " ".join(f"{name}={value}" for name, value in fields.items())
        log.info("%s", parts, extra={"fields": fields})
