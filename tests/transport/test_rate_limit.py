"""The limit as the server counts it: exact, ordered by priority, and right after any cancel."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

import looptime
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import mp4gen
from mp4gen import Priority, RateLimit, RateLimiter, SlidingWindowLimiter
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.transport.rate_limit import CLOCK_RESOLUTION
from tests.support_async import now

pytestmark = pytest.mark.looptime
T = TypeVar("T")


async def call(
    limiter: SlidingWindowLimiter, seconds: float, priority: Priority = Priority.INTERACTIVE
) -> float:
    """Hold a slot for a call of `seconds`; return the time at which it was sent."""
    async with limiter.slot(priority):
        sent = now()
        await asyncio.sleep(seconds)
    return sent


def run(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work` in an event loop of its own."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(work)


async def test_slot_is_free_one_period_after_the_response() -> None:
    """The period starts at the response, not at the request."""
    limiter = SlidingWindowLimiter(RateLimit(2, per=10))

    sent = await asyncio.gather(*(call(limiter, 0.5) for _ in range(5)))

    assert sent == pytest.approx([0, 0, 10.5, 10.5, 21.0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_limit_holds_at_the_server_with_any_latency(seed: int) -> None:
    """Arrivals stay within the limit, whatever the network does to each message."""
    chance = Random(seed)
    limiter = SlidingWindowLimiter(RateLimit(20, per=10))
    arrivals: list[float] = []

    async def one() -> None:
        async with limiter.slot():
            await asyncio.sleep(chance.choice([0.01, 0.06, 0.3, 3.0]) * chance.random())
            arrivals.append(now())
            await asyncio.sleep(chance.choice([0.01, 0.06, 0.3, 3.0]) * chance.random())

    await asyncio.gather(*(one() for _ in range(300)))

    assert peak_in_window(arrivals, 10) == 20
    assert now() < 300 / 20 * 13.1


async def test_single_calls_go_before_bulk_calls() -> None:
    """A single call overtakes all bulk calls, and no other single call."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))
    order: list[str] = []

    async def one(name: str, priority: Priority) -> None:
        async with limiter.slot(priority):
            order.append(name)

    tasks = [asyncio.create_task(one(f"bulk{n}", Priority.BULK)) for n in range(3)]
    await asyncio.sleep(1)
    tasks += [asyncio.create_task(one(f"direct{n}", Priority.INTERACTIVE)) for n in range(2)]
    await asyncio.gather(*tasks)

    assert order == ["bulk0", "direct0", "direct1", "bulk1", "bulk2"]


async def test_new_call_does_not_overtake_waiters() -> None:
    """A call that comes just as a slot becomes free queues behind those that wait for it."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))
    await call(limiter, 0)
    waiting = asyncio.create_task(call(limiter, 0))
    await asyncio.sleep(10)

    assert await call(limiter, 0) == pytest.approx(20)
    assert await waiting == pytest.approx(10)


async def test_cancelled_waiters_use_no_slot() -> None:
    """Half of the waiters are cancelled; the others are served as if those had never waited."""
    limiter = SlidingWindowLimiter(RateLimit(2, per=10))
    tasks = [asyncio.create_task(call(limiter, 0)) for _ in range(10)]
    await asyncio.sleep(1)

    for task in tasks[2::2]:
        task.cancel()
    sent = await asyncio.gather(*tasks, return_exceptions=True)

    times = [time for time in sent if isinstance(time, float)]
    assert times == pytest.approx([0, 0, 10, 10, 20, 20])


async def test_waiter_cancelled_when_granted_passes_its_slot_on() -> None:
    """The slot is granted, then the cancel comes before the waiter runs: the next one gets it."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))
    await call(limiter, 0)
    second = asyncio.create_task(call(limiter, 0))
    third = asyncio.create_task(call(limiter, 0))
    await asyncio.sleep(1)

    # The timer of the limiter fires at this very time, and first.
    asyncio.get_running_loop().call_at(10 + CLOCK_RESOLUTION, second.cancel)
    with pytest.raises(asyncio.CancelledError):
        await second

    async with asyncio.timeout(1000):
        assert await third == pytest.approx(10)


async def test_failed_call_frees_its_slot_after_the_period() -> None:
    """It may have arrived, so it counts."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))
    with suppress(OSError):
        async with limiter.slot():
            await asyncio.sleep(2)
            raise OSError

    assert await call(limiter, 0) == pytest.approx(12)


@pytest.mark.parametrize("pending", [0.0, 5.0, 28.0])
async def test_call_that_may_still_arrive_holds_its_slot(pending: float) -> None:
    """It counts as answered as late as it can arrive."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))
    with suppress(mp4gen.TransportError):
        async with limiter.slot():
            await asyncio.sleep(2)
            raise mp4gen.TransportError("Cancelled.", sent=True, pending=pending)

    assert await call(limiter, 0) == pytest.approx(2 + pending + 10)


