"""Redis is away, restarted, hanging, slow or emptied: the limit holds, and calls go on.

Each limiter here is one process to Redis. Times are short; the tests compare counts only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import pytest
import redis.asyncio

import mp4gen
from mp4gen import RateLimit
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.redis import RedisRateLimiter
from mp4gen.redis.timing import share_without_redis
from tests.redis.conftest import MakeLimiter
from tests.support_async import now, until
from tests.support_redis import RedisServer, SlowLine

LIMIT = RateLimit(6, per=0.3)
PASSWORD = "sentinel-proxy-7f3a"


class Traffic:
    """Calls of several limiters as fast as they permit, and their times of arrival."""

    def __init__(self, *limiters: RedisRateLimiter) -> None:
        self.limiters = limiters
        self.arrivals: list[float] = []
        self.calls: Counter[int] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._call(number))
            for number in range(len(self.limiters))
            for _ in range(LIMIT.requests)
        ]
        await self.more(2)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, number: int) -> None:
        while True:
            async with self.limiters[number].slot():
                await asyncio.sleep(0.001)
                self.arrivals.append(now())
                self.calls[number] += 1
                await asyncio.sleep(0.001)

    async def more(self, calls: int) -> None:
        """Wait until each limiter has sent this many more calls."""
        targets = [self.calls[number] + calls for number in range(len(self.limiters))]
        await until(lambda: all(self.calls[n] >= target for n, target in enumerate(targets)))

    async def reach(self, condition: Callable[[RedisRateLimiter], bool]) -> None:
        """Wait until a condition holds for each limiter."""
        await until(lambda: all(map(condition, self.limiters)))

    @property
    def peak(self) -> int:
        """The most calls in any period."""
        return peak_in_window(self.arrivals, LIMIT.per)


def is_alone(limiter: RedisRateLimiter) -> bool:
    return limiter.session()._outage is not None


def shares(limiter: RedisRateLimiter) -> bool:
    outage = limiter.session()._outage
    return outage is not None and outage.shares(now())


def knows_the_others(limiter: RedisRateLimiter) -> bool:
    """Return whether its share without Redis is that of one of three, not of a new process."""
    session = limiter.session()
    return session._last_exchange - session._joined_at >= 2 * session._timing.heartbeat


def is_back(limiter: RedisRateLimiter) -> bool:
    return limiter.session()._outage is None


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == level]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["restart", "freeze"])
async def test_outage_never_exceeds_the_limit(
    kind: str,
    limiter: MakeLimiter,
    redis_server: RedisServer,
    short_lease: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before, in and after an outage; each process says once that Redis is away, and returns."""
    away, back = {
        "restart": (redis_server.kill, redis_server.start),
        "freeze": (redis_server.freeze, redis_server.thaw),
    }[kind]
    async with Traffic(*(limiter(LIMIT, redis_server.url) for _ in range(3))) as traffic:
        await traffic.more(4)
        await traffic.reach(knows_the_others)
        away()
        await traffic.reach(shares)
        await traffic.more(3)
        back()
        await traffic.reach(is_back)
        await traffic.more(6)

    assert traffic.peak <= LIMIT.requests
    assert len(messages(caplog, logging.WARNING)) == 3
    assert messages(caplog, logging.INFO) == [f"Redis at {redis_server.url} is back."] * 3


async def dump(client: Any) -> dict[bytes, bytes]:
    """Return the content of all keys at one moment, as a copy of a server has it."""
    keys = await client.keys()
    async with client.pipeline(transaction=True) as transaction:
        for key in keys:
            transaction.dump(key)
        values = await transaction.execute()
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}


async def restore(client: Any, copies: dict[bytes, bytes]) -> None:
    """Replace the content of all keys at one moment."""
    async with client.pipeline(transaction=True) as transaction:
        transaction.flushall()
        for key, value in copies.items():
            transaction.restore(key, 0, value)
        await transaction.execute()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["restart", "empty", "older copy"])
async def test_lost_data_never_exceeds_the_limit(
    kind: str, limiter: MakeLimiter, redis_server: RedisServer, short_lease: None
) -> None:
    """Processes register their slots again, and the others have time to do so."""
    limiters = [limiter(LIMIT, redis_server.url) for _ in range(3)]
    async with (
        redis.asyncio.Redis.from_url(redis_server.url) as client,
        Traffic(*limiters) as traffic,
    ):
        epochs = {one.session()._epoch for one in limiters}
        copies = await dump(client)
        await traffic.more(3)
        match kind:
            case "restart":
                redis_server.kill()
                redis_server.start()
            case "empty":
                await client.flushall()
            case "older copy":
                await restore(client, copies)
        await traffic.reach(lambda one: one.session()._epoch not in epochs)
        await traffic.more(6)

    assert traffic.peak <= LIMIT.requests


