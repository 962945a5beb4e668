"""One seed of the simulation: a program, killed and started again, against a failing service.

Fifteen tracks; three calls in ten and one connection in ten meet a fault. The program is either a
bulk run with a ledger and downloads, at a host with or without a 409, or a bot that stores ids. A
killed program's disk is left exactly as it was in that moment; the next one starts from a copy.
"""

import asyncio
import gc
import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

import attrs
from aiohttp import web

import mp4gen
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.testing import FakeService, RecordedRequest, ScriptedResponse, lognormal
from mp4gen.testing.service import FAKE_KEY

from .support_chaos import connection_faults, script_faults
from .support_networks import Loopback, Network, Simulated
from .support_proxy import FaultProxy

TRACKS = [mp4gen.VideoRequest("music", f"track{number:02}") for number in range(15)]
DAY = 24 * 3600.0

# What a commit costs is not the question here, and memory is fast.
_FAST = next((folder for folder in ("/dev/shm",) if Path(folder).is_dir()), None)  # noqa: S108
# So late that no link has expired, whenever this runs.
_EPOCH = datetime(2100, 1, 1, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one seed.

    Attributes:
        seed: of all that chance decided.
        program: what was run.
        lives: how often it was started.
        requests: how many arrived at the service.
        rate_limited: how many of them were one too many in ten seconds; a program that was started
            again cannot know of the calls that the one before it has made.
        seconds: of virtual time.
        lost: tracks without their video, or without the line that says in what doubt they are.
        duplicated: tracks that were paid for more than once.
        windows_over_limit: windows of ten seconds in which one program exceeded the rate limit.
        hung: whether it had not ended after a day.
        leftover_files: temporary files that were left behind.
        problem: what else went wrong; None for nothing.
        trace: a hash of every call, answer and event with its time, and of the network's own.
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
        """Whether nothing was wrong."""
        return not (
            self.lost
            or self.duplicated
            or self.windows_over_limit
            or self.hung
            or self.leftover_files
            or self.problem
        )


def run_seed(seed: int, loop: Literal["simloop", "looptime"]) -> Outcome:
    """Run the whole story of one seed."""
    # Else the collector would decide when what dead programs have left is closed.
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
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this seed
            scenario.problem = f"{type(error).__name__}: {error}"
        outcome = scenario.outcome()
        network.close()
    return outcome


class _Service(FakeService):
    """Tells of each call and its answer; born at the same time in every run."""

    def __init__(
        self, on_response: Callable[[RecordedRequest, web.Response], None], **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._on_response = on_response

    async def _start(self) -> None:
        await super()._start()
        self._epoch = _EPOCH

    def _build_response(
        self, recorded: RecordedRequest, scripted: ScriptedResponse, now: float
    ) -> web.Response:
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
        self.results: dict[str, mp4gen.Conversion] = {}
        self.keys: list[str] = []
        self.is_rerun = False
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

    # --- the world --------------------------------------------------------------------------

    async def run(self) -> None:
        """Everything, from the first server to the end of the last program."""
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
            # Servers end in any order of their connections; that is no part of the story.
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
            # It has died when its disk was copied; what it does in its last moments is nobody's.
            await asyncio.wait([task], timeout=1)
        return None

    def _program_folder(self, life: int) -> Path:
        return self.folder / f"life{life}"

    def _kill(self) -> None:
        """Now: what is on the disk stays, and nothing more gets there."""
        life = len(self.keys) - 1
        if self._running_program is None or self._program_folder(life + 1).exists():
            return
        shutil.copytree(self._program_folder(life), self._program_folder(life + 1))
        self.network.kill(f"client{life}", self._running_program)

    def _count_down(self, kind: str) -> None:
        """Kill the program where its fuse has burnt down."""
        name, remaining = self._kill_trigger
        if name == kind:
            self._kill_trigger = (name, remaining - 1)
            if remaining == 1:
                self._kill()

    async def _run(self, life: int, chance: float) -> None:
        """The program: run again every minute until all is there, as its user would."""
        program = self._bot if self.program == "bot" else self._bulk
        for attempt in range(20):
            self.results = {}
            self.is_rerun = attempt > 0
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
        # The weather may deny a record three times running, and that is the end of a track; at a
        # host that knows what it has, asking for it again finds it, and without one would double.
        retry = self.is_rerun and self.rejects_duplicates
        async with client.convert_many(
            TRACKS, ledger=ledger, download_to=videos, retry_failed=retry
        ) as run:
            async for conversion in run:
                self.results[conversion.request.audio_id] = conversion

    async def _bot(self, client: mp4gen.Client, home: Path) -> None:
        await asyncio.gather(*(self._command(client, home, request) for request in TRACKS))

    async def _command(
        self, client: mp4gen.Client, home: Path, request: mp4gen.VideoRequest
    ) -> None:
        """One track, from whatever is known of it to its file."""
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

    # --- the record and the verdict ---------------------------------------------------------

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
        """Add to the trace."""
        self._trace.update(f"{self.network.loop.time()!r} {values!r}\n".encode())

    def _missing(self) -> list[str]:
        """Tracks that have neither their own whole file nor, without a 409, a line of doubt."""
        return [request.audio_id for request in TRACKS if not self._is_delivered(request.audio_id)]

    def _is_delivered(self, track: str) -> bool:
        result = self.results.get(track)
        if result is None:
            return False
        if result.path is None:
            return not self.rejects_duplicates and isinstance(
                result.error, mp4gen.SubmitUncertainError
            )
        task = self.service.tasks.get(result.task_id or "")
        is_own_task = task is not None and task.request.audio_id == track
        return is_own_task and result.path.is_file() and result.path.read_bytes() == task.content

    def _unreported(self) -> list[str]:
        """Tracks that were paid for, and of which the program has told neither task nor doubt."""
        found = {told.task_id for told in self.results.values() if told.path is not None}
        uncertain = {track for track, told in self.results.items() if told.path is None}
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
        """The verdict."""
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


def _draw_kill_trigger(random: Random) -> tuple[str, int]:
    """What kills the program before its time is over: the n-th event, the n-th call, or nothing."""
    return random.choice(["event", "call", ""]), random.randrange(1, 60)
