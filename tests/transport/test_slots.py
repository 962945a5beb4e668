"""Who of one client's calls goes first, and what a call that ended leaves at the limiter."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

import mp4gen
from mp4gen import Priority, RateLimit, SlidingWindowLimiter
from mp4gen.api.protocol import ApiRequest
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.secret import Secret
from mp4gen.testing import FakeService, ScriptedResponse
from mp4gen.testing.service import FAKE_KEY
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.event_emitter import EventEmitter
from mp4gen.transport.http import Delivery, Transport
from mp4gen.transport.retry_loop import RetryLoop
from mp4gen.transport.sleeper import Sleeper
from mp4gen.transport.slots import SlotQueue
from tests.support_async import now
from tests.support_proxy import full_backlog

pytestmark = pytest.mark.looptime
FAST = mp4gen.Polling(initial_delay=1, max_interval=2)


class Traffic:
    """Calls of all kinds through one queue; `order` holds the kinds as they left."""

    def __init__(self, limit: RateLimit) -> None:
        self.queue = SlotQueue(SlidingWindowLimiter(limit), Sleeper())
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def one(self, kind: str, priority: Priority, *, polite: bool) -> None:
        delivery = Delivery(head_sent=True, cannot_arrive=True)
        async with self.queue.slot(priority, delivery, limited=True, polite=polite):
            self.order.append(kind)

    def add(self, number: int, kind: str, priority: Priority, *, polite: bool = False) -> None:
        """Start `number` calls."""
        for _ in range(number):
            task = asyncio.create_task(self.one(kind, priority, polite=polite))
            self.tasks.append(task)

    async def end(self) -> None:
        """Cancel what is left."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def traffic() -> AsyncIterator[Traffic]:
    traffic = Traffic(RateLimit(1, per=1.0))
    yield traffic
    await traffic.end()


async def test_polls_of_single_waits_leave_a_share_to_a_bulk_run(traffic: Traffic) -> None:
    """At most one slot in four is a poll of a single wait while a bulk run has calls to send."""
    traffic.add(100, "poll", Priority.INTERACTIVE, polite=True)
    traffic.add(100, "bulk", Priority.BULK)
    await asyncio.sleep(80)

    assert traffic.order.count("poll") == pytest.approx(20, abs=2)
    assert traffic.order.count("bulk") == pytest.approx(60, abs=2)


async def test_each_fourth_slot_of_a_large_limit_is_one_of_a_poll() -> None:
    """A poll need not wait for its four windows then."""
    traffic, chance = Traffic(RateLimit(20, per=10.0)), Random(1)
    for _ in range(20):
        # Their slots are free at different times, as those of most calls.
        traffic.add(1, "bulk", Priority.BULK)
        await asyncio.sleep(chance.uniform(0.1, 0.5))
    traffic.order.clear()
    traffic.add(200, "bulk", Priority.BULK)
    traffic.add(100, "poll", Priority.INTERACTIVE, polite=True)
    await asyncio.sleep(35)
    order = list(traffic.order)
    await traffic.end()

    assert order.count("poll") == pytest.approx(len(order) / 4, abs=2)


async def test_polls_of_single_waits_use_all_slots_without_other_calls(
    traffic: Traffic,
) -> None:
    """Without other calls none of them waits for a turn of others."""
    traffic.add(50, "poll", Priority.INTERACTIVE, polite=True)
    await asyncio.sleep(40.5)

    assert len(traffic.order) >= 40


@pytest.mark.parametrize("polls", [0, 20, 300])
async def test_single_submit_goes_before_all_polls_and_bulk_calls(
    traffic: Traffic, polls: int
) -> None:
    """However many wait, it has the next slot or the one after it."""
    traffic.add(polls, "poll", Priority.INTERACTIVE, polite=True)
    traffic.add(300, "bulk", Priority.BULK)
    traffic.add(300, "bulk poll", Priority.BULK, polite=True)
    await asyncio.sleep(20.5)
    before = len(traffic.order)
    traffic.add(1, "submit", Priority.INTERACTIVE)
    await asyncio.sleep(5)

    assert "submit" in traffic.order[before : before + 2]


