"""The account of a client: its URL and its key, and who else uses it; sends nothing.

Both come from arguments or the environment. An invalid value raises a `ConfigurationError`.
"""

import logging
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from mp4gen.addresses import is_loopback, is_public, parse_http_url
from mp4gen.errors import ConfigurationError, Mp4GenError
from mp4gen.options import invalid_setting
from mp4gen.secret import Secret
from mp4gen.transport.http import validate_api_key
from mp4gen.transport.rate_limit import RateLimiter

DEFAULT_BASE_URL = "https://api.api.box"

_log = logging.getLogger("mp4gen")

# The path of the API below its base URL, with any endpoint.
_API_PATH = r"/+api/+v1(/[^?#]*)?$"

KeySource = str | Callable[[], str]
# Host and key, or the callable that returns the key; without a key there is no limit to share.
Account = tuple[str, object | None]

_open: WeakKeyDictionary[object, tuple[Account, RateLimiter]] = WeakKeyDictionary()
# Blocking clients have threads of their own. Reentrant: a destructor may run while it is held.
_open_lock = threading.RLock()


def resolve_base_url(value: str | None) -> str:
    """Return `value`, else `MP4GEN_BASE_URL`, else the default host, without the API's own path."""
    url = (value or os.environ.get("MP4GEN_BASE_URL") or DEFAULT_BASE_URL).strip()
    # The vendors' pages show URLs of endpoints, so these are what people copy.
    url = re.sub(_API_PATH, "", url, flags=re.IGNORECASE).rstrip("/")
    parts = parse_http_url(url)
    if parts is None or " " in url or not _fits_dns(parts.hostname or ""):
        raise invalid_setting("base_url", url, f"a URL such as {DEFAULT_BASE_URL}")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "Invalid base_url: it holds a user, a query or a fragment. "
            f"Use a URL such as {DEFAULT_BASE_URL}."
        )
    return url


def resolve_api_key(
    value: KeySource | Secret | None, base_url: str, *, allow_http: bool = False
) -> Callable[[], Secret | None]:
    """Return a function that returns the key for each call: `value`, else `MP4GEN_API_KEY`.

    A server on loopback needs no key. A key is sent unencrypted to loopback, and with `allow_http`
    to private addresses.
    """
    parts = urlsplit(base_url)
    is_local = is_loopback(parts.hostname)
    key: Secret | None = None
    if not callable(value):
        key = validate_api_key(to_secret(value) or to_secret(os.environ.get("MP4GEN_API_KEY")))
        if key is None and not is_local:
            raise ConfigurationError(
                f"No API key for {parts.hostname}. Pass api_key or set MP4GEN_API_KEY; without a "
                "key, `mp4gen serve` runs the same API on this machine."
            )
    if parts.scheme == "http" and not is_local:
        _check_unencrypted(base_url, parts.hostname or "", allow_http=allow_http)
    return partial(_current_key, value) if callable(value) else lambda: key


def _current_key(source: Callable[[], str]) -> Secret | None:
    try:
        return validate_api_key(to_secret(source()) or Secret(""))
    except Mp4GenError:
        raise
    except Exception as error:
        # Without its text, which could hold a key.
        raise ConfigurationError(
            f"No API key: api_key raised {type(error).__name__}. Correct that function, or what it "
            "reads the key from."
        ) from error


def _check_unencrypted(base_url: str, host: str, *, allow_http: bool) -> None:
    # A name is checked when it is resolved, by each connection.
    if is_public(host):
        hint = "Use https://; http:// is for this machine and, with allow_http, private networks."
    elif not allow_http:
        hint = "Use https://, or allow_http=True (--allow-http) for a server in a private network."
    else:
        _log.warning("The key and the videos travel unencrypted to %s.", host)
        return
    raise ConfigurationError(f"The key would be sent unencrypted: {base_url}. {hint}")


def to_secret(text: str | Secret | None) -> Secret | None:
    """Return `text` as a `Secret` without the spaces and line breaks around it, None if empty."""
    if text is None:
        return None
    secret = Secret(text)
    # A traceback that shows the variables of this frame must not show the key.
    del text
    if not secret.is_text:
        raise ConfigurationError(
            f"Invalid api_key: {secret.type_name}. Use a string or a callable that returns one."
        )
    return secret or None


def warn_about_duplicate_client(client: object, account: Account, limiter: RateLimiter) -> None:
    """Remember an open client, and warn if another has the same account and another limiter."""
    with _open_lock:
        others = [kept for other, kept in _open.values() if other == account]
        _open[client] = (account, limiter)
    if account[1] is not None and any(kept != limiter for kept in others):
        warnings.warn(
            f"Two clients of one key each keep their own rate limit: {account[0]}. "
            "Share one client, or pass one rate_limit object to both.",
            stacklevel=_level_of_user(),
        )


def _level_of_user() -> int:
    """Return the `stacklevel` with which the caller warns of the line outside of this package."""
    for level, (frame, _) in enumerate(traceback.walk_stack(sys._getframe(1)), 1):  # noqa: SLF001
        if frame.f_globals.get("__name__", "").partition(".")[0] != "mp4gen":
            return level
    return 1


def forget_client(client: object) -> None:
    """Remove `client`, which is closed, from the open clients."""
    with _open_lock:
        _open.pop(client, None)


def is_in_use(limiter: RateLimiter) -> bool:
    """Return whether an open client uses `limiter`."""
    with _open_lock:
        return any(kept is limiter for _, kept in _open.values())


def _fits_dns(host: str) -> bool:
    # A host name that DNS cannot contain fails here instead of in the first call.
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False