@pytest.mark.slow
async def test_slots_are_registered_again(
    limiter: MakeLimiter, redis_server: RedisServer, short_lease: None
) -> None:
    """A call that may still arrive holds its slot, although Redis has lost it."""
    one = limiter(RateLimit(1, per=0.1), redis_server.url)
    start = now()
    with suppress(mp4gen.TransportError):
        async with one.slot():
            raise mp4gen.TransportError("Cut.", sent=True, pending=1.5)
    waiting = asyncio.create_task(_call(one))
    await until(lambda: any(one.session()._known_queues))
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushall()

    await waiting

    assert now() - start >= 1.6


@pytest.mark.slow
async def test_pause_holds_in_an_outage(
    redis_server: RedisServer, short_lease: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then one call goes first, and the others follow when it has its response."""
    share = RateLimit(5, per=0.05)
    monkeypatch.setattr("mp4gen.redis.outage.share_without_redis", lambda *_: share)
    redis_server.kill()
    limiter = RedisRateLimiter(redis_server.url, LIMIT, name="pause")
    await _call(limiter)
    in_progress, most, responses = 0, list[int](), 0

    async def one() -> None:
        nonlocal in_progress, responses
        async with limiter.slot():
            in_progress += 1
            if not responses:
                most.append(in_progress)
            await asyncio.sleep(0.02)
            in_progress, responses = in_progress - 1, responses + 1

    start = now()
    limiter.pause(0.2)
    await asyncio.gather(*(one() for _ in range(3)))
    await limiter.aclose()

    assert now() - start >= 0.2
    assert most == [1]


@pytest.mark.slow
async def test_no_call_goes_while_others_may_use_the_slots_of_redis(
    limiter: MakeLimiter, redis_server: RedisServer, short_lease: None
) -> None:
    """When Redis goes away, one process may have used the whole limit just before."""
    limit = RateLimit(4, per=1.0)
    one, other = (limiter(limit, redis_server.url) for _ in range(2))
    await asyncio.gather(*(_call(one) for _ in range(4)))
    used = now()
    redis_server.kill()

    await _call(other)

    assert now() - used >= 1.0


@pytest.mark.slow
async def test_new_process_waits_after_a_restart_of_redis(
    limiter: MakeLimiter, redis_server: RedisServer, short_lease: None
) -> None:
    """It cannot know which slots others have used just before."""
    old = limiter(LIMIT, redis_server.url)
    async with Traffic(old) as traffic:
        await traffic.more(6)
        # Redis counts seconds of the wall clock: soon the new one seems to be a second old.
        await until(lambda: time.time() % 1 > 0.9)
    redis_server.kill()
    redis_server.start()
    new = limiter(LIMIT, redis_server.url)
    new_traffic = Traffic(new)
    async with new_traffic:
        pass

    assert peak_in_window(traffic.arrivals + new_traffic.arrivals, LIMIT.per) <= LIMIT.requests


async def test_state_of_another_server_is_not_trusted(
    limiter: MakeLimiter, shared_redis: RedisServer
) -> None:
    """A replica that takes over, or a restart with older data, may lack slots."""
    one = limiter(RateLimit(2, per=5))
    async with redis.asyncio.Redis.from_url(shared_redis.url) as client:
        key = f"mp4gen:{{{one.name}}}:state"
        await client.hset(key, "server", "another")  # type: ignore[misc]
        waiting = asyncio.create_task(_call(one))
        await until(lambda: one.session()._epoch != 0)
        state = await client.hgetall(key)  # type: ignore[misc]
    waiting.cancel()

    assert float(state[b"settled"]) - float(state[b"latest"]) > 5e6
    assert not waiting.done() or waiting.cancelled()


async def _call(limiter: RedisRateLimiter) -> None:
    async with limiter.slot():
        pass


@pytest.mark.slow
async def test_redis_that_is_away_at_the_start(
    redis_server: RedisServer, short_lease: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The first call waits, then goes within a small share; the log names no password."""
    redis_server.kill()
    url = redis_server.url.replace("//", f"//user:{PASSWORD}@")
    limiter = RedisRateLimiter(url, LIMIT, name="away")

    await _call(limiter)
    redis_server.start()
    later = [asyncio.create_task(_call(limiter)) for _ in range(3)]
    await asyncio.wait(later, timeout=0.01)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.acl_setuser(
            "user", True, passwords=[f"+{PASSWORD}"], categories=["+@all"], keys=["*"]
        )
    await asyncio.gather(*later)
    await limiter.aclose()

    [warning] = messages(caplog, logging.WARNING)
    assert warning.startswith(f"No rate limit from Redis at {redis_server.url}: ")
    assert "Then this process sends at most 1 calls in 5 s" in warning
    assert messages(caplog, logging.INFO)[-1:] == [f"Redis at {redis_server.url} is back."]


async def test_close_does_not_wait_for_redis(redis_server: RedisServer, short_lease: None) -> None:
    """Calls that wait end with the client, and leave no task."""
    redis_server.kill()
    limiter = RedisRateLimiter(redis_server.url, LIMIT, name="close")
    call = asyncio.create_task(_call(limiter))
    await asyncio.wait([call], timeout=0.05)

    call.cancel()
    await asyncio.wait([call])
    await limiter.aclose()

    assert call.cancelled()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.slow
async def test_slow_line_to_redis(limiter: MakeLimiter, redis_server: RedisServer) -> None:
    """With 50 ms each way no call is too early, and none is refused by a time-out."""
    async with SlowLine(redis_server.address, 0.05) as line:
        limiters = [limiter(LIMIT, redis_server.url)]
        limiters += [RedisRateLimiter(line.url, LIMIT, name=limiters[0].name) for _ in range(2)]
        async with Traffic(*limiters) as traffic:
            await traffic.more(6)
        was_away = list(map(is_alone, limiters))
        for one in limiters[1:]:
            await one.aclose()

    assert traffic.peak <= LIMIT.requests
    assert was_away == [False] * 3


@pytest.mark.parametrize("requests", [1, 2, 5, 20, 1000])
@pytest.mark.parametrize("processes", [1, 2, 3, 4, 7, 19, 20, 21, 500])
def test_share_without_redis(requests: int, processes: int) -> None:
    """All known processes and ten new ones together stay within the limit."""
    limit = RateLimit(requests, per=10)
    known, new = share_without_redis(limit, processes), share_without_redis(limit, None)

    total = processes * known.requests / known.per + 10 * new.requests / new.per
    assert total <= requests / 10 + 1e-9


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://localhost", "Invalid Redis URL: its scheme is not one of redis, rediss, unix."),
        ("localhost:6379", "Invalid Redis URL: its scheme is not one of redis, rediss, unix."),
        ("redis://localhost:port", "Invalid Redis URL: its port is not a number."),
        ("redis://localhost/db", "Invalid Redis URL: its path is not the number of a database."),
        ("redis://localhost?nothing=1", "Invalid Redis URL: redis-py refuses its options"),
        (b"redis://localhost", "Invalid url_or_client: b'redis://localhost'. Use a URL such as"),
    ],
)
def test_invalid_url_is_refused(url: Any, text: str) -> None:
    """Before any call, and without the password."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        RedisRateLimiter(url, name="url")

    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": ""}, "Invalid name: ''. Use a short printable name"),
        ({"name": "a}b"}, "Invalid name: 'a}b'."),
        ({"name": "a\n"}, "Invalid name: 'a\\n'."),
        ({"name": "a", "limit": 20}, "Invalid limit: 20. Use a RateLimit such as"),
    ],
)
def test_invalid_argument_is_refused(arguments: dict[str, Any], text: str) -> None:
    """Each error says which argument and what to use."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        RedisRateLimiter("redis://localhost", **arguments)

    assert str(caught.value).startswith(text)