async def test_calls_of_others_that_never_get_a_slot_do_not_stop_polls() -> None:
    """They may wait for another client's calls: after some windows the poll goes anyway."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=1.0))
    ours, traffic = SlotQueue(limiter, Sleeper()), Traffic(RateLimit(1, per=1.0))
    traffic.queue = ours

    async def other_client() -> None:
        while True:
            async with limiter.slot(Priority.INTERACTIVE):
                pass

    others = [asyncio.create_task(other_client()) for _ in range(3)]
    traffic.add(5, "bulk", Priority.BULK)
    traffic.add(3, "poll", Priority.INTERACTIVE, polite=True)
    await asyncio.sleep(40)
    await traffic.end()
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)

    assert traffic.order.count("poll") == 3


async def test_poll_waits_at_most_four_windows_for_turns_of_others() -> None:
    """The calls of others never get a slot here."""

    class NoBulk(OtherLimiter):
        """A limiter that lets no call of a bulk run pass."""

        def slot(self, priority: Priority = Priority.INTERACTIVE) -> OtherLimiter:
            return blocked if priority is Priority.BULK else self

    blocked, limiter = OtherLimiter(), NoBulk()
    await blocked.lock.acquire()
    traffic = Traffic(RateLimit(1, per=1.0))
    traffic.queue = SlotQueue(limiter, Sleeper())
    traffic.add(1, "bulk", Priority.BULK)
    traffic.add(2, "poll", Priority.INTERACTIVE, polite=True)
    await asyncio.sleep(39.9)
    before = list(traffic.order)
    await asyncio.sleep(0.2)
    after = list(traffic.order)
    await traffic.end()

    assert (before, after) == (["poll"], ["poll", "poll"])


async def test_cancelled_polls_and_bulk_calls_leave_the_queue_usable(traffic: Traffic) -> None:
    """Failure mode 40: if any call is cancelled at any moment, the others get their slots."""
    chance = Random(5)
    traffic.add(20, "poll", Priority.INTERACTIVE, polite=True)
    traffic.add(20, "bulk", Priority.BULK)
    traffic.add(20, "bulk poll", Priority.BULK, polite=True)
    for _ in range(60):
        await asyncio.sleep(chance.uniform(0.0, 0.7))
        chance.choice(traffic.tasks).cancel()
    left = [task for task in traffic.tasks if not task.done()]
    async with asyncio.timeout(100):
        await asyncio.gather(*left, return_exceptions=True)

    assert traffic.queue.others_waiting == 0
    traffic.add(1, "last", Priority.BULK)
    await asyncio.sleep(2)
    assert traffic.order[-1] == "last"


# --- calls that end without a response --------------------------------------------------------


@asynccontextmanager
async def slow_server(latency: Iterator[float]) -> AsyncIterator[tuple[str, list[float]]]:
    """Yield the URL of a server behind a slow way, and the times at which requests arrive."""
    arrivals: list[float] = []
    loop = asyncio.get_running_loop()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            delay = next(latency)
            # What was sent arrives, whatever becomes of its sender.
            loop.call_later(delay, lambda: arrivals.append(loop.time()))
            await asyncio.sleep(delay + 0.1)
            body = b'{"code":200,"msg":"success","data":1}'
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            writer.write(head % len(body) + body)
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", arrivals


@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_limit_holds_if_calls_end_on_their_way(how: str) -> None:
    """Failure mode 69: a request on its way holds its slot until it can arrive no more."""
    chance = Random(3)
    latency = (chance.uniform(0.1, 9.0) for _ in iter(int, 1))
    retry = mp4gen.Retry(timeout=0, request_timeout=10.0 if how == "timeout" else 30.0)

    async def one(client: mp4gen.Client, number: int) -> None:
        call = asyncio.create_task(client.get_credits())
        if number % 2 or how == "timeout":
            await asyncio.wait([call], timeout=None if how == "timeout" else 3)
            call.cancel()
        with suppress(mp4gen.Mp4GenError, asyncio.CancelledError):
            await call

    async with slow_server(latency) as (url, arrivals):
        async with mp4gen.Client(base_url=url, retry=retry) as client:
            for start in range(0, 120, 20):
                numbers = range(start, start + 20)
                await asyncio.gather(*(one(client, number) for number in numbers))
        await asyncio.sleep(20)

    assert len(arrivals) >= 80
    assert peak_in_window(arrivals, 10.0) <= 20


async def test_limit_holds_for_a_shared_limiter_if_a_client_closes() -> None:
    """Failure mode 69: the calls of the closed client may still arrive."""
    latency = iter([9.0] * 20 + [0.1] * 20)
    limiter = SlidingWindowLimiter()
    async with slow_server(latency) as (url, arrivals):
        first = mp4gen.Client(base_url=url, rate_limit=limiter)
        calls = [asyncio.create_task(first.get_credits()) for _ in range(20)]
        await asyncio.sleep(1)
        await first.aclose()
        await asyncio.gather(*calls, return_exceptions=True)
        async with mp4gen.Client(base_url=url, rate_limit=limiter) as second:
            await asyncio.gather(*(second.get_credits() for _ in range(20)))

    assert len(arrivals) == 40
    assert peak_in_window(arrivals, 10.0) <= 20


async def test_client_that_closes_gives_back_no_slot_that_it_waited_for() -> None:
    """Else another client of the same limiter would go too early."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10.0))
    async with limiter.slot(), FakeService() as service:
        closing = service.client(rate_limit=limiter)
        waiting = asyncio.create_task(closing.get_credits())
        await asyncio.sleep(1)
        await closing.aclose()
        await asyncio.wait([waiting])
        async with service.client(rate_limit=limiter) as other:
            call = asyncio.create_task(other.get_credits())
            await asyncio.sleep(100)
            early = call.done()
            call.cancel()
            await asyncio.wait([call])

    assert not early