async def test_call_that_was_not_sent_frees_its_slot_at_once() -> None:
    """Nothing can arrive."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))
    with suppress(mp4gen.TransportError):
        async with limiter.slot():
            await asyncio.sleep(2)
            raise mp4gen.TransportError("No connection.", sent=False)

    assert await call(limiter, 0) == pytest.approx(2)


async def test_calls_that_may_still_arrive_free_their_slots_in_any_order() -> None:
    """The one that ended first is not always the one whose slot is free first."""
    limiter = SlidingWindowLimiter(RateLimit(3, per=10))

    async def cut(pending: float) -> None:
        with suppress(mp4gen.TransportError):
            async with limiter.slot():
                raise mp4gen.TransportError("Cancelled.", sent=True, pending=pending)

    await asyncio.gather(cut(20), cut(0), cut(5))

    sent = await asyncio.gather(*(call(limiter, 100) for _ in range(3)))
    assert sent == pytest.approx([10, 15, 30])


def test_limiter_belongs_to_one_event_loop() -> None:
    """Another loop, also in another thread, is refused with a clear error instead of a hang."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))

    async def elsewhere() -> str:
        with pytest.raises(mp4gen.ConfigurationError) as caught:
            await asyncio.wait_for(call(limiter, 0), 5)
        return str(caught.value)

    async def here() -> str:
        async with limiter.slot():
            # Its end is not in loop time, as that of the loop's own executor is.
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(run, elsewhere()).result()

    assert "rate limiter belongs to another event loop" in run(here())


def test_limiter_of_a_closed_loop_can_be_used_again() -> None:
    """A second `asyncio.run` continues where the first one ended."""
    limiter = SlidingWindowLimiter(RateLimit(2, per=10))

    assert [run(call(limiter, 0)) for _ in range(2)] == [0, 0]


async def test_limit_holds_if_the_program_blocks_its_loop() -> None:
    """Failure mode 64: responses and timers that are handled late free no slot early."""
    limiter, chance = SlidingWindowLimiter(RateLimit(20, per=10)), Random(1)
    arrivals: list[float] = []
    loop: Any = asyncio.get_running_loop()

    async def one() -> None:
        async with limiter.slot():
            arrivals.append(now() + chance.uniform(0.0, 0.1))
            await asyncio.sleep(0.2)

    async def blocking_iterable() -> None:
        for _ in range(40):
            await asyncio.sleep(chance.uniform(0.0, 5.0))
            loop.setup_looptime(start=now() + chance.uniform(0.0, 20.0))

    await asyncio.gather(blocking_iterable(), *(one() for _ in range(200)))

    assert peak_in_window(arrivals, 10) <= 20


async def test_pause_only_moves_forward() -> None:
    """A shorter pause does not change the one in progress."""
    limiter = SlidingWindowLimiter(RateLimit(20, per=10))
    limiter.pause(30)
    limiter.pause(5)

    first = asyncio.create_task(call(limiter, 0))
    await asyncio.sleep(20)
    limiter.pause(2)

    assert await first == pytest.approx(30)


async def test_longer_pause_holds_calls_that_wait_already() -> None:
    """Waiters check again on waking."""
    limiter = SlidingWindowLimiter(RateLimit(20, per=10))
    limiter.pause(10)
    waiting = asyncio.create_task(call(limiter, 0))
    await asyncio.sleep(9)

    limiter.pause(10)

    assert await waiting == pytest.approx(19)


async def test_one_call_goes_first_after_a_pause() -> None:
    """Failure mode 10: the others follow when it has its response, not before."""
    limiter = SlidingWindowLimiter(RateLimit(20, per=10))
    limiter.pause(10)

    sent = await asyncio.gather(*(call(limiter, 2) for _ in range(4)))

    assert sent == pytest.approx([10, 12, 12, 12])


async def test_refused_calls_go_one_per_window() -> None:
    """Failure mode 10: as long as every call is refused, one goes out at a time."""
    limiter = SlidingWindowLimiter(RateLimit(20, per=10))
    sent: list[float] = []

    async def refused_for_ten_minutes() -> None:
        while True:
            async with limiter.slot():
                sent.append(now())
                await asyncio.sleep(0.1)
                if now() > 600:
                    return
                limiter.pause(10)

    await asyncio.gather(*(refused_for_ten_minutes() for _ in range(50)))

    during = [time for time in sent if 10 < time < 600]
    assert len(during) <= 60
    assert peak_in_window(sent, 10) <= 20


