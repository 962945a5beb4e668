"""The API on loopback: answers as the vendor's pages say, or as a test has scripted it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.client import Client
from mp4gen.models import Track
from mp4gen.options import RateLimit
from mp4gen.transport.http import Secret

from .callbacks import CallbackBehavior, CallbackSender, SentCallback
from .faults import ScriptedResponse, by_name, dialect_error
from .response_writer import send
from .responses import ResponseBuilder
from .state import (
    DuplicatePolicy,
    Duration,
    FakeServiceState,
    FakeTask,
    RecordedRequest,
)

Endpoint = Literal["create", "details", "tracks", "credits", "download_url", "file", "*"]
# The key of `FakeService.client`: a test can look for it where no key must be.
FAKE_KEY = "fake-key-5d1f0c7e93ab"


def lognormal(median: float, p95: float) -> Callable[[Random], float]:
    """Durations as a busy service has them: most near `median` seconds, one in twenty over `p95`.

    Use it as `FakeService(duration=lognormal(40, 120))`.
    """
    spread = math.log(p95 / median) / 1.6449
    return lambda random: random.lognormvariate(math.log(median), spread)


class FakeService:
    """A server of the API on loopback, for tests.

    Use it as `async with` to run in the test's own loop (then also in virtual time), or as `with`
    to run in a thread of its own, which suits every framework. Point the app at `service.url`, or
    take a `service.client()`.

        async with FakeService() as service, service.client() as client:
            service.script("create", "reset_after_accept")
            video = await client.convert(mp4gen.VideoRequest("music", "track"))
        assert len(service.tasks) == 1

    Args:
        dialect: whose codes it answers with.
        rate_limit: calls admitted in any window, counted by their arrival; None for no limit.
        polls_count_toward_limit: whether reading calls count, too; default as the dialect says.
        duplicate_policy: what a track's second submit gets: the refusal that carries the
            "existing_id", one "without_id", or a "new_task", which costs again.
        duration: seconds that a task takes, or a function that draws them, such as `lognormal`.
        latency: seconds that a message takes each way, or a function that draws them.
        retry_after: seconds for the `Retry-After` header while a task runs; default 0 where tasks
            take no time, so that a client need not wait for its first look, else no header.
        api_key: the only key that is accepted; None for any and none.
        credits: what the account has; each task costs one.
        file_size: bytes of a video, at least.
        callbacks: how the `callBackUrl` of a submit is told of its end; default not at all.
        host: the address to listen on, and to be reached at.
        port: where to listen; 0 for any free port.
        seed: of all chance.

    Attributes:
        requests: every call that arrived, as `FakeCall`s in order.
        tasks: every `FakeTask` by its id.
        music: the tracks of each music task, for "Get Music Generation Details".
        credits: what is left.
        url: the base URL, once it runs.
    """

    def __init__(
        self,
        *,
        dialect: Dialect = Dialect.SUNO,
        rate_limit: RateLimit | None = RateLimit(20, per=10.0),
        polls_count_toward_limit: bool | None = None,
        duplicate_policy: DuplicatePolicy = "existing_id",
        duration: Duration = 0.0,
        latency: Duration = 0.0,
        retry_after: float | None = None,
        api_key: str | None = None,
        credits: float = 1000.0,  # noqa: A002 - what the API calls it
        file_size: int = 1024,
        callbacks: CallbackBehavior | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.dialect, self.rate_limit, self.credits = dialect, rate_limit, credits
        self.duplicate_policy: DuplicatePolicy = duplicate_policy
        self.polls_count_toward_limit = (
            dialect.polls_count_toward_limit
            if polls_count_toward_limit is None
            else polls_count_toward_limit
        )
        self.retry_after = 0.0 if retry_after is None and duration == 0 else retry_after
        self.music: dict[str, list[Track]] = {}
        self.url = ""
        self._latency, self._random = latency, Random(f"{seed}/latency")  # noqa: S311 - a test
        self._key = None if api_key is None else Secret(api_key)
        self._state = FakeServiceState(duration, seed, file_size)
        self._script: dict[str, deque[ScriptedResponse]] = {}
        self._defaults: dict[str, ScriptedResponse] = {}
        self._callbacks, self._seed = callbacks, seed
        self._listen = host, port
        self._sender: CallbackSender | None = None
        self._runner: web.AppRunner | None = None
        self._thread: _LoopThread | None = None
        self._epoch = datetime.now(UTC)

    def __repr__(self) -> str:
        requests, tasks = len(self.requests), len(self.tasks)
        return f"<FakeService {self.url or 'not running'}: {requests} calls, {tasks} tasks>"

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every call that arrived, in order."""
        return self._state.requests

    @property
    def tasks(self) -> dict[str, FakeTask]:
        """Every task by its id."""
        return self._state.tasks

    @property
    def callbacks(self) -> list[SentCallback]:
        """Every callback that was sent, in the order of their answers."""
        return self._sender.sent if self._sender is not None else []

    def client(self, **settings: Any) -> Client:
        """A `Client` of this service; `settings` are its arguments."""
        key = self._key or Secret(FAKE_KEY)
        defaults = {"api_key": key, "base_url": self.url, "dialect": self.dialect}
        return Client(**{**defaults, **settings})

    def script(self, endpoint: Endpoint, *steps: str | ScriptedResponse) -> None:
        """Answer the next calls of `endpoint` ("*" for any) with `steps`, one each, in order.

        Args:
            endpoint: which calls; those of its own go before those of "*".
            steps: a name of `FAULTS`, "rate_limited", "no_credits", "maintenance", "exists",
                "code_N" for any body code, "ok" for the usual answer, or a `Reply`.

        Raises:
            ValueError: no fault has that name.
        """
        responses = [self._scripted_response(step) for step in steps]
        self._script.setdefault(endpoint, deque()).extend(responses)

    def always(self, endpoint: Endpoint, step: str | ScriptedResponse) -> None:
        """Answer every call of `endpoint` so, once its script is through, until `clear`."""
        self._defaults[endpoint] = self._scripted_response(step)

    def clear(self) -> None:
        """Forget all that was scripted."""
        self._script.clear()
        self._defaults.clear()

    def count(self, endpoint: Endpoint = "*") -> int:
        """How many calls of `endpoint` have arrived."""
        return sum(endpoint in ("*", call.endpoint) for call in self.requests)

    def peak_requests(self, window: float = 10.0) -> int:
        """The most counted calls that arrived within any `window`, refused ones included."""
        return peak_in_window(
            [
                call.received_at
                for call in self.requests
                if self._counts_toward_limit(call.endpoint)
            ],
            window,
        )

    def file_url(self, task_id: str) -> str:
        """Where the file of a task is."""
        return f"{self.url}/files/{task_id}.mp4"

    # --- running ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    def __enter__(self) -> Self:
        self._thread = _LoopThread()
        self._thread.run(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._thread.run(self._stop())
            self._thread.close()
            self._thread = None

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A client that went away takes its handler with it, so that none lingers.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._listen).start()
        # A simulated network has no sockets to ask, and no free port to choose either.
        host, port = (self._runner.addresses or [self._listen])[0][:2]
        self.url = f"http://{host}:{port}"
        self._epoch = datetime.now(UTC) - timedelta(seconds=_loop_time())
        if self._callbacks is not None:
            self._sender = CallbackSender(self._callbacks, self._seed, self.url)

    async def _stop(self) -> None:
        if self._sender is not None:
            await self._sender.aclose()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # --- answering ----------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await self._simulate_latency()
        now = _loop_time()
        endpoint = _endpoint(request.method, request.path)
        counted = self._counts_toward_limit(endpoint)
        rate_limited = counted and not self._state.try_acquire(self.rate_limit, now)
        recorded = await _record(request, endpoint, now, rate_limited=rate_limited)
        self.requests.append(recorded)
        scripted = self._next_response(recorded)
        response = self._build_response(recorded, scripted, now)
        await self._simulate_latency()
        return await send(request, scripted, response)

    def _build_response(
        self, recorded: RecordedRequest, scripted: ScriptedResponse, now: float
    ) -> web.Response:
        builder = ResponseBuilder(self, self._state, now, self._epoch)
        task_count = len(self.tasks)
        response = (
            builder.default(recorded, scripted)
            if scripted.is_default or scripted.take_effect
            else web.Response()
        )
        if self._sender is not None and len(self.tasks) > task_count:
            self._sender.schedule(next(reversed(self.tasks.values())))
        return response

    def _next_response(self, recorded: RecordedRequest) -> ScriptedResponse:
        if recorded.rate_limited:
            return dialect_error("rate_limited", self.dialect)
        if self._key is not None and recorded.endpoint != "file" and recorded.key != self._key:
            return by_name("unauthorized", self.dialect)
        for endpoint in (recorded.endpoint, "*"):
            if steps := self._script.get(endpoint):
                return steps.popleft()
            if endpoint in self._defaults:
                return self._defaults[endpoint]
        return ScriptedResponse(take_effect=True)

    def _scripted_response(self, step: str | ScriptedResponse) -> ScriptedResponse:
        if isinstance(step, ScriptedResponse):
            return step
        return ScriptedResponse(take_effect=True) if step == "ok" else by_name(step, self.dialect)

    def _counts_toward_limit(self, endpoint: str) -> bool:
        return endpoint == "create" or (
            self.polls_count_toward_limit and endpoint not in {"file", ""}
        )

    async def _simulate_latency(self) -> None:
        latency = self._latency
        delay = latency(self._random) if callable(latency) else latency
        if delay > 0:
            await asyncio.sleep(delay)


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="mp4gen fake service", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


_ENDPOINTS: Mapping[tuple[str, str], str] = {
    ("POST", protocol.GENERATE_PATH): "create",
    ("GET", protocol.DETAILS_PATH): "details",
    ("GET", protocol.TRACKS_PATH): "tracks",
    ("GET", Dialect.SUNO.credits_path): "credits",
    ("GET", Dialect.KIE.credits_path): "credits",
    ("POST", Dialect.KIE.download_url_path or ""): "download_url",
}


def _endpoint(method: str, path: str) -> str:
    if path.startswith("/files/"):
        return "file"
    return _ENDPOINTS.get((method, path), "")


async def _record(
    request: web.Request, endpoint: str, now: float, *, rate_limited: bool
) -> RecordedRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    scheme, _, key = headers.pop("authorization", "").partition(" ")
    return RecordedRequest(
        received_at=now,
        endpoint=endpoint,
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers=headers,
        key=Secret(key) if scheme == "Bearer" else None,
        body=await request.read(),
        rate_limited=rate_limited,
    )