async def test_call_that_is_cancelled_while_it_connects_frees_its_slot() -> None:
    """Failure mode 41: nothing of it was sent."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=1000.0))
    with full_backlog() as url:
        async with mp4gen.Client(base_url=url, rate_limit=limiter) as client:
            call = asyncio.create_task(client.get_credits())
            await asyncio.sleep(1)
            call.cancel()
            await asyncio.wait([call])
    async with FakeService() as service, service.client(rate_limit=limiter) as client:
        await client.get_credits()

    assert now() < 10


async def test_call_that_is_refused_a_connection_frees_its_slot() -> None:
    """Failure mode 1: a host that is not there costs no slots."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=1000.0))
    retry = mp4gen.Retry(timeout=0)
    async with mp4gen.Client(
        base_url="http://127.0.0.1:9", rate_limit=limiter, retry=retry
    ) as client:
        for _ in range(3):
            with pytest.raises(mp4gen.TransportError):
                await client.get_credits()

    assert now() < 10


async def test_callback_that_blocks_the_loop_leaves_the_limit_exact() -> None:
    """Failure mode 64: an `on_event` that computes for seconds delays calls, and no more."""
    loop, chance = asyncio.get_running_loop(), Random(2)

    def compute(_: mp4gen.Event) -> None:
        loop.setup_looptime(start=loop.time() + chance.uniform(0.0, 4.0))  # type: ignore[attr-defined]

    async with (
        FakeService(duration=5, latency=0.05) as service,
        service.client(polling=FAST, on_event=compute) as client,
    ):
        requests = [mp4gen.VideoRequest("music", str(n)) for n in range(60)]
        async for _ in client.convert_many(requests):
            pass

    assert service.peak_requests() <= 20
    assert sum(call.rate_limited for call in service.requests) == 0


async def test_retry_after_of_a_fraction_is_honoured() -> None:
    """Failure mode 59: 3.5 seconds are 3.5 seconds."""
    page = ScriptedResponse(status=503, body=b"busy", headers={"Retry-After": "3.5"})
    async with FakeService() as service, service.client() as client:
        client.random.seed(1)
        service.script("credits", page)
        await client.get_credits()

    assert 3.5 <= now() < 4


async def test_polite_retry_waits_at_most_max_wait() -> None:
    """The last attempt of a call that keeps failing does not wait behind hundreds of polls."""
    traffic, delivery = Traffic(RateLimit(1, per=1.0)), Delivery(head_sent=True, cannot_arrive=True)
    traffic.add(300, "bulk poll", Priority.BULK, polite=True)
    await asyncio.sleep(1)
    async with traffic.queue.slot(
        Priority.BULK, delivery, limited=True, polite=True, max_wait=20.0
    ):
        entered_at = now()
    await traffic.end()

    assert 20 <= entered_at <= 25


