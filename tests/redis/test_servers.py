"""Kinds of servers and users that the limiter works with."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import redis.asyncio

from mp4gen import RateLimit
from mp4gen.redis import RedisRateLimiter
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
