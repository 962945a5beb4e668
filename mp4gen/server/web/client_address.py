"""Finds the address of a client, also behind a proxy that is trusted to report it."""

import ipaddress
from functools import lru_cache

from aiohttp import web

from mp4gen.server.config import ServerConfig

UNKNOWN = "unknown"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LOOPBACK = ("127.0.0.0/8", "::1")


class ClientAddresses:
    """The addresses of clients.

    Each client can write `X-Forwarded-For`. So it is read from its end, where the proxies of this
    server add what they saw, and only as far as these proxies are trusted.

    Args:
        config: The server's settings: with `public_url` a proxy on this machine is trusted, too.
    """

    def __init__(self, config: ServerConfig) -> None:
        own = () if config.public_url is None else _LOOPBACK
        proxies = (*own, *config.trusted_proxies)
        self._trusted = [ipaddress.ip_network(one, strict=False) for one in proxies]
        self._find = lru_cache(1024)(self._find_uncached)

    def of(self, request: web.Request) -> str:
        """Return the address of the request's client; for IPv6 its network, which is one user's."""
        forwarded = request.headers.getall("X-Forwarded-For", ()) if self._trusted else ()
        return self._find(_peer(request), ",".join(forwarded))

    def _find_uncached(self, peer: str, forwarded: str) -> str:
        address = _parse(peer)
        for text in reversed(forwarded.split(",")):
            before = _parse(text.strip())
            if address is None or before is None or not self._is_trusted(address):
                break
            address = before
        return UNKNOWN if address is None else _client(address)

    def _is_trusted(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def _peer(request: web.Request) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return str(peer[0]) if isinstance(peer, tuple) else ""


def _parse(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _client(address: _Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
