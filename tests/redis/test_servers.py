"""Servers, users and errors of Redis, as the limiter meets them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import redis.asyncio
from redis import exceptions as errors

import mp4gen
from mp4gen import RateLimit
from mp4gen.redis import RedisRateLimiter
from mp4gen.redis.connection import RedisAwayError
from tests.support_redis import BINARY, MISSING, RedisServer, mark_as_used

LIMIT = RateLimit(2, per=0.05)
PAGE = Path(__file__).parents[2] / ".docs" / "pages" / "how-to" / "several-processes.md"


async def call(limiter: RedisRateLimiter) -> None:
    async with limiter.slot():
        pass


@pytest.mark.parametrize("permissions", ["", "-info"])
async def test_user_with_the_permissions_of_the_documentation(
    permissions: str, redis_server: RedisServer
) -> None:
    """It needs no others; without INFO it works, too."""
    found = re.search(r"^ +(ACL SETUSER mp4gen .*)$", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    mark_as_used(redis_server.url, "restricted")
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.execute_command(*found[1].split(), *permissions.split())
    url = redis_server.url.replace("//", "//mp4gen:PASSWORD@")

    async with RedisRateLimiter(url, LIMIT, name="restricted") as limiter:
        await asyncio.gather(*(call(limiter) for _ in range(3)))

        assert limiter.session()._outage is None


@pytest.mark.slow
async def test_cluster() -> None:
    """All keys of a limiter are on one node."""
    if BINARY is None:
        pytest.skip(MISSING)
    with RedisServer("--cluster-enabled", "yes") as server:
        host, port = server.address
        async with redis.asyncio.Redis(host=host, port=port) as node:
            await node.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            info = b""
            while b"cluster_state:ok" not in info:
                await asyncio.sleep(0.02)
                info = await node.execute_command("CLUSTER", "INFO")
        async with redis.asyncio.RedisCluster(host=host, port=port) as client:
            await client.hset("mp4gen:{cluster}:state", "epoch", "1")  # type: ignore[misc]
            await client.zadd("mp4gen:{cluster}:slots", {"complete": float("inf")})
            limiter = RedisRateLimiter(client, LIMIT, name="cluster")
            await asyncio.gather(*(call(limiter) for _ in range(3)))
            await limiter.aclose()

            assert await client.exists("mp4gen:{cluster}:slots")


@pytest.mark.parametrize(
    ("error", "is_temporary"),
    [
        (errors.BusyLoadingError("Redis is loading the dataset in memory"), True),
        (errors.ReadOnlyError("You can't write against a read only replica."), True),
        (errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), True),
        (errors.MasterDownError("Link with MASTER is down"), True),
        (errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"), True),
        (errors.ResponseError("BUSY Redis is busy running a script."), True),
        (errors.ConnectionError("Connection closed by server."), True),
        (ConnectionResetError(104, "Connection reset by peer"), True),
        (errors.AuthenticationError("invalid username-password pair"), False),
        (errors.NoPermissionError("this user has no permissions"), False),
        (errors.ConnectionError("Error 1. [SSL: CERTIFICATE_VERIFY_FAILED]"), False),
        (errors.ResponseError("DB index is out of range"), False),
        (errors.InvalidResponse("Protocol Error: b'HTTP/1.1 400'"), False),
    ],
)
def test_errors_that_end_by_themselves(error: Exception, is_temporary: bool) -> None:
    """The others are the user's to correct: at the first use they are raised."""
    connection = RedisRateLimiter("redis://localhost", name="errors")._connection

    found = connection._classified(error)

    assert isinstance(found, RedisAwayError) is is_temporary
    assert isinstance(found, mp4gen.ConfigurationError) is not is_temporary
    assert str(found).endswith(".")


async def test_unexpected_error_reaches_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits for a task that has ended."""
    limiter = RedisRateLimiter("redis://localhost", name="unexpected")

    async def run(*_: object) -> list[int]:
        raise KeyError("reply")

    monkeypatch.setattr(limiter._connection, "run", run)

    with pytest.raises(mp4gen.UnexpectedError, match="Unexpected KeyError"):
        await call(limiter)
