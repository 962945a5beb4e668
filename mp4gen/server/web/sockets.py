"""Binds the server's sockets; knows nothing of HTTP."""

import errno
import socket
import sys

from mp4gen.errors import ConfigurationError
from mp4gen.server.config import ServerConfig

# Windows reports the same error for both.
_OR_IN_USE = " or in use" if sys.platform == "win32" else ""


def bind(config: ServerConfig) -> list[socket.socket]:
    """Return sockets bound to the server's port, one for each address of its host.

    None of them listens yet.

    Raises:
        ConfigurationError: The port is in use, or the host is not an address of this machine.
    """
    bound: list[socket.socket] = []
    port = config.port
    try:
        for family, address in _addresses(config.host.strip("[]"), port):
            one = socket.socket(family, socket.SOCK_STREAM)
            bound.append(one)
            _bind(one, (address[0], port, *address[2:]))
            # Port 0: the others get the port of the first.
            port = one.getsockname()[1]
    except OSError as error:
        for one in bound:
            one.close()
        raise bind_error(config, error) from error
    return bound


def url_of(config: ServerConfig, bound: list[socket.socket]) -> str:
    """Return the URL of a server that listens on these sockets."""
    host = config.host.strip("[]")
    bracketed = f"[{host}]" if ":" in host else host
    scheme = "http" if config.tls_cert is None else "https"
    return f"{scheme}://{bracketed}:{bound[0].getsockname()[1]}"


def bind_error(config: ServerConfig, error: OSError) -> ConfigurationError:
    """Return the error for a failed bind, with what to do."""
    where = f"{config.host} port {config.port}"
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"{where} is in use by another program. Choose another with --port, or 0 for any."
        )
    if error.errno == errno.EACCES:
        return ConfigurationError(
            f"{where} is reserved for the system{_OR_IN_USE}. Choose one from 1024 on with --port."
        )
    reason = error.strerror or "not an address of this machine"
    return ConfigurationError(f"Cannot listen on {where}: {reason}. Choose another with --host.")


def _addresses(host: str, port: int) -> list[tuple[int, tuple[str, ...]]]:
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )
    return list(dict.fromkeys((one[0], one[4]) for one in found))  # type: ignore[misc]


def _bind(one: socket.socket, address: tuple[object, ...]) -> None:
    # Allow to reuse a port that a server has just left, but not one in use.
    if sys.platform == "win32":
        one.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if one.family == socket.AF_INET6:
        # IPv4 has its own socket.
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(address)