def test_missing_extra_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is imported only by those who use it."""
    monkeypatch.setitem(__import__("sys").modules, "redis.asyncio.retry", None)

    with pytest.raises(mp4gen.ConfigurationError) as caught:
        RedisRateLimiter("redis://localhost", name="a")

    assert str(caught.value) == "Missing package: redis. Run: pip install 'mp4gen[redis]'."


async def test_wrong_password_is_a_configuration_error(shared_redis: RedisServer) -> None:
    """Waiting would not help; the text does not repeat it."""
    url = shared_redis.url.replace("//", f"//nobody:{PASSWORD}@")
    async with RedisRateLimiter(url, LIMIT, name="password") as limiter:
        with pytest.raises(mp4gen.ConfigurationError) as caught:
            await _call(limiter)

    text = str(caught.value)
    assert text.startswith(f"Cannot use Redis at {shared_redis.url}: ")
    assert text.endswith("Check the user, the password and the permissions of that user.")
    assert PASSWORD not in text + repr(limiter)
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_missing_database_is_a_configuration_error(shared_redis: RedisServer) -> None:
    """All calls that wait get the error."""
    url = shared_redis.url.removesuffix("0") + "99"
    async with RedisRateLimiter(url, LIMIT, name="database") as limiter:
        calls = (_call(limiter) for _ in range(3))
        errors = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(error) for error in errors} == {mp4gen.ConfigurationError}
    assert "Correct the URL or the settings of the server." in str(errors[0])


async def test_server_that_is_no_redis_is_a_configuration_error(mp4gen_service: Any) -> None:
    """It answers, but not as Redis does."""
    url = mp4gen_service.url.replace("http", "redis")
    async with RedisRateLimiter(url, LIMIT, name="http") as limiter:
        with pytest.raises(mp4gen.ConfigurationError, match="that of a Redis server"):
            await _call(limiter)
