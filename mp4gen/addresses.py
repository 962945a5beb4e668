"""Which network addresses belong to the open internet; resolves nothing."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Whether `host` is this very machine, by its name or address alone."""
    address = _address(host or "")
    return host == "localhost" if address is None else address.is_loopback


def is_public(host: str) -> bool | None:
    """Whether an address may be on the open internet; None for a name, which only DNS knows."""
    if host.lower().rstrip(".") == "localhost":
        return False
    address = _address(host)
    return None if address is None else address.is_global and not address.is_multicast


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # ::ffff:127.0.0.1 reaches what 127.0.0.1 does.
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
