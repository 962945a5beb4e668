"""Checks of URLs and network addresses by their text alone; resolves nothing.

`public_socket`, a `socket_factory` for aiohttp, guards against server-side request forgery, and
`private_socket` keeps unencrypted keys in private networks. They check each address at connect
time, so DNS rebinding does not get around the check.
"""

import errno
import ipaddress
import socket
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The range of public IPv6 hosts (IANA, "IPv6 Global Unicast Address Assignments").
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# Translated to IPv4 on the way (RFC 6052); some networks reach most hosts only in this way.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A connection to a private address was refused.

    Its text is always the same: aiohttp keeps the error's type only if all addresses fail alike.
    """

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "a private address")


class PublicAddressError(OSError):
    """A connection to a public address was refused. Its text is always the same, too."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "a public address")


def private_socket(info: Any) -> socket.socket:
    """Return a socket for a resolved address, as aiohttp's `socket_factory`.

    Raises:
        PublicAddressError: The address is public.
    """
    family, kind, protocol, _, address = info
    if is_public(str(address[0])):
        raise PublicAddressError
    return socket.socket(family, kind, protocol)


def public_socket(info: Any) -> socket.socket:
    """Return a socket for a resolved address, as aiohttp's `socket_factory`.

    Raises:
        PrivateAddressError: The address is not public.
    """
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise PrivateAddressError
    return socket.socket(family, kind, protocol)


def parse_http_url(url: object) -> SplitResult | None:
    """Return the parts of an absolute http:// or https:// URL, or None if `url` is not one."""
    if not isinstance(url, str):
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and url.isprintable() else None


def is_loopback(host: str | None) -> bool:
    """Return whether `host` is this machine, by its name or address alone."""
    address = _parse_ip(host or "")
    return host == "localhost" if address is None else address.is_loopback


def is_public(host: str) -> bool | None:
    """Return whether an address may be on the public internet; None for a name.

    All spellings that resolvers accept are recognized: 2130706433, 0x7f.1 and ::ffff:7f00:1
    are all 127.0.0.1.
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return False
    address = _parse_ip(name) or _parse_legacy_ipv4(name)
    return None if address is None else _is_global(address)


def _is_global(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _NAT64:
        return _is_global(ipaddress.IPv4Address(address.packed[-4:]))
    # 6to4 can lead to any IPv4 address and is deprecated (RFC 7526).
    return address in _GLOBAL_UNICAST and address.is_global and not address.sixtofour


def _parse_ip(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # ::ffff:127.0.0.1 reaches the same host as 127.0.0.1.
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _parse_legacy_ipv4(host: str) -> ipaddress.IPv4Address | None:
    """Parse an IPv4 address in an old spelling: fewer parts, octal, hexadecimal."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
