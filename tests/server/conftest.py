"""Fixtures: a small music folder, servers on free ports, an HTTP client and a browser."""

import array
import asyncio
import contextlib
import functools
import itertools
import json
import math
import os
import shutil
import sqlite3
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from mp4gen.render import RenderStyle
from mp4gen.server import Server, ServerConfig
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.preflight import CheckResult, run_checks
from mp4gen.server.queue.recovery import encode_record
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState
from mp4gen.server.rendering.pool import ProcessExecutor
from tests.support_environment import remove_proxies

from .support_s3 import CREDENTIALS, S3Server, run_s3_server

CALLBACK = "https://mp4gen.invalid/none"
FAST_STYLE = RenderStyle(width=256, height=144, fps=24)
RATE = 16000
NOW = 1_800_000_000.0
FINISHED_TASK = Task(
    task_id="1",
    account="anna",
    music_task_id="album",
    audio_id="one",
    author="An Author",
    callback_url="https://mp4gen.invalid/none",
    callback=CallbackState.SENT,
    filename="A" * 24 + ".mp4",
    created_at=NOW - 60,
    completed_at=NOW,
    state=TaskState.DONE,
    duration=1.5,
    size=5,
    fingerprint="f",
    warnings=("The cover is small.",),
)


@functools.cache
def second_of_sine(pitch: float) -> bytes:
    """Return the samples of one second."""
    step = 2 * math.pi * pitch / RATE
    return array.array("h", (int(9000 * math.sin(step * i)) for i in range(RATE))).tobytes()


def write_song(path: Path, seconds: float = 1.0, pitch: float = 440.0) -> Path:
    """Write a WAV file with a sine tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One second repeats without a step: pitches are whole numbers.
    frames = (second_of_sine(pitch) * math.ceil(seconds))[: 2 * int(RATE * seconds)]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(frames)
    return path


def full_disk(path: Path) -> dict[str, int]:
    """Return the setting with which the disk of `path` has too little free space."""
    return {"min_free_bytes": shutil.disk_usage(path).total - 1}


class Caller:
    """A client of a server in plain HTTP and JSON."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str | None = None) -> None:
        self.session, self.url = session, url
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    async def generate(self, task_id: str, audio_id: str, **extra: Any) -> dict[str, Any]:
        """Return the response of "Create Music Video"."""
        body = {"taskId": task_id, "audioId": audio_id, "callBackUrl": CALLBACK, **extra}
        return await self.post(body)

    async def post(self, body: Any) -> dict[str, Any]:
        """Return the response to any JSON sent to "Create Music Video"."""
        path = f"{self.url}/api/v1/mp4/generate"
        async with self.session.post(path, json=body, headers=self.headers) as response:
            assert response.status in {200, 413}
            return await response.json()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Return the body of a GET."""
        _, _, body = await self.get_response(path, **query)
        return body

    async def get_response(self, path: str, **query: str) -> tuple[int, Any, dict[str, Any]]:
        """Return the status, the headers and the body of a GET."""
        url = self.url + path
        async with self.session.get(url, params=query, headers=self.headers) as response:
            return response.status, response.headers, await response.json()

    async def details(self, task_id: str) -> dict[str, Any] | None:
        """Return the `data` of "Get Music Video Details"."""
        return (await self.get("/api/v1/mp4/record-info", taskId=task_id))["data"]

    async def wait_until_finished(self, task_id: str) -> dict[str, Any]:
        """Poll until the task is finished and return its `data`."""
        while (data := await self.details(task_id)) is not None:
            if data["successFlag"] != "PENDING":
                return data
            await asyncio.sleep(0.05)
        raise AssertionError(f"{task_id} does not exist any more")

    async def create_and_wait(self, task_id: str, audio_id: str, **extra: Any) -> dict[str, Any]:
        """Submit a track and wait until its task is finished."""
        created = await self.generate(task_id, audio_id, **extra)
        return await self.wait_until_finished(created["data"]["taskId"])


async def wait_for_workers(server: Server) -> list[int]:
    """Return the process ids of the workers, as soon as there are any."""
    while not (pids := server.worker_pids):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.01)
    return pids


def read_tasks(data: Path, columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of all tasks, oldest first, read from the database itself."""
    with contextlib.closing(sqlite3.connect(data / "mp4gen.sqlite")) as database:
        return database.execute(f"SELECT {columns} FROM tasks ORDER BY seq").fetchall()  # noqa: S608


