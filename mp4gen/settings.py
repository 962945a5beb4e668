"""What a client is told by its caller and its environment, checked before anything is sent."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from .addresses import is_loopback
from .api.dialects import Dialect
from .errors import ConfigurationError, ValidationError
from .options import RateLimit
from .transport.http import Secret, validate_api_key
from .transport.rate_limit import RateLimiter, SlidingWindowLimiter

DEFAULT_BASE_URL = "https://api.api.box"

KeySource = str | Callable[[], str]
# Host and key (or the callable that gives it); no key, no limit to share.
Account = tuple[str, object | None]

_open: WeakKeyDictionary[object, tuple[Account, RateLimiter]] = WeakKeyDictionary()


def resolve_base_url(value: str | None) -> str:
    """`value`, else `MP4GEN_BASE_URL`, else the default host; without a slash at its end.

    Raises:
        ConfigurationError: it is not the address of a server.
    """
    url = (value or os.environ.get("MP4GEN_BASE_URL") or DEFAULT_BASE_URL).strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # Names that DNS cannot hold are refused here, and not by the first call.
        usable = parts.scheme in {"http", "https"} and host.encode("idna") and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise ConfigurationError(
            f"base_url must be an address such as {DEFAULT_BASE_URL}, not {url[:100]!r}"
        )
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ConfigurationError("base_url must not hold a user, a query or a fragment")
    return url


def resolve_api_key(value: KeySource | None, base_url: str) -> Callable[[], Secret | None]:
    """What gives the key for each call: `value`, else `MP4GEN_API_KEY`.

    A server on loopback may do without one.

    Raises:
        ConfigurationError: there is none, it cannot be one, or it would go out unencrypted.
    """
    parts = urlsplit(base_url)
    is_local = is_loopback(parts.hostname)
    if callable(value):
        source = _rotating_key(value)
    else:
        source = _static_key(
            validate_api_key(to_secret(value) or to_secret(os.environ.get("MP4GEN_API_KEY")))
        )
        if source() is None and not is_local:
            raise ConfigurationError(
                f"no API key for {parts.hostname}: pass api_key or set MP4GEN_API_KEY; "
                "without one, `mp4gen serve` runs the same API on this machine"
            )
    if parts.scheme == "http" and not is_local and (callable(value) or source() is not None):
        raise ConfigurationError(
            f"base_url {base_url} would send the key unencrypted; use https://, or http:// only "
            "to this machine"
        )
    return source


def to_secret(text: str | None) -> Secret | None:
    """`text` as a `Secret`, without the line break that a file or a paste leaves at its end.

    Raises:
        ConfigurationError: it is no text.
    """
    if text is not None and not isinstance(text, str):
        raise ConfigurationError(
            f"api_key must be a text or a callable that gives one, not {type(text).__name__}"
        )
    return Secret(text.strip()) if text and text.strip() else None


def resolve_rate_limiter(value: RateLimit | RateLimiter) -> RateLimiter:
    """`value`, or one of our own that keeps it.

    Raises:
        ConfigurationError: it is neither a limit nor a limiter.
    """
    if isinstance(value, RateLimit):
        return SlidingWindowLimiter(value)
    if not isinstance(value, RateLimiter):
        raise ConfigurationError(
            f"rate_limit must be a RateLimit or have slot() and pause(), not {value!r}"
        )
    return value


def validate_id(name: str, value: str) -> str:
    """`value`, if it can be an id.

    Raises:
        ValidationError: it cannot.
    """
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValidationError({name: f"must be a non-empty text, not {value!r}"})
    return value


def validate_timeout(seconds: float) -> float:
    """`seconds`, if one can wait for so long.

    Raises:
        ConfigurationError: it is not a number above 0.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigurationError(f"timeout must be a number of seconds above 0, not {seconds!r}")
    return seconds


def resolve_resubmit(value: Literal["resubmit", "raise"] | None, dialect: Dialect) -> bool:
    """Whether a submit whose answer was lost is sent again; the dialect knows where not told.

    Raises:
        ConfigurationError: `value` is something else.
    """
    if value not in ("resubmit", "raise", None):
        raise ConfigurationError(
            f'on_uncertain_submit must be "resubmit" or "raise", not {value!r}'
        )
    return dialect.rejects_duplicates if value is None else value == "resubmit"


def positive_int(name: str, value: int) -> int:
    """`value`, if it is a whole number above 0.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number above 0, not {value!r}")
    return value


def warn_about_duplicate_client(client: object, account: Account, limiter: RateLimiter) -> None:
    """Warn if an open client has the same account and another limiter."""
    if account[1] is None:
        return
    if any(other == account and kept is not limiter for other, kept in _open.values()):
        warnings.warn(
            f"two clients of one key on {account[0]} keep the rate limit each by itself; "
            "share one client, or pass one rate_limit object to both",
            stacklevel=3,
        )
    _open[client] = (account, limiter)


def forget_client(client: object) -> None:
    """Note that a client was closed."""
    _open.pop(client, None)


def _static_key(key: Secret | None) -> Callable[[], Secret | None]:
    return lambda: key


def _rotating_key(get_key: Callable[[], str]) -> Callable[[], Secret | None]:
    return lambda: validate_api_key(to_secret(get_key()) or Secret(""))
