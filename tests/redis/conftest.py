"""A Redis for the tests of this folder, and limiters that use it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from mp4gen import RateLimit
from mp4gen.redis import RedisRateLimiter
from tests.support_redis import BINARY, MISSING, RedisServer, mark_as_used

TWO = RateLimit(2, per=0.2)
# Seconds. A process has three quarters of them to return, and a busy machine may stop it meanwhile.
SHORT_LEASE = 1.2
MakeLimiter = Callable[..., RedisRateLimiter]


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """Run one server for all tests that do not disturb it."""
    if BINARY is None:
        pytest.skip(MISSING)
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Run a server that a test may end, freeze and restart."""
    if BINARY is None:
        pytest.skip(MISSING)
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _long_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for responses, because a Redis on a busy machine is not away."""
    monkeypatch.setattr("mp4gen.redis.timing._MIN_LEASE", 10.0)


@pytest.fixture
def short_lease(_long_lease: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let leases end sooner, so that tests are short."""
    monkeypatch.setattr("mp4gen.redis.timing._MIN_LEASE", SHORT_LEASE)


@pytest.fixture
async def limiter(shared_redis: RedisServer, request: Any) -> AsyncIterator[MakeLimiter]:
    """Return a function that makes a limiter, each like one of another process.

    The server of the tests is young, but their limiters are in use already.
    """
    made: list[RedisRateLimiter] = []
    name = re.sub(r"[{}]", "", request.node.name)

    def make(limit: RateLimit = TWO, url: str = shared_redis.url) -> RedisRateLimiter:
        if not made:
            mark_as_used(url, name)
        made.append(RedisRateLimiter(url, limit, name=name))
        return made[-1]

    yield make
    await asyncio.gather(*(one.aclose() for one in made))
