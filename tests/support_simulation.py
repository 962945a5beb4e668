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
from mp4gen.testing import FakeService, FaultProxy, RecordedRequest, ScriptedResponse, lognormal
from mp4gen.testing.service import FAKE_KEY
from mp4gen.testing.state import peak_in_window

from .support_chaos import connection_faults, script_faults
from .support_networks import Loopback, Network, Simulated

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
        calls: how many arrived at the service.
        refused: how many of them were one too many in ten seconds; a program that was started
            again cannot know of the calls that the one before it has made.
        seconds: of virtual time.
        lost: tracks without their video, or without the line that says in what doubt they are.
        doubled: tracks that were paid for more than once.
        over: windows of ten seconds in which one program sent more calls than are allowed.
        hung: whether it had not ended after a day.
        left: temporary files that were left behind.
        problem: what else went wrong; None for nothing.
        trace: a hash of every call, answer and event with its time, and of the network's own.
    """

    seed: int
    program: str
    lives: int
    calls: int
    refused: int
    seconds: float
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    over: int
    hung: bool
    left: tuple[str, ...]
    problem: str | None
    trace: str

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return not (
            self.lost or self.doubled or self.over or self.hung or self.left or self.problem
        )


def play(seed: int, loop: Literal["simloop", "looptime"]) -> Outcome:
    """Run the whole story of one seed."""
    # Else the collector would decide when what dead programs have left is closed.
    gc.disable()
    try:
        return _play(seed, Simulated(seed) if loop == "simloop" else Loopback())
    finally:
        gc.enable()


def _play(seed: int, network: Network) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="mp4gen-", dir=_FAST) as folder:
        story = _Story(seed, network, Path(folder))
        try:
            network.loop.run_until_complete(story.tell())
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this seed
            story.problem = f"{type(error).__name__}: {error}"
        outcome = story.outcome()
        network.close()
    return outcome


class _Service(FakeService):
    """Tells of each call and its answer; born at the same time in every run."""

    def __init__(
        self, tell: Callable[[RecordedRequest, web.Response], None], **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._tell = tell

    async def _start(self) -> None:
        await super()._start()
        self._epoch = _EPOCH

    def _answer(self, call: RecordedRequest, reply: ScriptedResponse, now: float) -> web.Response:
        answer = super()._build_response(call, reply, now)
        self._tell(call, answer)
        return answer


class _Story:
    """One seed's run."""

    def __init__(self, seed: int, network: Network, folder: Path) -> None:
        self.seed, self.network, self.folder = seed, network, folder
        self.random = Random(seed)
        self.program = self.random.choice(["bulk", "bulk", "bulk without 409", "bot"])
        self.dedupes = self.program != "bulk without 409"
        self.told: dict[str, mp4gen.Conversion] = {}
        self.keys: list[str] = []
        self.again = False
        self.hung = False
        self.problem: str | None = None
        self._trace = hashlib.sha256()
        self._fuse: tuple[str, int] = ("", 0)
        self._life: asyncio.Task[None] | None = None
        self._servers: list[asyncio.Task[None]] = []
        self._direct = ""
        host, port = network.service
        self.service = _Service(
            self._heard,
            dialect=mp4gen.Dialect.SUNO if self.dedupes else mp4gen.Dialect.for_url("http://any"),
            duplicate_policy="existing_id" if self.dedupes else "new_task",
            duration=lognormal(40, 120),
            latency=0.05 if isinstance(network, Loopback) else 0.0,
            host=host,
            port=port,
            seed=seed,
        )
        script_faults(self.service, self.random)

    # --- the world --------------------------------------------------------------------------

    async def tell(self) -> None:
        """Everything, from the first server to the end of the last program."""
        up = asyncio.Event()
        self._servers.append(self.network.start(self.network.service[0], _serve(self.service, up)))
        await up.wait()
        await self._new_gateway().wait()
        weather = asyncio.create_task(
            self.network.inject_faults(Random(f"{self.seed}/weather"), self._new_gateway)
        )
        try:
            async with asyncio.timeout(DAY):
                await self._lives()
        except TimeoutError:
            self.hung = True
        finally:
            # Servers end in any order of their connections; that is no part of the story.
            self._trace.update(self.network.trace().encode())
            for task in (weather, *self._servers):
                task.cancel()
            await asyncio.wait([weather, *self._servers])

    def _new_gateway(self) -> asyncio.Event:
        up = asyncio.Event()
        host, port = self.network.gateway
        self._direct = self._direct or self.service.url
        proxy = FaultProxy(self._direct, host=host, port=port)
        proxy.script(*connection_faults(self.random))

        async def serve() -> None:
            async with proxy:
                self.service.url = proxy.url
                up.set()
                await asyncio.Event().wait()

        self._servers.append(self.network.start(host, serve()))
        return up

    # --- the program and its deaths -----------------------------------------------------------

    async def _lives(self) -> None:
        random = self.random
        deaths = random.randrange(4)
        self._home(0).mkdir()
        for life in range(deaths + 1):
            if life:
                await asyncio.sleep(random.uniform(0.1, 30))
            self.keys.append(f"{FAKE_KEY}-{life}")
            last = life == deaths
            self._fuse = ("", 0) if last else _fuse(random)
            task = self.network.start(f"client{life}", self._run(life, random.random()))
            self._life = task
            await asyncio.wait([task], timeout=None if last else random.uniform(0, 120))
            if task.done() and not task.cancelled():
                return await task
            self._kill()
            # It has died when its disk was copied; what it does in its last moments is nobody's.
            await asyncio.wait([task], timeout=1)
        return None

    def _home(self, life: int) -> Path:
        return self.folder / f"life{life}"

    def _kill(self) -> None:
        """Now: what is on the disk stays, and nothing more gets there."""
        life = len(self.keys) - 1
        if self._life is None or self._home(life + 1).exists():
            return
        shutil.copytree(self._home(life), self._home(life + 1))
        self.network.kill(f"client{life}", self._life)

    def _tick(self, kind: str) -> None:
        """Kill the program where its fuse has burnt down."""
        name, left = self._fuse
        if name == kind:
            self._fuse = (name, left - 1)
            if left == 1:
                self._kill()

    async def _run(self, life: int, chance: float) -> None:
        """The program: run again every minute until all is there, as its user would."""
        work = self._bot if self.program == "bot" else self._bulk
        for attempt in range(20):
            self.told = {}
            self.again = attempt > 0
            async with self._client(life) as client:
                client.random.seed(f"{chance}/{attempt}")
                try:
                    await work(client, self._home(life))
                except mp4gen.Mp4GenError as error:
                    self._note("ended", type(error).__name__)
            if not self._missing():
                return
            await asyncio.sleep(60)

    def _client(self, life: int) -> mp4gen.Client:
        retry = mp4gen.Retry(maintenance_timeout=3600, maintenance_poll_interval=30)
        key = self.keys[life]

        def seen(event: mp4gen.Event) -> None:
            if key == self.keys[-1]:
                self._note("event", str(event).replace(str(self.folder), ""))
                self._tick("event")

        return self.service.client(api_key=key, retry=retry, on_event=seen)

    async def _bulk(self, client: mp4gen.Client, home: Path) -> None:
        ledger, videos = home / "run.sqlite", home / "videos"
        # The weather may deny a record three times running, and that is the end of a track; at a
        # host that knows what it has, asking for it again finds it, and without one would double.
        retry = self.again and self.dedupes
        async with client.convert_many(
            TRACKS, ledger=ledger, download_to=videos, retry_failed=retry
        ) as run:
            async for conversion in run:
                self.told[conversion.request.audio_id] = conversion

    async def _bot(self, client: mp4gen.Client, home: Path) -> None:
        await asyncio.gather(*(self._command(client, home, request) for request in TRACKS))

    async def _command(
        self, client: mp4gen.Client, home: Path, request: mp4gen.VideoRequest
    ) -> None:
        """One track, from whatever is known of it to its file."""
        note = home / f"{request.audio_id}.id"
        while True:
            try:
                if note.exists():
                    video = await client.wait_for_video(note.read_text())
                else:
                    video = await client.convert(request, on_submitted=note.write_text)
                path = await client.download(video, home / f"{request.audio_id}.mp4")
            except mp4gen.Mp4GenError as error:
                self._note("again", type(error).__name__)
                await asyncio.sleep(60)
            else:
                self.told[request.audio_id] = mp4gen.Conversion(request, video.task_id, video, path)
                return

    # --- the record and the verdict ---------------------------------------------------------

    def _heard(self, call: RecordedRequest, answer: web.Response) -> None:
        asked = (call.endpoint, call.path, sorted(call.query.items()), call.body)
        self._note("call", call.received_at, call.rate_limited, asked, answer.status, answer.body)
        self._tick("call")

    def _note(self, *what: object) -> None:
        """Add to the trace."""
        self._trace.update(f"{self.network.loop.time()!r} {what!r}\n".encode())

    def _missing(self) -> list[str]:
        """Tracks that have neither their own whole file nor, without a 409, a line of doubt."""
        return [request.audio_id for request in TRACKS if not self._there(request.audio_id)]

    def _there(self, track: str) -> bool:
        told = self.told.get(track)
        if told is None:
            return False
        if told.path is None:
            return not self.dedupes and isinstance(told.error, mp4gen.SubmitUncertainError)
        task = self.service.tasks.get(told.task_id or "")
        mine = task is not None and task.request.audio_id == track
        return mine and told.path.is_file() and told.path.read_bytes() == task.content

    def _untold(self) -> list[str]:
        """Tracks that were paid for, and of which the program has told neither task nor doubt."""
        found = {told.task_id for told in self.told.values() if told.path is not None}
        unsure = {track for track, told in self.told.items() if told.path is None}
        tasks = self.service.tasks.values()
        return [
            task.request.audio_id
            for task in tasks
            if task.task_id not in found and task.request.audio_id not in unsure
        ]

    def _over(self) -> int:
        most = 0
        for key in self.keys:
            calls = self.service.requests
            mine = [
                call.received_at for call in calls if call.key == key and call.endpoint != "file"
            ]
            most += peak_in_window(mine, 10.0) > 20
        return most

    def outcome(self) -> Outcome:
        """The verdict."""
        made = Counter(task.request.audio_id for task in self.service.tasks.values())
        home = self._home(len(self.keys) - 1)
        return Outcome(
            seed=self.seed,
            program=self.program,
            lives=len(self.keys),
            calls=len(self.service.requests),
            refused=sum(call.rate_limited for call in self.service.requests),
            seconds=self.network.loop.time(),
            lost=tuple(sorted({*self._missing(), *self._untold()})),
            doubled=tuple(sorted(track for track, times in made.items() if times > 1)),
            over=self._over(),
            hung=self.hung,
            left=tuple(sorted(path.name for path in home.rglob("*.part"))),
            problem=self.problem,
            trace=self._trace.hexdigest(),
        )


async def _serve(server: FakeService, up: asyncio.Event) -> None:
    async with server:
        up.set()
        await asyncio.Event().wait()


def _fuse(random: Random) -> tuple[str, int]:
    """What kills the program before its time is over: the n-th event, the n-th call, or nothing."""
    return random.choice(["event", "call", ""]), random.randrange(1, 60)
