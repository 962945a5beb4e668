"""The option `--rate-limit`: numbers, or a Redis that several processes share; sends nothing."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from mp4gen.options import RateLimit
from mp4gen.secret import Secret
from mp4gen.transport.rate_limit import RateLimiter

from .exit_codes import UsageError

VARIABLE = "MP4GEN_RATE_LIMIT"
DEFAULT = "20/10"
_HINT = "Use requests/seconds, for instance 20/10, or redis://HOST:6379/0?limit=20/10."


@attrs.frozen
class SharedLimit:
    """The value of `--rate-limit`.

    Attributes:
        limit: The limit of the account.
        redis_url: The Redis that keeps it for all processes; None for this process alone.
        name: The name of the account there; None for one that follows from host and key.
    """

    limit: RateLimit
    redis_url: Secret | None = None
    name: str | None = None

    @property
    def redis_host(self) -> str | None:
        """The name of the host that Redis runs on; None without one."""
        return urlsplit(self.redis_url.reveal()).hostname if self.redis_url else None

    def limiter(self, base_url: str, key: str | None) -> RateLimiter | RateLimit:
        """Return what a client of the account takes as its `rate_limit`.

        Raises:
            ConfigurationError: The URL is invalid, or redis-py is missing.
        """
        if self.redis_url is None:
            return self.limit
        from mp4gen.redis import RedisRateLimiter

        name = self.name or account_name(base_url, key)
        return RedisRateLimiter(self.redis_url.reveal(), self.limit, name=name)


def parse_shared_limit(text: str | None) -> SharedLimit:
    """Return the value of `--rate-limit`, else of MP4GEN_RATE_LIMIT, else the default.

    Raises:
        UsageError: The value is invalid.
    """
    text = text or os.environ.get(VARIABLE, "").strip() or DEFAULT
    # A mistyped URL may contain a password, which no error shows.
    if "://" not in text and "@" not in text:
        return SharedLimit(parse_rate_limit(text))
    url, text = Secret(text), ""
    try:
        parts = urlsplit(url.reveal())
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        raise UsageError(f"Invalid rate limit: not a URL. {_HINT}") from None
    limit, name = options.pop("limit", DEFAULT), options.pop("name", None)
    plain = parts._replace(query=urlencode(options))
    return SharedLimit(parse_rate_limit(limit), Secret(plain.geturl()), name)


def parse_rate_limit(text: str) -> RateLimit:
    """Return `20/10` as 20 requests in 10 seconds."""
    count, _, seconds = text.partition("/")
    try:
        return RateLimit(int(count), per=float(seconds))
    except ValueError:
        # A URL, which only other commands take, may contain a password.
        shown = "a URL" if "://" in text or "@" in text else repr(text)
        raise UsageError(
            f"Invalid rate limit: {shown}. Use requests/seconds, for instance 20/10."
        ) from None


def account_name(base_url: str, key: str | None) -> str:
    """Return a name of the account that is the same in all processes, and does not show the key."""
    secret = (key or os.environ.get("MP4GEN_API_KEY", "")).strip()
    digest = hashlib.blake2b(secret.encode(), digest_size=8, person=b"mp4gen").hexdigest()
    return f"{urlsplit(base_url).netloc}:{digest}"


@contextmanager
def redis_reported(report: Callable[[str], object]) -> Iterator[None]:
    """Call `report` when Redis is away, and when it is back, while the block runs."""
    logger, handler = logging.getLogger("mp4gen.redis"), _Reporter(report)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Reporter(logging.Handler):
    def __init__(self, report: Callable[[str], object]) -> None:
        super().__init__()
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        self._report(record.getMessage())
