"""Run the client against the fake service without sockets, in virtual time; not run by itself.

Only the HTTP transport between them is replaced, by two sleeps; limiter, circuit breaker, polling,
retries, ledger and run are the real ones.
"""

# ruff: noqa: SLF001 - the HTTP transport is replaced, and nothing else

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Callable, Coroutine
from random import Random
from statistics import mean
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from report import Figure, at_most

from mp4gen import CallbackReceiver, Client, VideoRequest
from mp4gen.api.callbacks import build_callback
from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import HttpResponse
from mp4gen.errors import ConfigurationError
from mp4gen.testing import FakeService, lognormal
from mp4gen.testing.endpoints import endpoint_of
from mp4gen.testing.response_writer import _build_response
from mp4gen.testing.state import RecordedRequest
from mp4gen.transport.http import Delivery

T = TypeVar("T")

# The faults are on purpose.
logging.getLogger("mp4gen").setLevel(logging.ERROR)

# Measured: 45 s for a song of four minutes; the vendor documents nothing.
DURATION = lognormal(40, 120)
PER, WINDOW = 10.0, 20
BASE_URL = "http://127.0.0.1:1"


def latency(random: Random) -> float:
    """Draw the seconds of one way: a median of 60 ms, one in a hundred a spike."""
    seconds = random.lognormvariate(-2.81, 0.3)
    return seconds + random.uniform(0.5, 3.0) if random.random() < 0.01 else seconds


class _Clock(selectors.SelectSelector):
    """Moves the clock to the next timer instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("Deadlock: every task waits, and no timer is set.")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer; it runs the work of threads itself."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the virtual seconds since the loop was created."""
        return self._clock.now

    def run_in_executor(self, executor: Any, work: Any, *args: Any) -> asyncio.Future[Any]:
        """Do the work immediately: the clock must not run while a thread is busy."""
        done = self.create_future()
        try:
            done.set_result(work(*args))
        except Exception as error:  # noqa: BLE001 - as a thread would hand it over
            done.set_exception(error)
        return done


def run(
    coroutine: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = VirtualLoop,
) -> T:
    """Return the result of `coroutine`, in virtual time."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(coroutine)


class DirectTransport:
    """Replaces a client's HTTP transport: calls the service directly, after a simulated latency."""

    def __init__(self, service: FakeService, seed: int, receiver: CallbackReceiver | None) -> None:
        self.closed = False
        self._service = service
        self._random = Random(f"{seed}/wire")
        self._receiver = receiver

    async def send(
        self, request: ApiRequest, timeout: float, delivery: Delivery | None = None
    ) -> HttpResponse:
        """Return the service's response; the connection takes the time of one way."""
        if self.closed:
            raise ConfigurationError("The client is closed. Create a new one.")
        await asyncio.sleep(latency(self._random))
        if delivery is not None:
            delivery.head_sent = True
        now = asyncio.get_running_loop().time()
        parts = urlsplit(request.path)
        endpoint = endpoint_of(request.method, parts.path)
        service, task_count = self._service, len(self._service.tasks)
        rate_limited = service._counts_toward_limit(endpoint) and not service._state.try_acquire(
            service.rate_limit, now
        )
        recorded = RecordedRequest(
            received_at=now,
            endpoint=endpoint,
            method=request.method,
            path=parts.path,
            query=dict(parse_qsl(parts.query)),
            headers={},
            key=None,
            body=request.body or b"",
            rate_limited=rate_limited,
        )
        service.requests.append(recorded)
        scripted = service._next_response(recorded)
        default = service._build_response(recorded, scripted, now)
        response = default if scripted.is_default else _build_response(scripted)
        if self._receiver is not None and len(service.tasks) > task_count:
            self._send_callback(self._receiver)
        if delivery is not None:
            delivery.cannot_arrive = True
        await asyncio.sleep(latency(self._random))
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = response.body if isinstance(response.body, bytes) else b""
        return HttpResponse(response.status, headers, body)

    async def aclose(self) -> None:
        """Refuse all further requests."""
        self.closed = True

    def _send_callback(self, receiver: CallbackReceiver) -> None:
        task = next(reversed(self._service.tasks.values()))
        path = urlsplit(task.request.callback_url or "").path
        body = build_callback(task.task_id, f"https://files.example/{task.task_id}.mp4")
        when = task.completes_at + latency(self._random)
        asyncio.get_running_loop().call_at(when, receiver.handle, "POST", path, {}, body)


