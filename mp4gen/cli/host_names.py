"""Checks that the name of a host exists before a command sends its first call to it.

The client itself retries: a network can come back. At the start of a command, a wrong name is more
likely, and minutes of retries would hide it.
"""

import asyncio
import socket
from urllib.parse import urlsplit

from .exit_codes import UsageError

# A slow name server is left to the client's own timeouts and retries.
_MAX_SECONDS = 2.0
# The name does not exist: glibc and macOS, macOS and BSD, Windows. A name server that cannot be
# reached has other numbers.
_UNKNOWN_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME), 11001}


async def require_known_name(url: str, *, is_proxy: bool = False) -> None:
    """Raise a `UsageError` if the name of the URL's host does not exist.

    Args:
        url: The URL of the API, of a file or of a proxy.
        is_proxy: Whether the URL is that of the proxy.
    """
    host = urlsplit(url).hostname or ""
    try:
        async with asyncio.timeout(_MAX_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(host, None)
    except UnicodeError:
        raise _unknown_name_error(host, is_proxy=is_proxy) from None
    except OSError as error:
        # Includes `TimeoutError`.
        if error.errno in _UNKNOWN_NAME:
            raise _unknown_name_error(host, is_proxy=is_proxy) from None


def _unknown_name_error(host: str, *, is_proxy: bool) -> UsageError:
    if is_proxy:
        return UsageError(
            f"Unknown host name of the proxy: {host}. Check --proxy, the proxy variables of the "
            "environment, and the network."
        )
    return UsageError(f"Unknown host name: {host}. Check the URL and the network.")