def decode_tracks(changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tracks in the columns that the page gets, as its script reads them."""
    tasks = [task for task, count in changes["folders"] for _ in range(count)]
    problems, lyrics = dict(changes["problems"]), dict(changes["lyrics"])
    periods = list(itertools.accumulate(changes["modified"]))
    tracks: list[dict[str, Any]] = []
    columns = zip(
        tasks,
        *(changes[name] for name in ("audios", "titles", "artists", "seconds")),
        strict=True,
    )
    for index, (task, audio, title, artist, seconds) in enumerate(columns):
        tracks.append(
            {
                "task": task,
                "audio": audio,
                "title": title if isinstance(title, str) else audio[title:],
                "artist": tracks[-1]["artist"] if artist == 0 else artist,
                "duration": seconds if seconds > 0 else None,
                "estimated": abs(seconds),
                "modified": periods[index],
                "lyrics": lyrics.get(index),
                "problem": problems.get(index),
            }
        )
    return tracks


class Visitor:
    """A browser on the page: keeps its cookie and its CSRF token."""

    def __init__(self, url: str) -> None:
        self.url, self.token = url, ""
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any, bytes]:
        """Return the status, the headers and the body of the response."""
        sent = {"X-Mp4gen-Token": self.token, **(headers or {})}
        url = self.url + path
        async with self.session.request(method, url, headers=sent, **options) as response:
            return response.status, response.headers, await response.read()

    async def create(self, **fields: Any) -> str:
        """Queue a video and return its id."""
        (task_id,) = (await self.post("/page/videos", **fields))["ids"]
        return task_id

    async def post(self, path: str, **fields: Any) -> dict[str, Any]:
        """Return the JSON of the response to a change."""
        status, _, body = await self.ask("POST", path, json=fields)
        assert status == 200, body
        return json.loads(body)

    async def open(self) -> dict[str, Any]:
        """Load the page and return its state."""
        await self.ask("GET", "/")
        return await self.state()

    async def state(self) -> dict[str, Any]:
        """Return all that the page shows, and keep its CSRF token."""
        state = await self.read("/page/state")
        self.token = state["token"]
        return state | await self.videos() | {"library": await self.library()}

    async def videos(self, **query: str) -> dict[str, Any]:
        """Return one page of the videos."""
        return await self.read("/page/videos", **query)

    async def library(self) -> list[dict[str, Any]]:
        """Return the tracks, with the names of their fields."""
        return decode_tracks(await self.read("/page/library"))

    async def read(self, path: str, **query: str) -> dict[str, Any]:
        """Return the JSON of a page's request."""
        status, _, body = await self.ask("GET", path, params=query)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A music folder with one album, one album in an artist's folder, and one loose song."""
    root = tmp_path / "music"
    write_song(root / "album" / "one.wav")
    write_song(root / "album" / "two.wav", pitch=660)
    write_song(root / "Artist" / "Nachtmusik" / "夜の窓.wav")
    write_song(root / "loose.wav")
    return root


async def run_check(config: ServerConfig, name: str) -> CheckResult:
    """Return the result of one check; the checks after it, such as the test video, are not run."""
    async with contextlib.aclosing(run_checks(config)) as results:
        async for result in results:
            if result.name == name:
                return result
    raise AssertionError(f"no check {name}")


def publish(data: DataDirectory, task: Task) -> None:
    """Put the video of a task into the folder, as a render does."""
    rendered = data.root / "rendered"
    rendered.write_bytes(b"video")
    data.publish(rendered, task.filename, encode_record(task))


class IdleExecutor(Executor):
    """Renders nothing: each job waits until the server stops."""

    def __init__(self) -> None:
        self._jobs: list[Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        self._jobs.append(Future())
        return self._jobs[-1]

    def shutdown(self, *_: Any, **__: Any) -> None:
        for job in self._jobs:
            if not job.done():
                job.set_exception(BrokenExecutor())


async def store_videos(data: Path, account: str, **counts: int) -> None:
    """Store videos of an account, this many in each state, the waiting ones last."""
    directory = DataDirectory(data)
    directory.open()
    store = Store(directory.database)
    for state in sorted(counts):
        for number in range(counts[state]):
            name = f"{account}-{state}-{number}"
            task = attrs.evolve(
                FINISHED_TASK,
                task_id=name,
                account=account,
                render_variant=f"page-{name}",
                filename=f"{name:x<24}.mp4",
                state=TaskState(state),
                completed_at=None if state == "queued" else time.time(),
                error_message="No audio." if state == "failed" else None,
            )
            await store.add(task)
            if state == "done":
                publish(directory, task)
    store.close()
    directory.close()


@pytest.fixture
def data(tmp_path: Path) -> Any:
    directory = DataDirectory(tmp_path / "data")
    directory.open()
    yield directory
    directory.close()


@pytest.fixture
def store(data: DataDirectory) -> Any:
    opened = Store(data.database)
    yield opened
    opened.close()


class SharedExecutor(Executor):
    """Runs the jobs of several servers, and outlives them."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        return self._executor.submit(*args, **kwargs)

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Leave the executor open for the next server."""


@pytest.fixture(scope="module")
def shared_worker() -> Iterator[Executor]:
    """Yield a worker process for all servers of a module: loading its libraries takes a second."""
    with ProcessExecutor() as executor:
        yield SharedExecutor(executor)


Serve = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def serve(music: Path, tmp_path: Path, shared_worker: Executor) -> AsyncIterator[Serve]:
    """Return a function that starts a server; `caller.server` is the server itself.

    With `executor=None` the server starts a worker process of its own, as in production.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(**settings: Any) -> Caller:
            values = {"music": music, "data": tmp_path / "data", "port": 0, "style": FAST_STYLE}
            values |= {"workers": 1, "shutdown_timeout": 0.0, "min_free_bytes": 0}
            values |= {"executor": lambda: shared_worker, **settings}
            server = await stack.enter_async_context(Server(ServerConfig(**values)))
            caller = Caller(session, server.url, settings.get("key"))
            caller.server = server
            return caller

        yield start


@pytest.fixture
async def visit() -> AsyncIterator[Callable[[Caller], Visitor]]:
    """Return a function that opens a browser on a caller's server."""
    visitors: list[Visitor] = []

    def open_browser(caller: Caller) -> Visitor:
        visitors.append(Visitor(caller.url))
        return visitors[-1]

    yield open_browser
    for visitor in visitors:
        await visitor.session.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    pytest.importorskip("moto", reason="the dev extra installs it")
    with run_s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, which the variables of AWS name; those of the machine do not count."""
    pytest.importorskip("obstore", reason="the s3 extra installs it")
    from mp4gen.server.videos import bucket

    monkeypatch.setattr(bucket, "_MAX_RETRIES", 0)
    remove_proxies(monkeypatch)
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, text in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_server.url}.items():
        monkeypatch.setenv(name, text)
    return s3_server


@pytest.fixture
def bucket_name(s3: S3Server) -> str:
    """The name of a new bucket."""
    return s3.make_bucket()