async def test_call_that_ends_within_its_response_frees_its_slot_after_the_period() -> None:
    """It has arrived: the limiter does not wait until the end of its timeout, too."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10.0))
    async with FakeService() as service, service.client(rate_limit=limiter) as client:
        service.script("credits", ScriptedResponse(truncate_at=-1, connection="hang"))
        call = asyncio.create_task(client.get_credits())
        await asyncio.sleep(2)
        call.cancel()
        await asyncio.wait([call])
        await client.get_credits()

    assert 12 <= now() < 13


@pytest.mark.parametrize("fault", ["reset", "close_without_answer", "half_headers"])
async def test_call_whose_connection_breaks_frees_its_slot_after_the_period(fault: str) -> None:
    """A host that closed the connection has got the request, or never will."""
    limiter = SlidingWindowLimiter(RateLimit(1, per=10.0))
    retry = mp4gen.Retry(timeout=0)
    async with FakeService() as service:
        service.script("credits", fault)
        async with service.client(rate_limit=limiter, retry=retry) as client:
            with pytest.raises(mp4gen.TransportError):
                await client.get_credits()
            await client.get_credits()

    assert 10 <= now() < 11


@pytest.mark.parametrize(("failures", "order"), [(1, "a b c"), (2, "a c b")])
async def test_calls_that_keep_failing_queue_one_at_a_time(failures: int, order: str) -> None:
    """They leave the slots between to the calls that succeed, in the order of a bulk run."""
    options = CallOptions.for_bulk_run(mp4gen.Retry())
    async with FakeService() as service:
        limiter = SlidingWindowLimiter(RateLimit(1, per=10.0))
        transport = Transport(service.url, lambda: Secret(FAKE_KEY))
        caller = ApiCaller(transport, limiter, mp4gen.Retry(), EventEmitter(), Random(1))
        calls = []
        async with limiter.slot():
            for name in "abc":
                request = ApiRequest("GET", f"/api/v1/mp4/record-info?taskId={name}")
                loop = RetryLoop(caller, request, options)
                loop.failures = 0 if name == "c" else failures
                work = caller.send(request, lambda response: response, options, retry_loop=loop)
                calls.append(asyncio.create_task(work))
                await asyncio.sleep(0.1)
        await asyncio.gather(*calls)
        await caller.aclose()

    assert " ".join(request.query["taskId"] for request in service.requests) == order


async def test_call_that_keeps_failing_is_polite_within_its_retry_time() -> None:
    """Its last attempt does not wait behind a hundred polls."""
    retry = mp4gen.Retry(timeout=20.0)
    options = CallOptions.for_bulk_run(retry)
    request = ApiRequest("GET", "/api/v1/mp4/record-info?taskId=t")
    sent: list[float] = []
    async with FakeService() as service:
        transport = Transport(service.url, lambda: Secret(FAKE_KEY))
        limiter = SlidingWindowLimiter(RateLimit(1, per=1.0))
        caller = ApiCaller(transport, limiter, retry, EventEmitter(), Random(1))
        polls = [
            asyncio.create_task(caller.send(request, lambda _: None, options, polite=True))
            for _ in range(100)
        ]
        await asyncio.sleep(0.5)
        loop = RetryLoop(caller, request, options)
        await loop.wait(mp4gen.TransportError("No response.", sent=True), immediately=True)
        loop.failures = 2
        await caller.send(
            request,
            lambda _: None,
            options,
            retry_loop=loop,
            on_start=lambda: sent.append(now()),
        )
        for poll in polls:
            poll.cancel()
        await asyncio.wait(polls)
        await caller.aclose()

    assert 20 <= sent[0] <= 23


# --- limiters of other kinds ------------------------------------------------------------------


class OtherLimiter:
    """A limiter of one slot, which is its own context; `ends` holds how its calls ended."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.pauses: list[float] = []
        self.ends: list[tuple[type[BaseException] | None, BaseException | None]] = []

    def slot(self, _: Priority = Priority.INTERACTIVE) -> "OtherLimiter":
        return self

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def __aenter__(self) -> None:
        await self.lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        self.ends.append((kind, error))
        self.lock.release()


async def test_other_limiter_is_told_how_each_call_ended() -> None:
    """A call without a response leaves its slot with a `TransportError` that has `pending`."""
    limiter = OtherLimiter()
    retry = mp4gen.Retry(request_timeout=30.0)
    async with FakeService() as service, service.client(rate_limit=limiter, retry=retry) as client:
        await client.get_credits()
        service.script("credits", "hang")
        call = asyncio.create_task(client.get_credits())
        await asyncio.sleep(12)
        call.cancel()
        await asyncio.wait([call])
        await client.get_credits()

    assert limiter.ends[0] == limiter.ends[2] == (None, None)
    kind, error = limiter.ends[1]
    assert kind is mp4gen.TransportError
    assert isinstance(error, mp4gen.TransportError)
    assert error.sent
    assert error.pending == pytest.approx(18, abs=0.1)


async def test_other_limiter_is_told_that_a_call_was_not_sent() -> None:
    """Its slot is free at once."""
    limiter = OtherLimiter()
    retry = mp4gen.Retry(timeout=0)
    url = "http://127.0.0.1:9"
    async with mp4gen.Client(base_url=url, rate_limit=limiter, retry=retry) as client:
        with pytest.raises(mp4gen.TransportError):
            await client.get_credits()
    [(kind, error)] = limiter.ends

    assert kind is mp4gen.TransportError
    assert isinstance(error, mp4gen.TransportError)
    assert (error.sent, error.pending) == (False, 0.0)


async def test_other_limiter_pauses_after_a_refusal() -> None:
    """It has no `limit` to read the period from: the documented ten seconds."""
    limiter = OtherLimiter()
    async with FakeService() as service, service.client(rate_limit=limiter) as client:
        service.script("credits", "rate_limited")
        await client.get_credits()

    assert limiter.pauses == [10.0]


async def test_close_ends_the_wait_for_another_limiter() -> None:
    """The call fails, and leaves no slot that it never had."""
    limiter = OtherLimiter()
    await limiter.lock.acquire()
    client = mp4gen.Client(base_url="http://127.0.0.1:9", rate_limit=limiter)
    call = asyncio.create_task(client.get_credits())
    await asyncio.sleep(1)
    await client.aclose()

    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        await call
    assert limiter.ends == []
    assert now() < 2
