"""The limit that several processes share: as exact, ordered and pausable as that of one process.

Each limiter here is one process to Redis. Only Redis' clock counts, which is real: tests compare
orders and counts, and use a lower bound of a time where waiting is the behaviour.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

import pytest
import redis.asyncio

import mp4gen
from mp4gen import Priority, RateLimit, RateLimiter
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.redis import RedisRateLimiter
from mp4gen.testing import FakeService
from tests.redis.conftest import SHORT_LEASE, MakeLimiter
from tests.support_async import now, until
from tests.support_redis import RedisServer, mark_as_used

HOUR = 3600.0
ONE_AN_HOUR = RateLimit(1, per=HOUR)


async def call(
    limiter: RedisRateLimiter, priority: Priority = Priority.INTERACTIVE, seconds: float = 0.0
) -> float:
    """Hold a slot for a call; return the time at which it was sent."""
    async with limiter.slot(priority):
        sent = now()
        await asyncio.sleep(seconds)
    return sent


async def is_granted(*limiters: RedisRateLimiter) -> bool:
    """Return whether each limiter has a slot for a call now, and not only after the window."""
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*map(call, limiters))
    except TimeoutError:
        return False
    return True


async def cut(limiter: RedisRateLimiter, *, sent: bool, pending: float = 0.0) -> None:
    """Hold a slot for a call that ends without a response."""
    with suppress(mp4gen.TransportError):
        async with limiter.slot():
            raise mp4gen.TransportError("Cut.", sent=sent, pending=pending)


async def stored(server: RedisServer, limiter: RedisRateLimiter, key: str) -> Any:
    """Return the content of a key of the limiter."""
    async with redis.asyncio.Redis.from_url(server.url, decode_responses=True) as client:
        name = f"mp4gen:{{{limiter.name}}}:{key}"
        if key in {"state", "processes"}:
            return await client.hgetall(name)  # type: ignore[misc]
        return dict(await client.zrange(name, 0, -1, withscores=True))


async def stored_together(
    server: RedisServer, limiter: RedisRateLimiter, *keys: str
) -> list[dict[str, float]]:
    """Return the contents of sorted sets of the limiter at one moment."""
    async with (
        redis.asyncio.Redis.from_url(server.url, decode_responses=True) as client,
        client.pipeline(transaction=True) as transaction,
    ):
        for key in keys:
            transaction.zrange(f"mp4gen:{{{limiter.name}}}:{key}", 0, -1, withscores=True)
        return [dict(pairs) for pairs in await transaction.execute()]


async def idle(limiter: RedisRateLimiter) -> None:
    """Wait until Redis knows all that has happened."""
    task = limiter.session()._task
    assert task is not None
    await task


async def test_limit_holds_for_all_processes_together(limiter: MakeLimiter) -> None:
    """Arrivals of four processes stay within one limit, and all of it is used."""
    chance, arrivals = Random(1), list[float]()
    limiters = [limiter(RateLimit(5, per=0.2)) for _ in range(4)]

    async def one(number: int) -> None:
        async with limiters[number % 4].slot():
            await asyncio.sleep(chance.choice([0.0, 0.005, 0.02]) * chance.random())
            arrivals.append(now())
            await asyncio.sleep(chance.choice([0.0, 0.005, 0.02]) * chance.random())

    await asyncio.gather(*(one(number) for number in range(20)))

    assert len(arrivals) == 20
    assert peak_in_window(arrivals, 0.2) == 5


async def test_slot_is_free_one_period_after_the_response(limiter: MakeLimiter) -> None:
    """The period starts at the response, not at the request."""
    one, other = limiter(RateLimit(1, per=0.1)), limiter(RateLimit(1, per=0.1))

    first = await call(one, seconds=0.04)
    second = await call(other)

    assert second - first >= 0.14


async def test_call_that_was_not_sent_frees_its_slot_at_once(limiter: MakeLimiter) -> None:
    """Nothing can arrive: other processes need not wait."""
    one, other = limiter(ONE_AN_HOUR), limiter(ONE_AN_HOUR)

    await cut(one, sent=False)

    assert await is_granted(other)


async def test_call_that_may_still_arrive_holds_its_slot(
    limiter: MakeLimiter, shared_redis: RedisServer
) -> None:
    """It counts as answered as late as it can arrive."""
    one = limiter(ONE_AN_HOUR)

    await cut(one, sent=True, pending=100.0)
    await one.aclose()

    slots = await stored(shared_redis, one, "slots")
    state = await stored(shared_redis, one, "state")
    [until] = [score for slot, score in slots.items() if slot != "complete"]
    assert (until - float(state["latest"])) / 1e6 == pytest.approx(HOUR * 1.001 + 100, abs=1)
    assert await stored(shared_redis, one, "held") == {}


async def test_single_calls_go_before_bulk_calls_of_other_processes(limiter: MakeLimiter) -> None:
    """A single call overtakes all bulk calls."""
    limit = RateLimit(1, per=0.05)
    busy, bulk, single = limiter(limit), limiter(limit), limiter(limit)
    order: list[str] = []

    async def one(which: RedisRateLimiter, name: str, priority: Priority) -> None:
        async with which.slot(priority):
            order.append(name)

    async with busy.slot():
        tasks = [asyncio.create_task(one(bulk, f"bulk{n}", Priority.BULK)) for n in range(3)]
        await until(lambda: waiting(bulk))
        tasks.append(asyncio.create_task(one(single, "single", Priority.INTERACTIVE)))
        await until(lambda: waiting(single))
    await asyncio.gather(*tasks)

    assert order == ["single", "bulk0", "bulk1", "bulk2"]


def waiting(limiter: RedisRateLimiter) -> bool:
    """Return whether Redis knows that calls of the limiter wait."""
    return any(limiter.session()._known_queues)


async def test_processes_take_turns(limiter: MakeLimiter) -> None:
    """Three calls do not wait for the thirty that another process has queued before."""
    limit = RateLimit(1, per=0.03)
    large, small = limiter(limit), limiter(limit)
    done: list[RedisRateLimiter] = []

    async def one(which: RedisRateLimiter) -> None:
        async with which.slot(Priority.BULK):
            done.append(which)

    async with large.slot():
        queued = [asyncio.create_task(one(large)) for _ in range(30)]
        await until(lambda: waiting(large))
    await asyncio.gather(*(one(small) for _ in range(3)))
    of_large = done.count(large)
    for task in queued:
        task.cancel()
    await asyncio.gather(*queued, return_exceptions=True)

    assert of_large < 8


async def test_pause_holds_all_processes(limiter: MakeLimiter) -> None:
    """A refusal of one process is one of the account."""
    one, other = limiter(), limiter()
    await call(one)
    start = now()

    one.pause(0.3)
    await call(one, Priority.INTERACTIVE)
    sent = await call(other)

    assert sent - start >= 0.3


async def test_pause_only_moves_forward(limiter: MakeLimiter) -> None:
    """A shorter pause, also of another process, does not change the one in progress."""
    one, other = limiter(), limiter()
    start = now()

    one.pause(0.3)
    other.pause(0.01)
    await asyncio.gather(idle(one), idle(other))
    sent = await asyncio.gather(call(one), call(other))

    assert min(sent) - start >= 0.3


async def test_pause_that_begins_during_an_exchange_is_not_lost(limiter: MakeLimiter) -> None:
    """The exchange in progress reports a shorter one."""
    one, other = limiter(), limiter()
    session = one.session()
    start = now()
    one.pause(0.01)
    while not session._exchanges:  # noqa: ASYNC110 - there is no event to await
        await asyncio.sleep(0)
    one.pause(0.3)
    await idle(one)

    assert await call(other) - start >= 0.3


async def test_one_call_goes_first_after_a_pause(limiter: MakeLimiter) -> None:
    """The calls of all processes follow when it has its response, not before."""
    limit = RateLimit(20, per=0.2)
    limiters = [limiter(limit) for _ in range(3)]
    limiters[0].pause(0.05)
    await idle(limiters[0])
    in_progress, most, finished = 0, list[int](), 0

    async def one(which: RedisRateLimiter) -> None:
        nonlocal in_progress, finished
        async with which.slot():
            in_progress += 1
            if not finished:
                most.append(in_progress)
            await asyncio.sleep(0.02)
            in_progress -= 1
            finished += 1

    await asyncio.gather(*(one(which) for which in limiters * 2))

    assert most == [1]
    assert finished == 6


async def test_cancelled_calls_lose_no_slot(limiter: MakeLimiter) -> None:
    """Whenever a call is cancelled, its slot is free for others at once."""
    chance = Random(2)
    limiters = [limiter(RateLimit(3, per=HOUR)) for _ in range(2)]

    async def one(which: RedisRateLimiter) -> None:
        async with asyncio.timeout(0.02 * chance.random()), which.slot():
            raise mp4gen.TransportError("Not sent.", sent=False)

    tasks = [one(which) for which in limiters for _ in range(50)]
    await asyncio.gather(*tasks, return_exceptions=True)

    assert await is_granted(*limiters[:1] * 3)


async def test_cancel_in_the_moment_of_the_grant_frees_the_slot(limiter: MakeLimiter) -> None:
    """The call has not seen its slot yet."""
    one, other = limiter(ONE_AN_HOUR), limiter(ONE_AN_HOUR)
    session = one.session()
    waiter = session.enter(Priority.INTERACTIVE)
    await waiter

    session.cancel(waiter)

    assert await is_granted(other)


async def test_slot_granted_to_a_blocked_program_is_not_used(
    limiter: MakeLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease has ended: Redis may have given it to another process."""
    one, loop = limiter(RateLimit(1, per=0.2)), asyncio.get_running_loop()
    clock, blocked = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + blocked)
    session = one.session()
    grants: list[Any] = []
    real_grant = session._grant

    def grant(slots: list[str], since: float) -> None:
        nonlocal blocked
        real_grant(slots, since)
        if slots:
            grants.append(slots)
            blocked += 60.0 if len(grants) == 1 else 0.0

    monkeypatch.setattr(session, "_grant", grant)
    await call(one)

    assert len(grants) == 2


