"""Check the links of files, and keep them byte for byte; sends nothing.

A host signs a link as it spelled it: `%2F`, `%27`, `+` or lower-case hex digits mean the same to a
URL library, but a rewritten link is refused with 403.
"""

import re
from string import punctuation
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from yarl import URL

from mp4gen.addresses import is_public, parse_http_url
from mp4gen.errors import DownloadError

INVALID_LINK: Final = "The video's link is not an http(s) URL. Pass a Video or its whole URL."
# Bytes of a header that are not UTF-8, as aiohttp decodes them.
_UNDECODED_BYTE: Final = re.compile("[\udc80-\udcff]")


def validate_url(url: str, *, allow_private: bool) -> str:
    """Return the host of `url`.

    Raises:
        DownloadError: `url` is not an http(s) URL, or names a private address.
    """
    parts = parse_http_url(url)
    if parts is None:
        raise DownloadError(INVALID_LINK)
    host = parts.hostname or ""
    if not allow_private and is_public(host) is False:
        raise private_address_error(host)
    return host


def private_address_error(host: str) -> DownloadError:
    """Return the error of a link to a private address."""
    return DownloadError(
        f"The video's link leads to a private address: {host}. Private links are only fetched if "
        "base_url is private, too."
    )


def exact_url(url: str) -> URL:
    """Return `url` for a request whose path and query are sent as they are spelled.

    Only spaces and characters outside of ASCII are escaped, since no request can carry them.

    Raises:
        DownloadError: No host can have this name.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        origin = str(URL(f"{parts.scheme}://{parts.netloc}")).rstrip("/")
        return URL(origin + quote(target, safe=punctuation), encoded=True)
    except ValueError:
        raise DownloadError(INVALID_LINK) from None


def redirect_target(url: str, location: str, host: str) -> str:
    """Return where the `Location` of a response to `url` leads, spelled as the host sent it.

    Raises:
        DownloadError: It is invalid, or leads from https to an unsafe URL.
    """
    location = _UNDECODED_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", location)
    try:
        base, parts = urlsplit(url), urlsplit(location)
    except ValueError:
        raise DownloadError(f"{host} redirects to an invalid URL.") from None
    if parts.scheme:
        target = location
    elif parts.netloc:
        target = f"{base.scheme}:{location}"
    elif location.startswith("/"):
        target = f"{base.scheme}://{base.netloc}{location}"
    elif location.startswith("?"):
        target = f"{base.scheme}://{base.netloc}{base.path}{location}"
    else:
        target = urljoin(url, location)
    if base.scheme == "https" and not target.lower().startswith("https:"):
        raise DownloadError(f"{host} redirects from https to an unsafe URL.")
    return target
