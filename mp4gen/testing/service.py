"""Serve the API on loopback, as the vendor documents it or as a test scripts it."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from inspect import cleandoc
from random import Random
from typing import Any, Self

from aiohttp import web

from mp4gen.api.dialects import Dialect
from mp4gen.api.responses import DUPLICATES_HEADER, DUPLICATES_REJECTED
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.api.timestamped_lyrics import TimestampedLyrics
from mp4gen.client import Client
from mp4gen.conversion.callbacks import CallbackReceiver
from mp4gen.models import Track
from mp4gen.options import RateLimit
from mp4gen.secret import Secret
from mp4gen.sync import Client as SyncClient
from mp4gen.sync.loop_thread import LoopThread

from .callbacks import CallbackBehavior, CallbackSender, SentCallback
from .endpoints import Endpoint, endpoint_of, known_endpoint, record
from .faults import FAULT_MEANINGS, by_name, dialect_error
from .response_writer import send
from .responses import ResponseBuilder
from .scripted_response import ScriptedResponse
from .state import (
    DuplicatePolicy,
    Duration,
    FakeServiceState,
    FakeTask,
    RecordedRequest,
    draw,
)

# The key of `FakeService.client`, which tests search for where no key may appear.
FAKE_KEY = "fake-key-5d1f0c7e93ab"


def lognormal(median: float, p95: float) -> Callable[[Random], float]:
    """Return a function that draws durations around `median` seconds, 5 % of them above `p95`.

    Use it as `FakeService(duration=lognormal(40, 120))`.
    """
    spread = math.log(p95 / median) / 1.6449
    return lambda random: random.lognormvariate(math.log(median), spread)


class FakeService:
    """A server of the API on loopback, for tests.

    `async with` runs it in the test's own loop, in virtual time too; `with` runs it in its own
    thread, for any framework. Point the app at `service.url`, or use `service.client()` or
    `service.sync_client()`.

        async with FakeService() as service, service.client() as client:
            service.script("create", "reset_after_accept")
            video = await client.convert(mp4gen.VideoRequest("music", "track"))
        assert len(service.tasks) == 1

    Args:
        dialect: The dialect of the responses.
        rate_limit: The requests admitted in any window, counted by arrival; None for no limit.
        polls_count_toward_limit: Whether reading calls count, too. Default: as the dialect says.
        duplicate_policy: The response to a track's second submit: an error with the "existing_id",
            an error "without_id", or a "new_task", which costs again.
        announces_duplicates: Whether every response says that duplicates are rejected, as those of
            mp4gen's own server do.
        duration: The seconds that a task takes, or a function that draws them, such as `lognormal`.
        latency: The seconds that a message takes each way, or a function that draws them.
        retry_after: The seconds of the `Retry-After` header while a task runs; None for no header.
            Default: 0 if tasks take no time, so that clients poll at once, else None.
        api_key: The only accepted key; None to accept any key or none.
        credits: The credits of the account; each task costs one.
        file_size: The minimum size of a video in bytes.
        callbacks: How callbacks are sent to a submit's `callBackUrl`. None: at once, but only to
            the receivers of clients that `client` made.
        host: The address to listen on.
        port: The port to listen on; 0 for any free port.
        seed: The seed of all randomness.

    Attributes:
        music: The tracks of each music task, for "Get Music Generation Details".
        lyrics: The lyrics of tracks, in any order, for "Get Timestamped Lyrics".
        credits: The remaining credits.
        url: The base URL while the service runs.
    """

    def __init__(
        self,
        *,
        dialect: Dialect = Dialect.SUNO,
        rate_limit: RateLimit | None = RateLimit(20, per=10.0),
        polls_count_toward_limit: bool | None = None,
        duplicate_policy: DuplicatePolicy = "existing_id",
        announces_duplicates: bool = False,
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
        self.lyrics: list[TimestampedLyrics] = []
        self.url = ""
        self._headers = {DUPLICATES_HEADER: DUPLICATES_REJECTED} if announces_duplicates else {}
        self._latency, self._random = latency, Random(f"{seed}/latency")  # noqa: S311 - a test
        self._key = None if api_key is None else Secret(api_key)
        self._state = FakeServiceState(duration, seed, file_size)
        self._script: dict[str, deque[ScriptedResponse]] = {}
        self._defaults: dict[str, ScriptedResponse] = {}
        self._callbacks, self._seed = callbacks, seed
        self._listen = host, port
        self._receivers: list[CallbackReceiver] = []
        self._sender: CallbackSender | None = None
        self._runner: web.AppRunner | None = None
        self._thread: LoopThread | None = None
        self._epoch = datetime.now(UTC)

    def __repr__(self) -> str:
        if not hasattr(self, "_state"):
            return "<FakeService: not made>"
        requests, tasks = len(self.requests), len(self.tasks)
        return f"<FakeService {self.url or 'not running'}: {requests} calls, {tasks} tasks>"

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request that arrived, in order."""
        return self._state.requests

    @property
    def tasks(self) -> dict[str, FakeTask]:
        """Every task by its id."""
        return self._state.tasks

    @property
    def callbacks(self) -> list[SentCallback]:
        """Every callback that was sent, in the order of their responses."""
        return self._sender.sent if self._sender is not None else []

    def client(self, **settings: Any) -> Client:
        """Return a `Client` of this service; `settings` are its arguments.

        The service calls the receiver of `callbacks=` by itself, without a web server.
        """
        return Client(**self._client_settings(settings))

    def sync_client(self, **settings: Any) -> SyncClient:
        """Return a `mp4gen.sync.Client` of this service, as `client` does."""
        return SyncClient(**self._client_settings(settings))

    def _client_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        if isinstance(receiver := settings.get("callbacks"), CallbackReceiver):
            self._receivers.append(receiver)
        key = self._key or Secret(FAKE_KEY)
        defaults = {"api_key": key, "base_url": self.url, "dialect": self.dialect}
        return {**defaults, **settings}

    def script(self, endpoint: Endpoint, *steps: str | ScriptedResponse) -> None:
        """Answer the next requests to `endpoint` with `steps`, one each, in order.

        Args:
            endpoint: The endpoint; "*" for all, which comes after a script of its own.
            steps: A name of `FAULTS`, "rate_limited", "no_credits", "maintenance", "exists",
                "code_N" for any body code, "ok" for the default response, or a `ScriptedResponse`.

        Raises:
            ValueError: The endpoint or a fault is unknown; the text lists all names.
        """
        responses = [self._scripted_response(step) for step in steps]
        self._script.setdefault(known_endpoint(endpoint), deque()).extend(responses)

    def always(self, endpoint: Endpoint, step: str | ScriptedResponse) -> None:
        """Answer every request to `endpoint` with `step` until `clear`, after its script has ended.

        Raises:
            ValueError: The endpoint or the fault is unknown; the text lists all names.
        """
        self._defaults[known_endpoint(endpoint)] = self._scripted_response(step)

    def clear(self) -> None:
        """Drop all scripted responses."""
        self._script.clear()
        self._defaults.clear()

    def count(self, endpoint: Endpoint = "*") -> int:
        """Return the number of requests to `endpoint` that arrived; "*" counts all.

        Raises:
            ValueError: The endpoint is unknown; the text lists all names.
        """
        expected = known_endpoint(endpoint)
        return sum(expected in ("*", request.endpoint) for request in self.requests)

    def peak_requests(self, window: float = 10.0) -> int:
        """Return the maximum number of requests that count towards the limit in `window` s.

        Refused requests are included.
        """
        counted = (one for one in self.requests if self._counts_toward_limit(one.endpoint))
        return peak_in_window((one.received_at for one in counted), window)

    def file_url(self, task_id: str) -> str:
        """Return the URL of a task's file."""
        return f"{self.url}/files/{task_id}.mp4"

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    def __enter__(self) -> Self:
        self._thread = LoopThread("FakeService", self._stop)
        try:
            self._thread.run(self._start)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.close()
            self._thread = None

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A handler ends with its client, so that none lingers.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._listen).start()
        # A simulated network has neither sockets nor free ports.
        host, port = (self._runner.addresses or [self._listen])[0][:2]
        self.url = f"http://{host}:{port}"
        self._epoch = datetime.now(UTC) - timedelta(seconds=_loop_time())
        self._sender = CallbackSender(self._callbacks, self._seed, self.url, self._receivers)

    async def _stop(self) -> None:
        if self._sender is not None:
            await self._sender.aclose()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await self._simulate_latency()
        now = _loop_time()
        endpoint = endpoint_of(request.method, request.path)
        counted = self._counts_toward_limit(endpoint)
        rate_limited = counted and not self._state.try_acquire(self.rate_limit, now)
        recorded = await record(request, endpoint, now, rate_limited=rate_limited)
        self.requests.append(recorded)
        scripted = self._next_response(recorded)
        response = self._build_response(recorded, scripted, now)
        await self._simulate_latency()
        return await send(request, scripted, response, self._headers)

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
        wrong_key = self._key is not None and self._key != Secret(recorded.key)
        if wrong_key and recorded.endpoint != "file":
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
        if (delay := draw(self._latency, self._random)) > 0:
            await asyncio.sleep(delay)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _describe_faults() -> str:
    width = max(map(len, FAULT_MEANINGS))
    lines = (f"    {name:{width}}  {text}" for name, text in sorted(FAULT_MEANINGS.items()))
    return "\n".join(["\n\nFaults:", *lines, ""])


# For `help`: the list is long, and the data has it.
FakeService.script.__doc__ = cleandoc(FakeService.script.__doc__ or "") + _describe_faults()