@pytest.mark.slow
async def test_lease_is_renewed_while_a_call_runs(
    limiter: MakeLimiter, short_lease: None, shared_redis: RedisServer
) -> None:
    """A call that takes longer than a lease keeps its slot."""
    one, other = limiter(RateLimit(1, per=0.1)), limiter(RateLimit(1, per=0.1))
    order: list[str] = []

    async with one.slot():
        second = asyncio.create_task(call(other))
        start = now()
        await until(lambda: now() - start > 1.5 * SHORT_LEASE)
        order.append("response")
        held, slots = await stored_together(shared_redis, one, "held", "slots")
    second.add_done_callback(lambda _: order.append("second"))
    await second

    assert order == ["response", "second"]
    [(slot, lease_end)] = held.items()
    assert slots[slot] - lease_end == pytest.approx(0.1e6, rel=0.01)


@pytest.mark.slow
async def test_slot_of_a_killed_process_is_free_a_period_after_its_lease(
    limiter: MakeLimiter, short_lease: None
) -> None:
    """Never earlier, because its call may have been sent just before."""
    one, other = limiter(RateLimit(1, per=0.3)), limiter(RateLimit(1, per=0.3))
    granted = now()
    slot = one.slot()
    await slot.__aenter__()
    task = one.session()._task
    assert task is not None
    task.cancel()

    sent = await call(other)

    assert sent - granted >= SHORT_LEASE + 0.3


