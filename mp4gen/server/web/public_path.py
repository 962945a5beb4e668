"""Serves all routes below the path of the public URL, too: only some proxies remove it."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import attrs
from aiohttp import web

from mp4gen.server.config import ServerConfig


def below_public_path(config: ServerConfig, routes: Sequence[web.RouteDef]) -> list[web.RouteDef]:
    """Return these routes, and the same ones below the path of the public URL."""
    path = urlsplit(config.public_url or "").path
    if not path:
        return list(routes)
    below = [attrs.evolve(route, path=path + route.path) for route in routes]
    if any(route.path == "/" for route in routes):
        # The links of the page are relative, so its address needs the slash at its end.
        below.append(web.get(path, _redirect))
    return [*routes, *below]


async def _redirect(request: web.Request) -> web.Response:
    return web.Response(status=308, headers={"Location": f"{request.path}/"})
