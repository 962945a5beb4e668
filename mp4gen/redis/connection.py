"""The connection to Redis: checks the URL, runs the script and classifies what goes wrong.

The module knows nothing of slots. No text that it returns, logs or raises contains a password, and
no error of redis-py, whose traceback could show one, leaves it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from mp4gen.errors import ConfigurationError, Mp4GenError
from mp4gen.options import invalid_setting
from mp4gen.secret import Secret

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

    RedisClient = Redis | RedisCluster

_URL_HINT = "a URL such as redis://localhost:6379/0, or a client of redis.asyncio"
_SCHEMES = {"redis", "rediss", "unix"}
# What a server answers that cannot serve now. All other errors are the user's to correct.
_TEMPORARY = re.compile(
    r"\b(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN|UNKILLABLE)\b"
)
# The same as classes, of which redis-py drops the code. Older versions lack some.
_TEMPORARY_CLASSES = {
    "AskError",
    "ClusterDownError",
    "MasterDownError",
    "MovedError",
    "OutOfMemoryError",
    "ReadOnlyError",
    "TryAgainError",
}
_MAX_REASON = 120


class RedisAwayError(Mp4GenError):
    """Redis did not run the script; it may do so later. Its text says why not."""


class RedisConnection:
    """Runs the script of the limiter on one Redis.

    Args:
        source: A URL, or a client that the user made and closes.
        keys: The keys of the script.

    Raises:
        ConfigurationError: The source is invalid, or redis-py is missing.
    """

    def __init__(self, source: str | Secret | RedisClient, keys: Sequence[str]) -> None:
        self._redis = _import_redis()
        self._keys = keys
        self._client: Any = None
        self._script: Any = None
        self._url = Secret(source) if isinstance(source, str | Secret) else None
        is_url = isinstance(source, str | Secret)
        self._given_client: Any = None if is_url else self._checked(source)
        self.address = self._address()
        if self._url is not None:
            self._make_client(self._url)

    def _checked(self, source: object) -> object:
        if isinstance(source, self._redis.asyncio.Redis | self._redis.asyncio.RedisCluster):
            return source
        raise invalid_setting("url_or_client", source, _URL_HINT)

    def _address(self) -> str:
        """Return where Redis is, without user, password and options."""
        if self._url is None:
            pool = getattr(self._given_client, "connection_pool", None)
            options = getattr(pool, "connection_kwargs", {})
            return options.get("path") or f"{options.get('host', '?')}:{options.get('port', '?')}"
        try:
            parts = urlsplit(self._url.reveal())
            port = parts.port
        except ValueError:
            raise self._invalid_url("its port is not a number") from None
        if parts.scheme not in _SCHEMES:
            raise self._invalid_url(f"its scheme is not one of {', '.join(sorted(_SCHEMES))}")
        database = parts.path.strip("/")
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        if database and not database.isdecimal():
            raise self._invalid_url("its path is not the number of a database")
        host = parts.hostname or "localhost"
        return f"{parts.scheme}://{host}:{port or 6379}/{database or 0}"

    @staticmethod
    def _invalid_url(reason: str) -> ConfigurationError:
        return ConfigurationError(f"Invalid Redis URL: {reason}. Use {_URL_HINT}.")

    def _make_client(self, url: Secret) -> Redis:
        redis = self._redis
        # The limiter itself tries again, and must know when.
        retry = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
        problem = ""
        try:
            made: Any = redis.asyncio.Redis.from_url(url.reveal(), retry=retry)
            # Until now, redis-py has not checked the options of the URL.
            made.connection_pool.make_connection()
        except (ValueError, TypeError, redis.RedisError) as error:
            problem = type(error).__name__
        else:
            return cast("Redis", made)
        raise self._invalid_url(f"redis-py refuses its options ({problem})")

    async def run(self, arguments: Sequence[str | int], timeout: float) -> list[int]:
        """Run the script once and return its reply.

        Raises:
            RedisAwayError: Redis cannot run it now.
            ConfigurationError: Redis will not run it: a wrong password, no permission, no Redis.
        """
        if self._script is None:
            client = self._make_client(self._url) if self._url else self._given_client
            source = files("mp4gen.redis").joinpath("exchange.lua").read_text(encoding="utf-8")
            self._client, self._script = client, client.register_script(source)
        error: Exception
        try:
            async with asyncio.timeout(timeout):
                reply: list[int] = await self._script(self._keys, arguments)
        except TimeoutError:
            error = RedisAwayError(f"No response within {timeout:g} s.")
        except (self._redis.RedisError, OSError) as raised:
            error = self._classified(raised)
        else:
            return reply
        # Raised outside of the handlers, so that no frame of redis-py is in the traceback.
        raise error

    def _classified(self, error: Exception) -> Exception:
        redis = self._redis.exceptions
        reason = " ".join(str(error).split()).rstrip(".")[:_MAX_REASON] or type(error).__name__
        is_certificate = "CERTIFICATE_VERIFY_FAILED" in reason
        if isinstance(error, redis.BusyLoadingError):
            return RedisAwayError(f"{reason}.")
        if isinstance(error, redis.AuthenticationError | redis.NoPermissionError) or (
            isinstance(error, redis.ResponseError) and "WRONGPASS" in reason
        ):
            hint = "Check the user, the password and the permissions of that user"
        elif is_certificate:
            hint = "Check the certificate, or use ssl_ca_certs in the URL"
        elif isinstance(error, redis.InvalidResponse):
            hint = "Check that the address is that of a Redis server"
        elif isinstance(error, redis.ResponseError) and not _is_temporary(error, reason):
            hint = "Correct the URL or the settings of the server"
        else:
            return RedisAwayError(f"{reason}.")
        return ConfigurationError(f"Cannot use Redis at {self.address}: {reason}. {hint}.")

    def forget(self) -> None:
        """Forget the connections of an event loop that is closed."""
        self._client, self._script = None, None

    async def aclose(self) -> None:
        """Close the connections, unless the user made the client. A later `run` opens new ones."""
        client, self._client, self._script = self._client, None, None
        if client is not None and client is not self._given_client:
            await client.aclose()


def _is_temporary(error: Exception, reason: str) -> bool:
    return type(error).__name__ in _TEMPORARY_CLASSES or bool(_TEMPORARY.search(reason))


def _import_redis() -> Any:
    try:
        import redis.asyncio.retry
        import redis.backoff
    except ImportError:
        raise ConfigurationError(
            "Missing package: redis. Run: pip install 'mp4gen[redis]'."
        ) from None
    return redis