def test_limiter_is_made_without_a_loop_and_used_in_several(
    shared_redis: RedisServer, short_lease: None
) -> None:
    """Redis remembers the slots of an earlier loop."""
    mark_as_used(shared_redis.url, "loops")
    limiter = RedisRateLimiter(shared_redis.url, RateLimit(1, per=0.1), name="loops")

    first = asyncio.run(call(limiter))
    second = asyncio.run(call(limiter))

    assert second - first >= 0.1
    assert isinstance(limiter, RateLimiter)


async def test_second_loop_is_refused_while_the_first_is_open(limiter: MakeLimiter) -> None:
    """A clear error instead of a hang."""
    one = limiter()
    await call(one)

    def elsewhere() -> str:
        with pytest.raises(mp4gen.ConfigurationError) as caught:
            asyncio.run(call(one))
        return str(caught.value)

    assert "another event loop" in await asyncio.to_thread(elsewhere)


async def test_slot_takes_two_round_trips(limiter: MakeLimiter, redis_server: RedisServer) -> None:
    """One to acquire it and one to release it, and none after that."""
    one = limiter(url=redis_server.url)
    await call(one)
    await idle(one)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        before = await client.info("commandstats")
        await call(one)
        await idle(one)
        after = await client.info("commandstats")

    calls = [found["cmdstat_evalsha"]["calls"] for found in (before, after)]
    assert calls[1] - calls[0] == 2


async def test_nothing_is_left_when_all_calls_have_ended(
    limiter: MakeLimiter, redis_server: RedisServer
) -> None:
    """No task, connection or process entry; slots rest, and keys expire by themselves."""
    one = limiter(RateLimit(3, per=30), url=redis_server.url)
    await asyncio.gather(*(call(one) for _ in range(2)))
    await one.aclose()

    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        assert len(await client.client_list()) == 1
        assert [await client.ttl(key) > 600 for key in await client.keys()] == [True, True]
    assert await stored(redis_server, one, "processes") == {}
    assert len(await stored(redis_server, one, "slots")) == 3
    assert len(asyncio.all_tasks()) == 1


