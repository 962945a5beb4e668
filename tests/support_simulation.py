"""One seed of the simulation: a program, killed and started again, against a failing service.

Fifteen tracks; three requests in ten and one connection in ten meet a fault. The program is a
bulk run with a ledger and downloads, on a host with or without a 409, or a bot that stores ids. A
killed program's disk is copied at that moment; the next program starts from the copy. Bulk runs are
also stopped, closed and cancelled at any time, also while their submits are connecting. In one bulk
run of two, up to three tracks are refused for ever: by the API, or by the page of a firewall.
"""

import asyncio
import gc
import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

import attrs
from aiohttp import web

import mp4gen
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.testing import FakeService, RecordedRequest, ScriptedResponse, lognormal
from mp4gen.testing.faults import FAULTS
from mp4gen.testing.service import FAKE_KEY

from .support_chaos import connection_faults, script_faults
from .support_networks import Loopback, Network, Simulated
from .support_proxy import FaultProxy

TRACKS = [mp4gen.VideoRequest("music", f"track{number:02}") for number in range(15)]
DAY = 24 * 3600.0

# In memory: the cost of a commit does not matter here.
_FAST = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)  # noqa: S108
# Late enough that no link has expired.
_EPOCH = datetime(2100, 1, 1, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class Outcome:
    """The outcome of one seed.

    Attributes:
        seed: The seed.
        program: The kind of program.
        lives: How often it was started.
        requests: Requests that arrived at the service.
        rate_limited: Requests that it refused; a restarted program does not know the requests of
            the one before it.
        seconds: Virtual time.
        lost: Tracks without a video and without an uncertain result.
        duplicated: Tracks that were paid more than once.
        windows_over_limit: Windows of ten seconds in which one program exceeded the rate limit.
        hung: Whether it still ran after a day.
        leftover_files: Temporary files that were not removed.
        problem: Any other error, or None.
        trace: A hash of every request, response and event with its time, and of the network.
    """

    seed: int
    program: str
    lives: int
    requests: int
    rate_limited: int
    seconds: float
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    windows_over_limit: int
    hung: bool
    leftover_files: tuple[str, ...]
    problem: str | None
    trace: str

    @property
    def succeeded(self) -> bool:
        """Whether nothing went wrong."""
        return not (
            self.lost
            or self.duplicated
            or self.windows_over_limit
            or self.hung
            or self.leftover_files
            or self.problem
        )


def run_seed(seed: int, loop: Literal["simloop", "looptime"]) -> Outcome:
    """Run one seed."""
    # The collector would close the files of dead programs at arbitrary times.
    gc.disable()
    try:
        return _run_seed(seed, Simulated(seed) if loop == "simloop" else Loopback())
    finally:
        gc.enable()


def _run_seed(seed: int, network: Network) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="mp4gen-", dir=_FAST) as folder:
        scenario = _Scenario(seed, network, Path(folder))
        try:
            network.loop.run_until_complete(scenario.run())
        except Exception as error:  # noqa: BLE001 - any error belongs to this seed
            scenario.problem = f"{type(error).__name__}: {error}"
        outcome = scenario.outcome()
        network.close()
    return outcome


