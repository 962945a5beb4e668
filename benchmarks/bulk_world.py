"""The API without sockets, in virtual time: what the bulk benchmarks share; run by none.

The fake service answers as it does on loopback; only the transport between it and the client is
replaced by two sleeps. Limiter, gate, polling, retries, ledger and run are the real ones.
"""

# ruff: noqa: SLF001 - the one transport is taken out, and nothing else

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import logging
import selectors
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from mp4gen import CallbackReceiver, Client, VideoRequest
from mp4gen.api.protocol import ApiRequest, build_callback
from mp4gen.api.responses import HttpResponse
from mp4gen.errors import ConfigurationError
from mp4gen.testing import FakeService, lognormal
from mp4gen.testing.response_writer import _build_response
from mp4gen.testing.service import _endpoint
from mp4gen.testing.state import RecordedRequest

T = TypeVar("T")

# The outages are on purpose.
logging.getLogger("mp4gen").setLevel(logging.ERROR)

# The vendor gives no figure; a four-minute song has been seen to take 45 s.
DURATION = lognormal(40, 120)
PER, WINDOW = 10.0, 20


def latency(random: Random) -> float:
    """Seconds one way: 60 ms in the middle, now and then a spike or a cold connect."""
    seconds = random.lognormvariate(-2.81, 0.3)
    return seconds + random.uniform(0.5, 3.0) if random.random() < 0.01 else seconds


class _Clock(selectors.SelectSelector):
    """Waits for nothing: moves the clock to the next timer instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is made of its timers; threads' work is done at once."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._clock.now

    def run_in_executor(self, executor: Any, work: Any, *args: Any) -> asyncio.Future[Any]:
        """Do the work at once: no clock may run on while a thread is busy."""
        done = self.create_future()
        try:
            done.set_result(work(*args))
        except Exception as error:  # noqa: BLE001 - as a thread would hand it over
            done.set_exception(error)
        return done


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine`, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


class DirectTransport:
    """In the place of a client's transport: straight to the service, after a while."""

    def __init__(self, service: FakeService, seed: int, receiver: CallbackReceiver | None) -> None:
        self.closed = False
        self._service = service
        self._random = Random(f"{seed}/wire")
        self._receiver = receiver

    async def send(self, request: ApiRequest, timeout: float) -> HttpResponse:
        """The service's answer."""
        if self.closed:
            raise ConfigurationError("This client is closed")
        await asyncio.sleep(latency(self._random))
        now = asyncio.get_running_loop().time()
        parts = urlsplit(request.path)
        endpoint = _endpoint(request.method, parts.path)
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
        await asyncio.sleep(latency(self._random))
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = response.body if isinstance(response.body, bytes) else b""
        return HttpResponse(response.status, headers, body)

    async def aclose(self) -> None:
        """Send nothing more."""
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
    """A client of the service, without sockets."""
    made = service.client(base_url="http://127.0.0.1:1", callbacks=receiver, **settings)
    made.random.seed(seed)
    made._caller._transport = DirectTransport(service, seed, receiver)  # type: ignore[assignment]
    return made


def service(seed: int, **settings: Any) -> FakeService:
    """The API with its exact limit and its durations."""
    return FakeService(
        **{"duration": DURATION, "seed": seed, "credits": 1e9, "file_size": 64, **settings}
    )


def tracks(number: int) -> list[VideoRequest]:
    """So many different tracks."""
    return [VideoRequest("music", f"track-{n:06}") for n in range(number)]


def leaves_at(number: int) -> float:
    """The earliest second at which the request of this number, from 0, may leave."""
    return PER * (number // WINDOW)


def floor(durations: list[float], requests: float) -> float:
    """Seconds that nobody can be below who submits in order: the in-order floor.

    Either the last of the needed requests (`requests` for each video) decides, or the last track
    to end when all are submitted as early as the limit allows.
    """
    last = leaves_at(int(len(durations) * requests) - 1)
    return max(last, *(leaves_at(n) + seconds for n, seconds in enumerate(durations)))


def durations(of: FakeService) -> list[float]:
    """How long each track takes, in the order of the tracks."""
    by_track = {t.request.audio_id: t.completes_at - t.created_at for t in of.tasks.values()}
    return [by_track[track] for track in sorted(by_track)]


def median(values: list[float]) -> float:
    """The middle value."""
    return heapq.nsmallest(len(values) // 2 + 1, values)[-1]


def mean(values: list[float]) -> float:
    """The average."""
    return sum(values) / len(values)


def arguments(description: str | None, add: Callable[[argparse.ArgumentParser], None]) -> Any:
    """The command line: `--json FILE` and what `add` adds."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    add(parser)
    return parser.parse_args()


def report(rows: list[tuple[str, str, str, bool]], to: Path | None) -> None:
    """Print one line a figure: what, measured, goal, reached."""
    width = max(len(row[0]) for row in rows)
    for what, measured, goal, reached in rows:
        print(f"{what:<{width}}  {measured:>12}  goal {goal:<18} {'ok' if reached else 'MISSED'}")
    if to is not None:
        names = ("figure", "measured", "goal", "reached")
        to.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1))
    sys.stdout.flush()
