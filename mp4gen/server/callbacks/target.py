"""A callback's address taken apart; resolves and connects nothing."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs


@attrs.frozen
class Target:
    """One callback address, taken apart.

    Attributes:
        secure: whether it is https.
        host: the name or address, in ASCII, without brackets.
        port: the port.
        path: path and query, as they go into the request line.
    """

    secure: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def wants_callback(url: str) -> bool:
    """Whether anybody can be there: `.invalid` is reserved for names that never exist (RFC 2606).

    Callers that only poll must name some address, and ours name one of those.
    """
    host = _host(url)
    return bool(host) and not (host == "invalid" or host.endswith(".invalid"))


def parse_target(url: str) -> Target | None:
    """`url` taken apart; None where nothing can be sent there."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode() if parts.hostname else ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except (ValueError, UnicodeError):
        return None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    plain = path.isascii() and path.isprintable() and " " not in path
    if parts.scheme not in {"http", "https"} or not host or parts.username or not plain:
        return None
    return Target(parts.scheme == "https", host, port, path)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower().rstrip(".")
    except ValueError:
        return ""
