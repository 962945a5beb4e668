"""Checks the host and the origin of every request, and turns exceptions into responses.

A page on the internet can make a browser send requests here under a name that its owner points to
this machine ("DNS rebinding"). So only known host names are answered; plain addresses are always
answered, since no other page can have them as its origin.

Such a page can also make a browser send a simple POST, for which CORS asks no permission, to a
server without a key. Browsers add an `Origin` header, other clients do not. A request that changes
something and comes from another site is rejected. A proxy may change the `Host` header, so the
origin of `public_url` is this site, too.
"""

import functools
import ipaddress
import logging
import re
import socket
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mp4gen.server.config import ServerConfig

from .responses import error_response

log = logging.getLogger("mp4gen.server")

_SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

_HOST = re.compile(
    r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\s\\/@?#:,\[\]]+))(?::[0-9]{1,5})?", re.IGNORECASE
)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CROSS_SITE = (
    "Another site must not send requests. Behind a proxy, start the server with its --public-url."
)


def security_middleware(config: ServerConfig) -> Middleware:
    """Return the middleware of a server."""
    allowed_hosts = _allowed_hosts(config)
    public_origin = None if config.public_url is None else _parse_origin(config.public_url)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        header = request.headers.get("Host")
        host = _host_of(header or "")
        # Browsers always send a host; a health check in HTTP/1.0 does not.
        if header is not None and host not in allowed_hosts and not _is_address(host):
            response: web.StreamResponse = _host_rejected(host or header)
        elif request.method not in _SAFE_METHODS and _is_cross_site(request, public_origin):
            response = error_response(403, _CROSS_SITE, status=403)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = _http_error_response(error)
            except ConnectionError:
                raise
            except Exception:
                # Only for the log: the error may contain secrets.
                log.exception("%s %s failed", request.method, request.path)
                response = error_response(500, status=500)
        if not response.prepared:
            response.headers.update(_SECURITY_HEADERS)
        return response

    return check


def _allowed_hosts(config: ServerConfig) -> set[str]:
    names = {"localhost", socket.gethostname().lower(), config.host.lower()}
    names |= {_host_of(name) for name in config.allowed_hosts}
    if config.public_url is not None:
        names.add(urlsplit(config.public_url).hostname or "")
    return names - {""}


@functools.lru_cache(256)
def _host_of(header: str) -> str:
    """Return the name or address in a `Host` header, or an empty string if it is invalid.

    The server repeats the header in the URLs of videos, so it must be exactly a host.
    """
    found = _HOST.fullmatch(header.strip())
    return (found["address"] or found["name"]).lower().rstrip(".") if found else ""


def host_header(request: web.Request) -> str:
    """Return the `Host` header; if there is none, the address and port that the client reached."""
    if host := request.headers.get("Host"):
        return host
    own = request.transport.get_extra_info("sockname") if request.transport else None
    address, port = own[:2] if isinstance(own, tuple) else ("localhost", 80)
    return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"


def _is_cross_site(request: web.Request, public_origin: tuple[str, str, int] | None) -> bool:
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}
    if public_origin is not None and _parse_origin(origin) == public_origin:
        return False
    return origin.partition("://")[2].lower() != request.headers.get("Host", "").strip().lower()


def _parse_origin(url: str) -> tuple[str, str, int] | None:
    """Return the scheme, the host and the port of a URL; None if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return parts.scheme, parts.hostname or "", port


@functools.lru_cache(256)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_rejected(host: str) -> web.Response:
    printable = "".join(char for char in host if char.isascii() and char.isprintable())[:100]
    message = f"Unknown host name: '{printable}'. Allow it with --allowed-host."
    return error_response(403, message, status=403)


def _http_error_response(error: web.HTTPException) -> web.Response:
    """Return the router's error as the API's: its code 404 also covers a wrong method."""
    code = 413 if error.status == 413 else 404 if error.status in {404, 405} else 400
    response = error_response(code, status=error.status)
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