@pytest.mark.slow
async def test_one_timer_serves_all_waiters() -> None:
    """A thousand waiters need one timer."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10))
    tasks = [asyncio.create_task(call(limiter, 0)) for _ in range(1000)]
    await asyncio.sleep(1)
    gc.collect()

    loop = asyncio.get_running_loop()
    timers = [h for h in gc.get_objects() if isinstance(h, asyncio.TimerHandle) and h._loop is loop]
    ours = [h for h in timers if not h.cancelled() and "_dispatch" in repr(h)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert len(ours) == 1


async def test_suspended_machine_causes_no_burst() -> None:
    """Failure mode 19: hours of sleep free each slot once."""
    limiter = SlidingWindowLimiter(RateLimit(20, per=10))
    await asyncio.gather(*(call(limiter, 0) for _ in range(20)))
    await asyncio.sleep(8 * 3600)

    sent = await asyncio.gather(*(call(limiter, 0) for _ in range(60)))

    assert peak_in_window(list(sent), 10) == 20


def test_sliding_window_limiter_is_a_rate_limiter() -> None:
    """`RateLimiter` is a protocol that any class can implement."""
    assert isinstance(SlidingWindowLimiter(), RateLimiter)


def test_limiter_refuses_a_limit_of_another_type() -> None:
    """A number of requests needs its period."""
    expected = r"^Invalid limit: 20\. Use a RateLimit such as RateLimit\(20, per=10\.0\)\.$"
    with pytest.raises(mp4gen.ConfigurationError, match=expected):
        SlidingWindowLimiter(20)  # type: ignore[arg-type]


def test_repr_shows_the_limit_and_its_use() -> None:
    """Also that of a limiter which its `__init__` refused."""
    limiter = SlidingWindowLimiter(RateLimit(20, per=10.0))
    not_made = SlidingWindowLimiter.__new__(SlidingWindowLimiter)

    assert repr(limiter) == f"SlidingWindowLimiter({limiter.limit}, in use 0, resting 0)"
    assert repr(not_made) == "SlidingWindowLimiter(not made)"


class LimiterMachine(RuleBasedStateMachine):
    """Calls of any length of both priorities, cancelled or cut at any time, with pauses between."""

    LIMIT = RateLimit(3, per=10)

    def __init__(self) -> None:
        super().__init__()
        self.loop = looptime.new_event_loop()
        self.limiter = SlidingWindowLimiter(self.LIMIT)
        self.tasks: list[asyncio.Task[None]] = []
        self.arrivals: list[float] = []
        self.requested: dict[Priority, list[int]] = {priority: [] for priority in Priority}
        self.granted: list[tuple[Priority, int]] = []
        self.paused_until = float("-inf")
        self.early = 0
        self.number = 0

    async def one(
        self, number: int, priority: Priority, before: float, after: float, cut: float | None
    ) -> None:
        with suppress(mp4gen.TransportError):
            async with self.limiter.slot(priority):
                self.granted.append((priority, number))
                self.early += self.loop.time() + CLOCK_RESOLUTION < self.paused_until
                await asyncio.sleep(before)
                if cut is not None:
                    if cut:
                        self.arrivals.append(self.loop.time() + cut)
                    raise mp4gen.TransportError("Cut.", sent=cut > 0, pending=cut)
                self.arrivals.append(self.loop.time())
                await asyncio.sleep(after)

    def run(self, work: Callable[[], Any], seconds: float = 0.0) -> None:
        async def step() -> None:
            work()
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(step())

    @rule(
        priority=st.sampled_from(Priority),
        before=st.sampled_from([0.0, 0.3, 4.0]),
        after=st.sampled_from([0.0, 0.5, 12.0]),
        cut=st.sampled_from([None, None, 0.0, 2.0, 17.0]),
    )
    def start(self, priority: Priority, before: float, after: float, cut: float | None) -> None:
        self.number += 1
        number = self.number
        self.requested[priority].append(number)
        work = self.one(number, priority, before, after, cut)
        self.run(lambda: self.tasks.append(self.loop.create_task(work)))

    @rule(index=st.integers(0, 50))
    def cancel(self, index: int) -> None:
        if self.tasks:
            self.run(self.tasks[index % len(self.tasks)].cancel)

    @rule(index=st.integers(0, 50), wait=st.sampled_from([0.0, 10.0, 10 + CLOCK_RESOLUTION, 10.3]))
    def cancel_when_granted(self, index: int, wait: float) -> None:
        if self.tasks:
            task = self.tasks[index % len(self.tasks)]
            self.run(lambda: self.loop.call_later(wait, task.cancel), wait)

    @rule(seconds=st.sampled_from([0.0, 3.0, 15.0]))
    def pause(self, seconds: float) -> None:
        self.paused_until = max(self.paused_until, self.loop.time() + seconds)
        self.run(lambda: self.limiter.pause(seconds))

    @rule(seconds=st.sampled_from([0.1, 1.0, 9.9, 10.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.run(lambda: None, seconds)

    @invariant()
    def no_window_is_exceeded(self) -> None:
        assert peak_in_window(self.arrivals, 10) <= 3

    @invariant()
    def each_priority_keeps_its_order(self) -> None:
        for priority in Priority:
            granted = [number for where, number in self.granted if where is priority]
            assert granted == sorted(granted)

    @invariant()
    def nothing_goes_out_in_a_pause(self) -> None:
        assert self.early == 0

    def teardown(self) -> None:
        for task in self.tasks:
            task.cancel()

        async def all_slots_are_back() -> list[float]:
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await asyncio.sleep(60)
            start = self.loop.time()
            sent = await asyncio.gather(*(call(self.limiter, 0) for _ in range(3)))
            return [time - start for time in sent]

        try:
            assert self.loop.run_until_complete(all_slots_are_back()) == [0, 0, 0]
        finally:
            self.loop.close()


LimiterMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, derandomize=True
)
TestLimiterMachine = LimiterMachine.TestCase
