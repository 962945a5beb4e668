"""Serves the page and its assets, and protects its requests with sessions."""

import asyncio
import functools
import json
import math
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from aiohttp import web

from mp4gen.errors import ApiError, InvalidRequestError, Mp4GenError, ValidationError
from mp4gen.server.troubles import TRANSIENT_ERRORS, describe_trouble

from .api import MAX_BODY_BYTES, read_body
from .compression import Text, compress, send_text
from .responses import error_response
from .services import Services
from .sessions import Sessions

# Below the package, which may be in a zip file.
_HERE, _FONTS = ("server", "page"), ("render", "fonts")
SCRIPTS = (
    "app.js",
    "attachments.js",
    "base.js",
    "batches.js",
    "clip.js",
    "events.js",
    "images.js",
    "library.js",
    "new-video.js",
    "options.js",
    "player.js",
    "preview.js",
    "shared-events.js",
    "song-list.js",
    "song-rows.js",
    "tabs.js",
    "uploads.js",
    "video-row.js",
    "videos.js",
    "watch.js",
)
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

_HEADERS = {**SECURITY_HEADERS, "Cache-Control": "no-cache"}
_POLICY = "Content-Security-Policy"
_ALLOW_MEDIA = {
    _POLICY: SECURITY_HEADERS[_POLICY].replace("media-src 'self'", "media-src 'self' http: https:")
}

SessionHandler = Callable[[web.Request, str], Awaitable[web.StreamResponse]]


class PageAssets:
    """The page, its assets and its login.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._sessions, self._guard = services.sessions, services.guard
        # The videos then come from the bucket's host.
        plays_links = services.config.file_links == "presigned"
        self._headers = _HEADERS | (_ALLOW_MEDIA if plays_links else {})

    def routes(self) -> list[web.RouteDef]:
        """Return the routes that need no session."""
        return [
            web.get("/", self.index),
            web.get("/page/asset/{name}", self.asset),
            web.post("/page/login", self.login),
        ]

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page, and start a session if the server needs no key."""
        text = await asyncio.to_thread(_read_text, _HERE, "index.html", "text/html")
        response = send_text(request, text, self._headers)
        if self._sessions.is_open and self._sessions.account_of(request) is None:
            self._sessions.start(response, "")
        return response

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Answer with a script, a font or another asset."""
        name = request.match_info["name"]
        if name in _ASSETS:
            folder, kind = _ASSETS[name]
            text = await asyncio.to_thread(_read_text, folder, name, kind)
            return send_text(request, text, _HEADERS)
        raise web.HTTPNotFound

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Start a session for the owner of a key."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return error_response(403, status=403)
        try:
            raw_key = (await read_json(request)).get("key")
            account = self._guard.check(request, raw_key if isinstance(raw_key, str) else None)
        except ApiError as error:
            return _login_error(error)
        response = web.json_response({})
        # Behind a proxy only the browser knows whether the page came over https.
        secure = request.secure or request.headers.get("Origin", "").startswith("https://")
        self._sessions.start(response, account, secure=secure)
        return response


def _login_error(error: ApiError) -> web.Response:
    if error.code == 401:
        return error_response(401, "Wrong key.", status=401)
    status = 429 if error.code == 430 else error.code
    retry_after = None if error.retry_after is None else math.ceil(error.retry_after)
    return error_response(error.code, error.message, status=status, retry_after=retry_after)


@functools.cache
def _read_text(folder: tuple[str, str], name: str, content_type: str) -> Text:
    content = resources.files("mp4gen").joinpath(*folder, name).read_bytes()
    return compress(content, content_type)


def require_session(sessions: Sessions, handler: SessionHandler, *, needs_csrf_token: bool) -> Any:
    """Return `handler` with checks of the session, and of its token if the request needs it."""

    async def check(request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 - one for each error
        account = sessions.account_of(request)
        if account is None:
            return error_response(401, status=401)
        if needs_csrf_token and not sessions.verify_csrf_token(request, account):
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