class _Service(FakeService):
    """Reports each request and response; starts at the same wall-clock time in every run.

    Args:
        on_response: Called with each request and its response.
        refused: The fault that answers every submit of a track, by its audio id.
        settings: Arguments of `FakeService`.
    """

    def __init__(
        self,
        on_response: Callable[[RecordedRequest, web.Response], None],
        refused: Mapping[str, str],
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._on_response = on_response
        self._refused = refused

    async def _start(self) -> None:
        await super()._start()
        self._epoch = _EPOCH

    def _build_response(
        self, recorded: RecordedRequest, scripted: ScriptedResponse, now: float
    ) -> web.Response:
        if recorded.endpoint == "create":
            fault = self._refused.get(json.loads(recorded.body)["audioId"])
            scripted = FAULTS[fault] if fault else scripted
        response = super()._build_response(recorded, scripted, now)
        self._on_response(recorded, response)
        return response


class _Scenario:
    """One seed's run."""

    def __init__(self, seed: int, network: Network, folder: Path) -> None:
        self.seed, self.network, self.folder = seed, network, folder
        self.random = Random(seed)
        self.program = self.random.choice(["bulk", "bulk", "bulk without 409", "bot"])
        self.rejects_duplicates = self.program != "bulk without 409"
        self.refused = {} if self.program == "bot" else _draw_refused(Random(f"{seed}/refused"))
        self.results: dict[str, mp4gen.Conversion] = {}
        self.keys: list[str] = []
        self.is_rerun = False
        self.run_end: tuple[str, float] | None = None
        self.hung = False
        self.problem: str | None = None
        self._trace = hashlib.sha256()
        self._kill_trigger: tuple[str, int] = ("", 0)
        self._running_program: asyncio.Task[None] | None = None
        self._servers: list[asyncio.Task[None]] = []
        self._service_url = ""
        host, port = network.service
        self.service = _Service(
            self._on_request,
            self.refused,
            dialect=mp4gen.Dialect.SUNO
            if self.rejects_duplicates
            else mp4gen.Dialect.for_url("http://any"),
            duplicate_policy="existing_id" if self.rejects_duplicates else "new_task",
            duration=lognormal(40, 120),
            latency=0.05 if isinstance(network, Loopback) else 0.0,
            host=host,
            port=port,
            seed=seed,
        )
        script_faults(self.service, self.random)

    # --- servers and network ----------------------------------------------------------------

    async def run(self) -> None:
        """Run all programs, from the first server to the end of the last program."""
        up = asyncio.Event()
        self._servers.append(self.network.start(self.network.service[0], _serve(self.service, up)))
        await up.wait()
        await self._new_gateway().wait()
        faults = asyncio.create_task(
            self.network.inject_faults(Random(f"{self.seed}/weather"), self._new_gateway)
        )
        try:
            async with asyncio.timeout(DAY):
                await self._run_programs()
        except TimeoutError:
            self.hung = True
        finally:
            # Servers end in any order, which is not part of the trace.
            self._trace.update(self.network.trace().encode())
            for task in (faults, *self._servers):
                task.cancel()
            await asyncio.wait([faults, *self._servers])

    def _new_gateway(self) -> asyncio.Event:
        up = asyncio.Event()
        host, port = self.network.gateway
        self._service_url = self._service_url or self.service.url
        proxy = FaultProxy(self._service_url, host=host, port=port)
        proxy.script(*connection_faults(self.random))

        async def serve() -> None:
            async with proxy:
                self.service.url = proxy.url
                up.set()
                await asyncio.Event().wait()

        self._servers.append(self.network.start(host, serve()))
        return up

    # --- the program and its deaths -----------------------------------------------------------

    async def _run_programs(self) -> None:
        random = self.random
        kills = random.randrange(4)
        self._program_folder(0).mkdir()
        for life in range(kills + 1):
            if life:
                await asyncio.sleep(random.uniform(0.1, 30))
            self.keys.append(f"{FAKE_KEY}-{life}")
            last = life == kills
            self._kill_trigger = ("", 0) if last else _draw_kill_trigger(random)
            task = self.network.start(f"client{life}", self._run(life, random.random()))
            self._running_program = task
            await asyncio.wait([task], timeout=None if last else random.uniform(0, 120))
            if task.done() and not task.cancelled():
                return await task
            self._kill()
            # It died when its disk was copied; what it does later does not count.
            await asyncio.wait([task], timeout=1)
        return None

    def _program_folder(self, life: int) -> Path:
        return self.folder / f"life{life}"

    def _kill(self) -> None:
        """Kill the program now: copy its disk and ignore later writes."""
        life = len(self.keys) - 1
        if self._running_program is None or self._program_folder(life + 1).exists():
            return
        shutil.copytree(self._program_folder(life), self._program_folder(life + 1))
        self.network.kill(f"client{life}", self._running_program)

    def _count_down(self, kind: str) -> None:
        """Kill the program when its trigger reaches zero."""
        name, remaining = self._kill_trigger
        if name == kind:
            self._kill_trigger = (name, remaining - 1)
            if remaining == 1:
                self._kill()

    async def _run(self, life: int, chance: float) -> None:
        """Run the program again every minute until nothing is missing, as its user would."""
        program = self._bot if self.program == "bot" else self._bulk
        # A dead file host refuses up to 100 downloads, of which one missing track takes four a run.
        for attempt in range(40):
            self.results = {}
            self.is_rerun = attempt > 0
            self.run_end = _draw_run_end(Random(f"{chance}/{attempt}/end"), attempt)
            async with self._client(life) as client:
                client.random.seed(f"{chance}/{attempt}")
                try:
                    await program(client, self._program_folder(life))
                except mp4gen.Mp4GenError as error:
                    self._add_to_trace("ended", type(error).__name__)
            if not self._missing():
                return
            await asyncio.sleep(60)

    def _client(self, life: int) -> mp4gen.Client:
        retry = mp4gen.Retry(maintenance_timeout=3600, maintenance_poll_interval=30)
        key = self.keys[life]

        def on_event(event: mp4gen.Event) -> None:
            if key == self.keys[-1]:
                self._add_to_trace("event", str(event).replace(str(self.folder), ""))
                self._count_down("event")

        return self.service.client(api_key=key, retry=retry, on_event=on_event)

    async def _bulk(self, client: mp4gen.Client, home: Path) -> None:
        ledger, videos = home / "run.sqlite", home / "videos"
        # Faults can deny a record three times in a row, which fails the track. A host that rejects
        # duplicates finds it again; on another one the user waits for the id.
        retry = self.is_rerun and self.rejects_duplicates
        async with (
            client.convert_many(
                TRACKS, ledger=ledger, download_to=videos, retry_failed=retry
            ) as run,
            _ending(run, self.run_end),
        ):
            async for conversion in run:
                self.results[conversion.request.audio_id] = conversion
        if self.is_rerun and not self.rejects_duplicates:
            await self._fetch_denied_videos(client, videos)

    async def _fetch_denied_videos(self, client: mp4gen.Client, videos: Path) -> None:
        """Wait again for the tasks whose record was denied, by their ids."""
        for track, result in self.results.items():
            if isinstance(result.error, mp4gen.NotFoundError) and result.task_id is not None:
                video = await client.wait_for_video(result.task_id)
                path = await client.download(video, videos / f"{track}.mp4")
                self.results[track] = attrs.evolve(result, video=video, path=path, error=None)

    async def _bot(self, client: mp4gen.Client, home: Path) -> None:
        await asyncio.gather(*(self._command(client, home, request) for request in TRACKS))

    async def _command(
        self, client: mp4gen.Client, home: Path, request: mp4gen.VideoRequest
    ) -> None:
        """Convert and download one track, from its stored id if there is one."""
        id_file = home / f"{request.audio_id}.id"
        while True:
            try:
                if id_file.exists():
                    video = await client.wait_for_video(id_file.read_text())
                else:
                    video = await client.convert(request, on_submitted=id_file.write_text)
                path = await client.download(video, home / f"{request.audio_id}.mp4")
            except mp4gen.Mp4GenError as error:
                self._add_to_trace("again", type(error).__name__)
                await asyncio.sleep(60)
            else:
                self.results[request.audio_id] = mp4gen.Conversion(
                    request, video.task_id, video, path
                )
                return

    # --- the trace and the outcome ----------------------------------------------------------

    def _on_request(self, recorded: RecordedRequest, response: web.Response) -> None:
        request = (recorded.endpoint, recorded.path, sorted(recorded.query.items()), recorded.body)
        self._add_to_trace(
            "call",
            recorded.received_at,
            recorded.rate_limited,
            request,
            response.status,
            response.body,
        )
        self._count_down("call")

    def _add_to_trace(self, *values: object) -> None:
        """Add values, with the loop time, to the trace."""
        self._trace.update(f"{self.network.loop.time()!r} {values!r}\n".encode())

    def _missing(self) -> list[str]:
        """Return the tracks without a complete file or, without a 409, an uncertain result."""
        return [request.audio_id for request in TRACKS if not self._is_delivered(request.audio_id)]

    def _is_delivered(self, track: str) -> bool:
        result = self.results.get(track)
        if result is None:
            return False
        if track in self.refused:
            return result.error is not None
        if result.path is None:
            return not self.rejects_duplicates and isinstance(
                result.error, mp4gen.SubmitUncertainError
            )
        task = self.service.tasks.get(result.task_id or "")
        is_own_task = task is not None and task.request.audio_id == track
        return is_own_task and result.path.is_file() and result.path.read_bytes() == task.content

    def _unreported(self) -> list[str]:
        """Return the tracks that were paid but reported neither as a task nor as uncertain."""
        found = {result.task_id for result in self.results.values() if result.path is not None}
        uncertain = {track for track, result in self.results.items() if result.path is None}
        tasks = self.service.tasks.values()
        return [
            task.request.audio_id
            for task in tasks
            if task.task_id not in found and task.request.audio_id not in uncertain
        ]

    def _windows_over_limit(self) -> int:
        count = 0
        for key in self.keys:
            requests = self.service.requests
            times = [
                call.received_at for call in requests if call.key == key and call.endpoint != "file"
            ]
            count += peak_in_window(times, 10.0) > 20
        return count

    def outcome(self) -> Outcome:
        """Return the outcome."""
        submits = Counter(task.request.audio_id for task in self.service.tasks.values())
        home = self._program_folder(len(self.keys) - 1)
        return Outcome(
            seed=self.seed,
            program=self.program,
            lives=len(self.keys),
            requests=len(self.service.requests),
            rate_limited=sum(call.rate_limited for call in self.service.requests),
            seconds=self.network.loop.time(),
            lost=tuple(sorted({*self._missing(), *self._unreported()})),
            duplicated=tuple(sorted(track for track, times in submits.items() if times > 1)),
            windows_over_limit=self._windows_over_limit(),
            hung=self.hung,
            leftover_files=tuple(sorted(path.name for path in home.rglob("*.part"))),
            problem=self.problem,
            trace=self._trace.hexdigest(),
        )


async def _serve(server: FakeService, up: asyncio.Event) -> None:
    async with server:
        up.set()
        await asyncio.Event().wait()


def _draw_run_end(random: Random, attempt: int) -> tuple[str, float] | None:
    """Return how and when a run ends early; the last attempts end by themselves."""
    kind = random.choice(["", "", "stop", "close", "cancel"])
    seconds = random.uniform(0, random.choice([0.5, 60]))
    return (kind, seconds) if kind and attempt < 3 else None


@asynccontextmanager
async def _ending(run: mp4gen.ConversionRun, end: tuple[str, float] | None) -> AsyncIterator[None]:
    """End `run` early while the block runs."""
    kind, seconds = end or ("", 0.0)
    closing = asyncio.create_task(_end(run, kind, seconds))
    try:
        async with asyncio.timeout(seconds if kind == "cancel" else None):
            yield
    except TimeoutError:
        pass
    finally:
        closing.cancel()
        await asyncio.wait([closing])


async def _end(run: mp4gen.ConversionRun, kind: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    if kind == "stop":
        run.stop()
    if kind == "close":
        await run.aclose()


def _draw_refused(random: Random) -> dict[str, str]:
    """Return the tracks that are refused for ever, each with its fault."""
    tracks = random.sample(TRACKS, random.choice([0, 0, 0, 1, 2, 3]))
    return {track.audio_id: random.choice(["server_error", "blocked"]) for track in tracks}


def _draw_kill_trigger(random: Random) -> tuple[str, int]:
    """Return what kills the program early: the n-th event, the n-th request, or nothing."""
    return random.choice(["event", "call", ""]), random.randrange(1, 60)
