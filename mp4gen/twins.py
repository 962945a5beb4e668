"""Warns of two clients that keep one account's rate limit each by itself; holds none of them."""

from __future__ import annotations

import warnings
from weakref import WeakKeyDictionary

from .rate_limit import RateLimiter

# Host and key (or the callable that gives it); no key, no limit to share.
Account = tuple[str, object | None]

_open: WeakKeyDictionary[object, tuple[Account, RateLimiter]] = WeakKeyDictionary()


def announce(client: object, account: Account, limiter: RateLimiter) -> None:
    """A client was made; warn where an open one has its account and another limiter."""
    if account[1] is None:
        return
    if any(other == account and kept is not limiter for other, kept in _open.values()):
        warnings.warn(
            f"two clients of one key on {account[0]} keep the rate limit each by itself; "
            "share one client, or pass one rate_limit object to both",
            stacklevel=3,
        )
    _open[client] = (account, limiter)


def leave(client: object) -> None:
    """A client was closed."""
    _open.pop(client, None)