async def test_own_client_stays_open(shared_redis: RedisServer) -> None:
    """The user closes it."""
    async with redis.asyncio.Redis.from_url(shared_redis.url) as client:
        limiter = RedisRateLimiter(client, RateLimit(2, per=0.1), name="own-client")
        await call(limiter)
        await limiter.aclose()

        assert await client.ping()  # type: ignore[misc]
        await call(limiter)
        await limiter.aclose()
    assert f"127.0.0.1:{shared_redis.address[1]}" in repr(limiter)


async def test_last_client_closes_the_connections(
    shared_redis: RedisServer, mp4gen_service: FakeService
) -> None:
    """A limiter that another client uses stays open."""
    limiter = RedisRateLimiter(shared_redis.url, RateLimit(20, per=0.1), name="clients")
    one, other = (mp4gen_service.client(rate_limit=limiter) for _ in range(2))
    await one.get_credits()
    await one.aclose()
    after_first = limiter._session
    await other.get_credits()
    await other.aclose()

    assert after_first is not None
    assert limiter._session is None


async def test_clock_of_redis_that_is_set_back_frees_slots_in_time(
    limiter: MakeLimiter, redis_server: RedisServer
) -> None:
    """The limiter's own time never runs backwards, and does not wait for the old one."""
    one = limiter(RateLimit(1, per=0.1), url=redis_server.url)
    await call(one)
    await one.aclose()
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        prefix = f"mp4gen:{{{one.name}}}"
        hour = int(HOUR * 1e6)
        await client.hincrby(f"{prefix}:state", "latest", hour)  # type: ignore[misc]
        for slot in await client.zrange(f"{prefix}:slots", 0, 0):
            await client.zincrby(f"{prefix}:slots", hour, slot)

    assert await is_granted(one)


def test_keys_of_a_limiter_are_on_one_node_of_a_cluster() -> None:
    """The part in braces decides about the node."""
    limiter = RedisRateLimiter("redis://localhost", name="account 1")

    keys = limiter._connection._keys
    slots = {redis.cluster.key_slot(key.encode()) for key in keys}  # type: ignore[attr-defined]

    assert len(keys) == 4
    assert len(slots) == 1


def test_blocking_client_uses_and_closes_it(
    shared_redis: RedisServer, mp4gen_service: FakeService
) -> None:
    """Its event loop runs in a thread; a second client opens new connections in another one."""
    mark_as_used(shared_redis.url, "blocking")
    limiter = RedisRateLimiter(shared_redis.url, RateLimit(20, per=0.1), name="blocking")

    for _ in range(2):
        with mp4gen_service.sync_client(rate_limit=limiter) as client:
            client.get_credits()

    assert mp4gen_service.count() == 2
    assert limiter._session is None


async def test_two_limiters_of_one_name_cause_no_warning(mp4gen_service: FakeService) -> None:
    """Clients of one key that share a limit through Redis need not share the object."""
    one, other, third = (
        RedisRateLimiter("redis://localhost", name=name) for name in ("a", "a", "b")
    )
    clients = [mp4gen_service.client(rate_limit=limiter) for limiter in (one, other)]
    with pytest.warns(UserWarning, match="Two clients of one key"):
        clients.append(mp4gen_service.client(rate_limit=third))
    for client in clients:
        await client.aclose()

    assert len({one, other, third}) == 2


async def test_call_that_ends_after_the_close_opens_no_connection(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease ends by itself; calls that wait fail."""
    monkeypatch.setattr("mp4gen.redis.session._CLOSE_TIMEOUT", 0.05)
    mark_as_used(redis_server.url, "closed")
    limiter = RedisRateLimiter(redis_server.url, ONE_AN_HOUR, name="closed")
    slot = limiter.slot()
    async with slot:
        session = limiter.session()
        waiting = session.enter(Priority.INTERACTIVE)
        await limiter.aclose()
    late = session.enter(Priority.BULK)

    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        assert len(await client.client_list()) == 1
    for waiter in (waiting, late):
        with pytest.raises(mp4gen.ConfigurationError, match="closed while a call waited"):
            await waiter
    assert len(asyncio.all_tasks()) == 1
