"""Send one HTTP POST to a callback URL without giving access to the private network.

A caller chooses the URL, so it could name something that only this machine can reach. A name is
refused if any of its addresses is private, and each address is checked again at connect time.
Redirects are not followed, and the response's body is not read.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from yarl import URL

from mp4gen.addresses import PrivateAddressError, is_public, public_socket

_HEADERS = {"User-Agent": "mp4gen", "Content-Type": "application/json"}


class DeliveryError(Exception):
    """The POST was not delivered.

    Attributes:
        permanent: True if a retry would fail in the same way.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class _PublicResolver(aiohttp.ThreadedResolver):
    """Refuses a name if any of its addresses is private."""

    async def resolve(self, *args: Any, **options: Any) -> list[ResolveResult]:
        """Return the addresses of a name."""
        found = await super().resolve(*args, **options)
        if not all(is_public(entry["host"]) for entry in found):
            raise PrivateAddressError
        return found


def wants_callback(url: str) -> bool:
    """Return False for a placeholder: `.invalid` names never exist (RFC 2606).

    The API requires a callback URL, so clients that only poll send a placeholder.
    """
    try:
        host = (urlsplit(url).hostname or "").lower().rstrip(".")
    except ValueError:
        return False
    return bool(host) and not f".{host}".endswith(".invalid")


def parse_target(url: str) -> URL | None:
    """Return `url` with its host in ASCII and its path unchanged, or None if it is unusable."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = f":{parts.port}" if parts.port else ""
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        netloc = f"[{host}]" if ":" in host else host
        target = URL(f"{parts.scheme}://{netloc}{port}{path}", encoded=True)
    except (ValueError, UnicodeError):
        return None
    is_plain = path.isascii() and path.isprintable() and " " not in path
    if parts.scheme not in {"http", "https"} or not host or parts.username or not is_plain:
        return None
    return target


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_local: bool,
    connect_timeout: float,
) -> int:
    """Send JSON to `url`.

    Args:
        url: The callback URL.
        body: The JSON document.
        headers: Additional headers.
        allow_local: Also connect to loopback and private addresses.
        connect_timeout: Seconds until the next address of the name is tried, if one accepts the
            connection and says nothing. One that does not accept it is passed over at once.

    Returns:
        The HTTP status of the response.

    Raises:
        DeliveryError: An invalid URL, a private address, no connection, or no HTTP response.
    """
    target = parse_target(url)
    if target is None:
        raise DeliveryError("The URL is invalid.", permanent=True)
    try:
        async with (
            _session(allow_local=allow_local) as session,
            session.post(
                target,
                data=body,
                headers=_HEADERS | dict(headers),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=connect_timeout),
            ) as response,
        ):
            return response.status
    except aiohttp.InvalidURL:
        raise DeliveryError("The URL is invalid.", permanent=True) from None
    except aiohttp.ConnectionTimeoutError:
        raise DeliveryError(f"No connection within {connect_timeout:g} s.") from None
    except (aiohttp.ClientError, OSError) as error:
        cause = getattr(error, "os_error", error)
        if isinstance(cause, PrivateAddressError):
            raise DeliveryError("Its address is not public.", permanent=True) from None
        reason = getattr(cause, "strerror", None) or type(error).__name__
        raise DeliveryError(f"No HTTP response: {reason}.") from None


def _session(*, allow_local: bool) -> aiohttp.ClientSession:
    guard: dict[str, Any] = {"resolver": _PublicResolver(), "socket_factory": public_socket}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, **({} if allow_local else guard)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )
