"""Serves the page and its assets, and protects its requests with sessions."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from mp4gen.errors import ApiError, InvalidRequestError, Mp4GenError, ValidationError
from mp4gen.server.troubles import TRANSIENT_ERRORS, describe_trouble

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
    """The page, its assets and its login.

    Args:
        sessions: The sessions of the page's users.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that need no session."""
        return [
            web.get("/", self.index),
            web.get("/page/asset/{name}", self.asset),
            web.post("/page/login", self.login),
        ]

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page, and start a session if the server needs no key."""
        content = await asyncio.to_thread((_HERE / "index.html").read_bytes)
        headers = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
        response = web.Response(body=content, content_type="text/html", headers=headers)
        response.charset = "utf-8"
        if self._sessions.is_open and self._sessions.account_of(request) is None:
            self._sessions.start(response, None)
        return response

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Answer with a script, a font or another asset."""
        name = request.match_info["name"]
        if name not in _ASSETS:
            raise web.HTTPNotFound
        folder, kind = _ASSETS[name]
        headers = {**SECURITY_HEADERS, "Content-Type": kind, "Cache-Control": "no-cache"}
        return web.FileResponse(folder / name, headers=headers)

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Start a session for the owner of a key."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return error_response(403, status=403)
        try:
            raw_key = (await read_json(request)).get("key")
        except InvalidRequestError as error:
            return error_response(error.code, error.message, status=error.code)
        response = web.json_response({})
        key = raw_key if isinstance(raw_key, str) else None
        # Behind a proxy only the browser knows whether the page came over https.
        secure = request.secure or request.headers.get("Origin", "").startswith("https://")
        if self._sessions.start(response, key, secure=secure) is None:
            return error_response(401, "Wrong key.", status=401)
        return response


def require_session(
    sessions: Sessions, handler: SessionHandler, *, needs_csrf_token: bool = False
) -> Any:
    """Return `handler` with checks of the session, and of its token if the request needs it."""

    async def check(request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 - one for each error
        account = sessions.account_of(request)
        if account is None:
            return error_response(401, status=401)
        if needs_csrf_token and not sessions.verify_csrf_token(request):
            return error_response(403, "Reload the page and try again.", status=403)
        try:
            response = await handler(request, account)
        except ApiError as error:
            return error_response(error.code, error.message, status=error.code)
        except ValidationError as error:
            return error_response(400, str(error), status=400)
        except TRANSIENT_ERRORS as error:
            return error_response(500, describe_trouble(error), status=503)
        except Mp4GenError as error:
            return error_response(400, str(error), status=422)
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
        return response

    return check


async def read_json(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the request's body.

    Raises:
        InvalidRequestError: The body is not a JSON object, or too large.
    """
    try:
        body = json.loads(await read_body(request, MAX_BODY_BYTES))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidRequestError("The body must be a JSON object.", code=400)
    return body