def client(
    service: FakeService, seed: int, receiver: CallbackReceiver | None = None, **settings: Any
) -> Client:
    """Return a client of the service, without sockets."""
    made = service.client(base_url=BASE_URL, callbacks=receiver, **settings)
    made.random.seed(seed)
    made._caller._transport = DirectTransport(service, seed, receiver)  # type: ignore[assignment]
    return made


def service(seed: int, **settings: Any) -> FakeService:
    """Return the API with its exact limit and realistic durations."""
    made = FakeService(
        **{"duration": DURATION, "seed": seed, "credits": 1e9, "file_size": 64, **settings}
    )
    # The links of its videos must be whole.
    made.url = BASE_URL
    return made


def tracks(number: int) -> list[VideoRequest]:
    """Return `number` different tracks."""
    return [VideoRequest("music", f"track-{n:06}") for n in range(number)]


def earliest_send(number: int) -> float:
    """Return the first second at which the limit permits request `number`, counted from 0."""
    return PER * (number // WINDOW)


def floor(durations: list[float], requests: float) -> float:
    """Return the shortest possible makespan in seconds, if tracks are submitted in order.

    It is the later of two times: when the last of the needed requests (`requests` for each video)
    may leave, and when the last track ends if each is submitted as early as the limit permits.
    """
    last = earliest_send(int(len(durations) * requests) - 1)
    return max(last, *(earliest_send(n) + seconds for n, seconds in enumerate(durations)))


def durations(of: FakeService) -> list[float]:
    """Return the render time of each track, in the order of the tracks."""
    by_track = {t.request.audio_id: t.completes_at - t.created_at for t in of.tasks.values()}
    return [by_track[track] for track in sorted(by_track)]


def rate_limited(of: FakeService) -> int:
    """Return how many requests the service refused as too many."""
    return sum(request.rate_limited for request in of.requests)


class BulkResult(NamedTuple):
    """The figures of one bulk run."""

    requests_per_video: float
    relative_makespan: float
    rate_limited: int

    @classmethod
    def of(cls, service: FakeService, makespan: float, requests: float = 2) -> BulkResult:
        """Compare a run with the floor of `requests` for each video."""
        seconds = durations(service)
        return cls(
            service.count() / len(seconds),
            makespan / floor(seconds, requests),
            rate_limited(service),
        )


async def convert_tracks(
    seed: int, number: int, receiver: CallbackReceiver | None = None, requests: float = 2
) -> BulkResult:
    """Convert `number` tracks; each must succeed and be paid for once."""
    api = service(seed)
    async with client(api, seed, receiver) as user, user.convert_many(tracks(number)) as bulk_run:
        async for _ in bulk_run:
            pass
    assert bulk_run.summary.succeeded == len(api.tasks) == number
    return BulkResult.of(api, asyncio.get_running_loop().time(), requests)


def figures(name: str, runs: list[BulkResult], *goals: float) -> list[Figure]:
    """Compare the mean of runs (and their worst makespan, if it has a goal) with the goals."""
    requests, makespans, refused = zip(*runs, strict=True)
    found = [
        at_most(f"{name}: requests a video", mean(requests), goals[0], "{:.3f}"),
        at_most(f"{name}: makespan / floor", mean(makespans), goals[1], "{:.3f}"),
        at_most(f"{name}: responses 405", sum(refused), 0),
    ]
    if len(goals) > 2:
        found.append(at_most(f"{name}: worst makespan", max(makespans), goals[2], "{:.3f}"))
    return found
