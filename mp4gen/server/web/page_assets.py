"""The page's door: the page itself, its parts, and who is let through to what its script asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from mp4gen.errors import ApiError, InvalidRequestError, Mp4GenError, ValidationError

from .api import MAX_BODY_BYTES, read_body
from .responses import error_response
from .sessions import Sessions

_HERE = Path(__file__).parents[1] / "page"
_FONTS = Path(__file__).parents[2] / "render" / "fonts"
SCRIPTS = ("app.js", "base.js", "images.js", "uploads.js", "videos.js")
_ASSETS = {
    **dict.fromkeys(SCRIPTS, (_HERE, "text/javascript")),
    "style.css": (_HERE, "text/css"),
    "icon.svg": (_HERE, "image/svg+xml"),
    "Inter-Regular.ttf": (_FONTS, "font/ttf"),
    "Inter-Medium.ttf": (_FONTS, "font/ttf"),
    "InterDisplay-SemiBold.ttf": (_FONTS, "font/ttf"),
}
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; media-src 'self'; font-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

SessionHandler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


class PageAssets:
    """The door of one server's page.

    Args:
        sessions: who has been let in.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> list[web.RouteDef]:
        """What everybody can have."""
        return [
            web.get("/", self.index),
            web.get("/page/asset/{name}", self.asset),
            web.post("/page/login", self.login),
        ]

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page itself; where no key is needed its visitor gets a session at once."""
        content = await asyncio.to_thread((_HERE / "index.html").read_bytes)
        headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
        response = web.Response(body=content, content_type="text/html", headers=headers)
        response.charset = "utf-8"
        if self._sessions.is_open and self._sessions.account_of(request) is None:
            self._sessions.start(response, None)
        return response

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A part of the page."""
        name = request.match_info["name"]
        if name not in _ASSETS:
            raise web.HTTPNotFound
        folder, kind = _ASSETS[name]
        headers = {**SECURITY_HEADERS, "Content-Type": kind, "Cache-Control": "no-cache"}
        return web.FileResponse(folder / name, headers=headers)

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Begin a session with the server's key."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return error_response(403, status=403)
        try:
            raw_key = (await read_json(request)).get("key")
        except InvalidRequestError as error:
            return error_response(error.code, error.message, status=error.code)
        response = web.json_response({})
        key = raw_key if isinstance(raw_key, str) else None
        # Behind a proxy only the browser knows how the page was reached.
        secure = request.headers.get("Origin", "").startswith("https://")
        if self._sessions.start(response, key, secure=secure) is None:
            return error_response(401, "That is not the key of this server.", status=401)
        return response


def require_session(
    sessions: Sessions, handler: SessionHandler, *, needs_csrf_token: bool = False
) -> Any:
    """A handler only for those with a session; what changes something needs its token as well."""

    async def check(request: web.Request) -> web.StreamResponse:
        account = sessions.account_of(request)
        if account is None:
            return error_response(401, status=401)
        if needs_csrf_token and not sessions.verify_csrf_token(request):
            return error_response(403, "Reload the page and try again.", status=403)
        try:
            return await handler(request, account)
        except ApiError as error:
            return error_response(error.code, error.message, status=error.code)
        except ValidationError as error:
            return error_response(400, str(error), status=400)
        except Mp4GenError as error:
            return error_response(400, str(error), status=422)

    return check


async def read_json(request: web.Request) -> dict[str, Any]:
    """The object in the request's body.

    Raises:
        InvalidRequestError: it holds something else, or too much.
    """
    try:
        body = json.loads(await read_body(request, MAX_BODY_BYTES))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidRequestError("the body must be a JSON object", code=400)
    return body
