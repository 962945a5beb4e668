"""Accepted tasks survive troubles that pass; only their songs can make them fail.

The scheduler runs in virtual time with its real store, folders and library; only the worker is
scripted.
"""

import asyncio
import errno
import os
import shutil
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from types import SimpleNamespace as Usage
from typing import Any

import attrs
import pytest

from mp4gen.errors import RenderCancelledError, RenderError, RenderIOError
from mp4gen.render.options import DEFAULT_STYLE
from mp4gen.server import ServerConfig, data_dir
from mp4gen.server.counters import Counters
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.library import Library
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.queue.fingerprint import Fingerprints
from mp4gen.server.queue.recovery import read_record
from mp4gen.server.queue.retention import delete_task
from mp4gen.server.queue.retries import MAX_ATTEMPTS, QueueHold, retry_delay
from mp4gen.server.queue.scheduler import RenderScheduler
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import Task, TaskState
from mp4gen.server.rendering import slots
from mp4gen.server.rendering.video_options import VideoOptions
from mp4gen.server.rendering.worker import RenderedVideo, RenderJob
from mp4gen.server.rendering.worker_channel import WorkerChannel
from mp4gen.server.videos.folder import FolderVideos

pytestmark = pytest.mark.looptime

TASKS = 20
FULL = RenderIOError("Cannot write video.mp4: No space left on device.")
IMPORT = ImportError("libavcodec.so: cannot open shared object file")
NO_ROOM = ImportError("libmvec.so.1: failed to map segment from shared object")
Outcome = Exception | None


class Inline(Executor):
    """Runs each job immediately, so that virtual time never passes meanwhile."""

    def submit(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(func(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the caller gets it
            future.set_exception(error)
        return future


class Worker(Inline):
    """Renders with the outcome that `outcome` returns for a job, and counts the videos."""

    def __init__(self, outcome: Callable[[RenderJob], Outcome]) -> None:
        self.outcome = outcome
        self.videos: Counter[str] = Counter()
        self.tries = 0

    def submit(self, _: Any, job: RenderJob) -> Future[Any]:  # type: ignore[override]
        return super().submit(self._render, job)

    def _render(self, job: RenderJob) -> RenderedVideo:
        self.tries += 1
        WorkerChannel(job.folder).report_begin()
        if error := self.outcome(job):
            # Each raise of the same error would make its traceback longer.
            raise error.with_traceback(None)
        job.video.write_bytes(b"video")
        self.videos[job.audio.name] += 1
        return RenderedVideo(1.0)


class Queue:
    """A scheduler with its folders, and `TASKS` songs to render."""

    def __init__(self, root: Path) -> None:
        self.music = root / "music"
        for number in range(TASKS):
            path = self.music / "album" / f"{number:02}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 100)
        self.data = DataDirectory(root / "data")
        self.data.open()
        self.store = Store(self.data.database)
        self.worker = Worker(lambda _: None)
        self.finished: list[Task] = []
        self.scheduler: RenderScheduler | None = None

    async def start(
        self, *, library: LibraryReader | None = None, **settings: Any
    ) -> RenderScheduler:
        """Start a scheduler."""
        values = {"music": self.music, "data": self.data.root, "workers": 2, "min_free_bytes": 0}
        values["executor"] = lambda: self.worker
        config = ServerConfig(**values | settings)
        self.scheduler = RenderScheduler(
            config,
            self.store,
            library or LibraryReader(Library(self.music), Inline()),
            self.data,
            FolderVideos(self.data),
            fingerprints=Fingerprints(DEFAULT_STYLE),
            on_finished=self.finished.append,
            on_change=lambda: None,
            counters=Counters(),
        )
        self.scheduler.start()
        return self.scheduler

    async def submit(self, number: int = 0, **values: Any) -> str:
        """Submit one song and return its task id."""
        task = await self.add(number, **values)
        self.scheduler.submit(task)
        return task.task_id

    async def add(self, number: int, **values: Any) -> Task:
        """Store the task of one song, as an earlier server did."""
        task = Task(
            task_id=f"{number:02}",
            account="",
            music_task_id="album",
            audio_id=f"{number:02}",
            filename=f"{number:024}.mp4",
            fingerprint=f"{number}",
            created_at=float(number),
            **values,
        )
        await self.store.add(task)
        return task

    async def submit_all(self) -> None:
        """Submit every song."""
        for number in range(TASKS):
            await self.submit(number)

    async def wait_for(self, count: int) -> None:
        """Wait until this many tasks have finished."""
        while len(self.finished) < count:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(1.0)

    def states(self) -> Counter[str]:
        return Counter(task.state for task in self.store.newest("", 100))


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    queue = Queue(tmp_path)
    yield queue
    if queue.scheduler is not None:
        await queue.scheduler.stop(0.0)
    queue.store.close()
    queue.data.close()


def now() -> float:
    return asyncio.get_running_loop().time()


def assert_all_done_once(queue: Queue) -> None:
    assert queue.states() == {TaskState.DONE: TASKS}
    assert set(queue.worker.videos.values()) == {1}
    assert len(queue.data.video_names()) == TASKS
    assert list(queue.data.work.iterdir()) == []


# --- the troubles of the place ---------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        FULL,
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EROFS, "Read-only file system"),
        RenderIOError("Cannot read the audio file: 01.wav: Input/output error."),
        RenderIOError("The audio file changed while it was rendered: 01.wav. Render it again."),
        IMPORT,
    ],
    ids=repr,
)
async def test_trouble_that_passes_fails_no_task(queue: Queue, trouble: Exception) -> None:
    """Failure mode 60: every error of the disk, for 8 s, leaves all tasks queued until it ends."""
    began = now()
    queue.worker.outcome = lambda _: trouble if now() < began + 8 else None
    await queue.start()

    await queue.submit_all()
    await queue.wait_for(TASKS)

    assert_all_done_once(queue)
    assert queue.worker.tries < TASKS + 12
    assert now() < began + 60


async def test_missing_music_folder_fails_no_task(queue: Queue, tmp_path: Path) -> None:
    """Failure mode 60: the tasks wait for 6 s until the folder is there again."""
    scheduler = await queue.start()
    queue.music.rename(tmp_path / "away")

    await queue.submit_all()
    await asyncio.sleep(6.0)
    trouble = scheduler.trouble
    (tmp_path / "away").rename(queue.music)
    await queue.wait_for(TASKS)

    assert "The music folder cannot be read: No such file or directory." in trouble
    assert_all_done_once(queue)


async def test_task_whose_picture_was_deleted_fails(queue: Queue) -> None:
    """It must not hold up the queue: no later try finds the picture."""
    await queue.start()
    (queue.data.pictures / "1.jpg").touch()

    await queue.submit(0, options=VideoOptions(cover="1.jpg"))
    await queue.submit(1, options=VideoOptions(background="picture:2.jpg"))
    await queue.wait_for(2)

    done, failed = (queue.store.get(f"{number:02}") for number in range(2))
    assert (done.state, failed.state) == (TaskState.DONE, TaskState.FAILED)
    assert failed.error_message == "A picture of this video was deleted."


async def test_folder_that_loses_its_rights_fails_no_task(queue: Queue, tmp_path: Path) -> None:
    """Failure mode 60: a file that cannot be read now is no bad song if its folder cannot, too."""
    await queue.start()

    def lose_rights(job: RenderJob) -> Exception | None:
        if queue.music.exists():
            queue.music.rename(tmp_path / "away")
        return RenderError(f"Cannot read the audio file: {job.audio.name}: Permission denied.")

    queue.worker.outcome = lose_rights
    await queue.submit_all()
    await asyncio.sleep(6.0)
    queue.worker.outcome = lambda _: None
    (tmp_path / "away").rename(queue.music)
    await queue.wait_for(TASKS)

    assert_all_done_once(queue)


async def test_empty_mount_point_fails_no_task(queue: Queue, tmp_path: Path) -> None:
    """Failure mode 60: an unmounted disk leaves an empty folder, which is no deleted song."""
    await queue.start()
    queue.music.rename(tmp_path / "disk")
    queue.music.mkdir()

    await queue.submit_all()
    await asyncio.sleep(6.0)
    queue.music.rmdir()
    (tmp_path / "disk").rename(queue.music)
    await queue.wait_for(TASKS)

    assert_all_done_once(queue)


async def test_idle_worker_that_died_is_replaced(queue: Queue) -> None:
    """Failure mode 60: the task that meets a dead worker gets the next one, without a pause."""
    await queue.start()
    alive = queue.worker

    class Dead(Executor):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            raise BrokenExecutor("It died.")

    queue.worker = Dead()
    await queue.submit(0)
    queue.worker = alive
    await queue.submit(1)
    await queue.wait_for(1)

    assert queue.states()[TaskState.FAILED] == 0


async def test_machine_without_memory_fails_no_task(queue: Queue) -> None:
    """Failure mode 60: if no process can be started, the tasks wait until one can."""
    began, alive = now(), queue.worker

    class NoProcess(Executor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            if now() < began + 8:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            return alive.submit(*args, **kwargs)

    queue.worker = NoProcess()
    await queue.start()
    await queue.submit_all()
    await queue.wait_for(TASKS)
    queue.worker = alive

    assert_all_done_once(queue)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on another file system than the one of `tmp_path`."""
    folder = Path("/dev/shm") / f"mp4gen-test-{os.getpid()}"  # noqa: S108 - needs that file system
    folder.mkdir()
    if folder.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    yield folder
    shutil.rmtree(folder)


async def test_videos_on_another_file_system(queue: Queue, other_disk: Path) -> None:
    """Failure mode 60: each video is rendered once and copied, not rendered for ever."""
    queue.data.videos.rmdir()
    queue.data.videos.symlink_to(other_disk)
    await queue.start()

    await queue.submit_all()
    await queue.wait_for(TASKS)

    assert_all_done_once(queue)
    assert queue.worker.tries == TASKS


async def test_queue_waits_while_the_disk_is_nearly_full(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Failure mode 60: accepted tasks respect the least free space, too; the log says it once."""
    caplog.set_level("WARNING", "mp4gen.server")
    free = 10 << 20
    monkeypatch.setattr(data_dir.shutil, "disk_usage", lambda _: Usage(free=free))
    scheduler = await queue.start(min_free_bytes=20 << 20)

    await queue.submit_all()
    await asyncio.sleep(60.0)
    tries, trouble = queue.worker.tries, scheduler.trouble
    free = 30 << 20
    await queue.wait_for(TASKS)

    assert tries == 0
    assert trouble == "The disk of the data folder has 10 MB free and needs 20 MB. Free some space."
    assert caplog.messages == [f"the queue waits: {trouble}", "the queue goes on"]
    assert scheduler.trouble is None
    assert_all_done_once(queue)


async def test_missing_data_folder_fails_no_task(queue: Queue, tmp_path: Path) -> None:
    """Failure mode 60: a data disk that was unplugged may come back."""
    scheduler = await queue.start()
    queue.data.root.rename(tmp_path / "unplugged")

    await queue.submit_all()
    await asyncio.sleep(6.0)
    trouble, free = scheduler.trouble, queue.data.free_bytes()
    (tmp_path / "unplugged").rename(queue.data.root)
    await queue.wait_for(TASKS)

    assert trouble == "The data folder cannot be used: No such file or directory."
    assert free == 0
    assert_all_done_once(queue)


async def test_full_database_fails_no_task(queue: Queue) -> None:
    """Failure mode 60: a task whose start or end cannot be recorded is tried again."""
    await queue.start()
    await queue.submit_all()
    connection = queue.store._write_connection

    def set_query_only(value: int) -> None:
        connection.execute(f"PRAGMA query_only = {value}")

    set_query_only(1)
    await asyncio.sleep(10.0)
    set_query_only(0)
    await queue.wait_for(TASKS)

    assert_all_done_once(queue)


# --- the hold --------------------------------------------------------------------------------


async def test_three_troubles_in_a_row_hold_the_queue(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """Failure mode 60: while the trouble lasts, one task at a time finds out whether it ended."""
    queue.worker.outcome = lambda _: FULL
    scheduler = await queue.start()

    await queue.submit_all()
    await asyncio.sleep(600.0)
    tries = queue.worker.tries
    assert scheduler.trouble == str(FULL)
    queue.worker.outcome = lambda _: None
    await queue.wait_for(TASKS)

    assert tries <= 30
    assert scheduler.trouble is None
    held = [record for record in caplog.records if "the queue waits" in record.message]
    assert [str(FULL) in record.message for record in held] == [True]
    assert_all_done_once(queue)


async def test_file_that_changes_again_and_again_delays_no_other_task(queue: Queue) -> None:
    """It is tried again at growing intervals, and the others are rendered."""
    changed = RenderIOError("The audio file changed while it was rendered: 00.wav.")
    queue.worker.outcome = lambda job: changed if job.audio.stem == "00" else None
    scheduler = await queue.start()

    await queue.submit_all()
    await queue.wait_for(TASKS - 1)
    await asyncio.sleep(300.0)

    waiting = queue.store.get("00")
    assert queue.states() == {TaskState.DONE: TASKS - 1, TaskState.QUEUED: 1}
    assert waiting.last_trouble == str(changed)
    assert waiting.troubles < 12
    assert waiting.attempts == 0
    assert scheduler.queued == 1


async def test_lasting_trouble_is_logged_once(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour of the same failure is one cause in the log, not one for each try."""
    queue.worker.outcome = lambda _: FULL
    await queue.start()

    await queue.submit_all()
    await asyncio.sleep(3600.0)

    lines = [line.getMessage() for line in caplog.records if line.levelname != "DEBUG"]
    assert queue.worker.tries > 60
    assert [str(FULL) in line for line in lines] == [True, True]
    assert lines[1].startswith("the queue waits: ")


async def test_changed_trouble_is_logged_again(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure of another kind is news, and so is our own mistake, which is an error."""
    queue.worker.outcome = lambda _: FULL if queue.worker.tries < 4 else IMPORT
    await queue.start()

    await queue.submit(0)
    await asyncio.sleep(3600.0)

    lines = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    assert [f"trouble={str(FULL)!r}" in line for line in lines] == [True, False]
    assert "cannot open shared object file" in lines[1]


async def cancel_all(queue: Queue) -> None:
    """The user gives up."""
    for task in queue.store.unfinished():
        await queue.store.remove(task.task_id)
        queue.scheduler.cancel(task.task_id)


async def fail_all(queue: Queue) -> None:
    """The trouble is over, and no song can be rendered."""
    queue.worker.outcome = lambda _: RenderError("The audio file is damaged.")
    await queue.wait_for(4)


@pytest.mark.parametrize("end", [cancel_all, fail_all])
async def test_trouble_ends_with_the_last_task(
    queue: Queue, end: Callable[[Queue], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    """An empty queue waits for nothing: no task could ever find out that the trouble is over."""
    queue.worker.outcome = lambda _: FULL
    scheduler = await queue.start()
    for number in range(4):
        await queue.submit(number)
    await asyncio.sleep(100.0)
    held = scheduler.trouble

    await end(queue)
    await asyncio.sleep(5.0)

    assert held == str(FULL)
    assert scheduler.trouble is None
    assert caplog.messages.count("the queue goes on") == 1


# --- crashes and songs -----------------------------------------------------------------------


async def test_crash_is_tried_three_times(queue: Queue) -> None:
    """Failure mode 38: a song that takes its worker with it fails with 500, and no other does."""
    queue.worker.outcome = lambda job: BrokenExecutor() if job.audio.stem == "00" else None
    scheduler = await queue.start()

    await queue.submit_all()
    await queue.wait_for(TASKS)

    failed = queue.store.get("00")
    assert queue.worker.tries == TASKS - 1 + MAX_ATTEMPTS
    assert (failed.state, failed.error_code) == (TaskState.FAILED, 500)
    assert failed.error_message == (
        "The render crashed, or exceeded its limit of memory or processor time."
    )
    assert queue.states()[TaskState.DONE] == TASKS - 1
    assert scheduler.trouble is None


@pytest.mark.parametrize("error", [BrokenExecutor(), MemoryError(), NO_ROOM], ids=repr)
async def test_crash_that_is_not_repeated_costs_an_attempt(queue: Queue, error: Exception) -> None:
    """The next worker renders the task."""
    queue.worker.outcome = lambda _: error if queue.worker.tries == 1 else None
    await queue.start()

    await queue.submit(0)
    await queue.wait_for(1)

    assert queue.states() == {TaskState.DONE: 1}
    assert queue.worker.tries == 2


async def test_bad_song_fails_at_once(queue: Queue) -> None:
    """Code 400, and no second try."""
    queue.worker.outcome = lambda _: RenderError("The audio file is damaged: 00.wav.")
    await queue.start()

    await queue.submit(0)
    await queue.wait_for(1)

    failed = queue.store.get("00")
    assert (failed.state, failed.error_code, queue.worker.tries) == (TaskState.FAILED, 400, 1)
    assert (failed.lease_until, failed.completed_at is None) == (None, False)


async def test_deleted_song_fails_with_451(queue: Queue) -> None:
    """Its folder can be read and has other songs, so it is really gone."""
    await queue.start()
    (queue.music / "album" / "00.wav").unlink()

    await queue.submit(0)
    await queue.wait_for(1)

    assert queue.store.get("00").error_code == 451


async def test_server_that_dies_during_a_render_counts_as_a_crash(queue: Queue) -> None:
    """A song that takes the whole machine with it cannot do so for ever."""
    await queue.start()
    task_id = await queue.submit(0)
    await queue.wait_for(1)
    died = {"state": TaskState.RENDERING, "attempts": MAX_ATTEMPTS, "completed_at": None}
    await queue.store._change(task_id, **died)
    queue.data.remove_video(queue.store.get(task_id).filename)
    await queue.scheduler.stop(0.0)

    await queue.start()
    await queue.wait_for(2)

    failed = queue.store.get(task_id)
    assert (failed.state, failed.error_code) == (TaskState.FAILED, 500)


async def test_trouble_that_is_not_recorded_is_no_crash(queue: Queue) -> None:
    """Failure mode 60: a render that fills the disk of the database costs no attempt."""
    connection = queue.store._write_connection

    def fill_the_disk(_: RenderJob) -> Outcome:
        connection.execute("PRAGMA query_only = 1")
        asyncio.get_running_loop().call_later(1.0, connection.execute, "PRAGMA query_only = 0")
        return FULL

    queue.worker.outcome = fill_the_disk
    await queue.start()
    task_id = await queue.submit(0)
    await asyncio.sleep(400.0)
    tries = queue.worker.tries
    queue.worker.outcome = lambda _: None
    await queue.wait_for(1)

    assert tries > 2 * MAX_ATTEMPTS
    assert queue.store.get(task_id).state is TaskState.DONE


async def test_music_replaced_before_its_render_is_rendered_again(queue: Queue) -> None:
    """The stored fingerprint is always that of the music in the video."""
    song = queue.music / "album" / "00.wav"

    def replace_once(_: RenderJob) -> Outcome:
        if queue.worker.tries == 1:
            song.write_bytes(b"another song")
        return None

    queue.worker.outcome = replace_once
    await queue.start()

    task_id = await queue.submit(0)
    await queue.wait_for(1)

    done = queue.store.get(task_id)
    assert queue.worker.tries == 2
    assert done.state is TaskState.DONE
    assert done.fingerprint == Fingerprints(DEFAULT_STYLE).of(done, song)


async def test_leftover_of_a_render_is_replaced(queue: Queue) -> None:
    """A folder that could not be deleted does not keep its task from being rendered."""
    await queue.start()
    (queue.data.render_folder(f"{0:024}.mp4") / "old").mkdir(parents=True)

    await queue.submit(0)
    await queue.wait_for(1)

    assert queue.states() == {TaskState.DONE: 1}
    assert list(queue.data.work.iterdir()) == []


# --- the store -------------------------------------------------------------------------------


async def test_pause_survives_a_restart(queue: Queue) -> None:
    """The next server waits for the rest of the pause, counts on, and does not begin anew."""
    queue.worker.outcome = lambda _: FULL
    await queue.start()
    await queue.submit(0)
    await asyncio.sleep(40.0)
    before = queue.store.get("00")
    await queue.scheduler.stop(0.0)

    scheduler = await queue.start()
    queue.worker.outcome = lambda _: None
    tries = queue.worker.tries
    await asyncio.sleep(0.5)

    assert (before.state, before.attempts) == (TaskState.QUEUED, 0)
    assert (before.started_at, before.lease_until) == (None, None)
    assert before.troubles >= 3
    assert before.not_before is not None
    assert queue.worker.tries == tries
    assert scheduler.queued == 1
    await queue.wait_for(1)
    done = queue.store.get("00")
    assert (done.state, done.not_before, done.last_trouble) == (TaskState.DONE, None, None)


async def test_measured_speed_is_known_to_the_next_server(queue: Queue) -> None:
    """Its first estimates are as good as the last ones."""
    first = await queue.start()
    await queue.submit(0)
    await queue.wait_for(1)
    await first.stop(10.0)
    measured = first._render_speed.speed

    second = await queue.start()

    assert second._render_speed.speed == measured
    assert queue.store.get_metadata("render_speed") == measured


async def test_render_has_a_lease(queue: Queue) -> None:
    """While a task is rendered, the store says until when it belongs to this server."""
    leases: list[Task] = []

    def look(_: RenderJob) -> Outcome:
        leases.extend(queue.store.newest("", 10))
        return None

    queue.worker.outcome = look
    await queue.start(render_timeout=100.0)
    await queue.submit(0)
    await queue.wait_for(1)

    (leased,) = leases
    assert leased.lease_until - leased.started_at == pytest.approx(160.0)
    assert leased.attempts == 1
    assert queue.store.get("00").lease_until is None


async def test_poll_is_told_to_wait_for_the_next_try(queue: Queue) -> None:
    """`Retry-After` grows with the pause of a task that is tried again."""
    queue.worker.outcome = lambda _: FULL
    scheduler = await queue.start()
    task_id = await queue.submit(0)

    await asyncio.sleep(1.0)
    first = scheduler.retry_after(queue.store.get(task_id))
    await asyncio.sleep(100.0)
    later = scheduler.retry_after(queue.store.get(task_id))

    assert 1 <= first <= 2
    assert later >= 5


async def test_deleted_task_is_not_tried_again(queue: Queue) -> None:
    """A task that waits for its next try can be cancelled."""
    queue.worker.outcome = lambda _: FULL
    scheduler = await queue.start()
    task_id = await queue.submit(0)
    await asyncio.sleep(1.0)

    await queue.store.remove(task_id)
    scheduler.cancel(task_id)
    await asyncio.sleep(300.0)

    assert queue.worker.tries == 1
    assert scheduler.queued == 0


async def test_task_deleted_while_its_video_is_published_leaves_nothing(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video that could not be published has no task to wait for."""
    scheduler = await queue.start()
    task_id = await queue.submit(0)

    async def finish(*_: Any, **__: Any) -> bool:
        await queue.store.remove(task_id)
        scheduler.cancel(task_id)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(queue.store, "finish", finish)
    await asyncio.sleep(10.0)

    assert queue.store.newest("", 10) == []
    assert scheduler._renderer._unpublished == {}
    assert list(queue.data.work.iterdir()) == []


async def test_task_deleted_before_its_video_is_recorded_leaves_nothing(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note about the video stays until the published file is deleted, too."""
    scheduler = await queue.start()
    task_id = await queue.submit(0)
    finish, seen = queue.store.finish, []

    async def delete_first(*args: Any, **values: Any) -> bool:
        task = queue.store.get(task_id)
        await delete_task(queue.store, scheduler._renderer._videos, task, "by a test")
        seen.append((queue.store.removed_videos(), queue.data.video_names()))
        return await finish(*args, **values)

    monkeypatch.setattr(queue.store, "finish", delete_first)
    await asyncio.sleep(10.0)

    name = f"{0:024}.mp4"
    assert seen == [([name], {name})]
    assert queue.store.removed_videos() == []
    assert list(queue.data.videos.iterdir()) == []


async def test_published_video_that_was_not_recorded_keeps_its_duration(queue: Queue) -> None:
    """The next server records what the record of the video says."""
    await queue.start()
    task_id = await queue.submit(0)
    await queue.wait_for(1)
    done = queue.store.get(task_id)
    recorded = await read_record(FolderVideos(queue.data), done.filename)
    await queue.store._change(task_id, state=TaskState.RENDERING, duration=None, completed_at=None)
    await queue.scheduler.stop(0.0)

    await queue.start()
    await queue.wait_for(2)

    assert recorded == attrs.evolve(done, attempts=0)
    assert queue.store.get(task_id).duration == done.duration
    assert list(queue.worker.videos.values()) == [1]


async def test_single_video_of_the_page_comes_before_a_batch_after_a_restart(queue: Queue) -> None:
    """A person waits for it, also if the batch was queued first."""
    for number, batch in enumerate(("songs", "songs", None)):
        await queue.add(number, render_variant="page", batch=batch)

    await queue.start(workers=1)
    await queue.wait_for(3)

    assert list(queue.worker.videos) == ["02.wav", "00.wav", "01.wav"]


async def test_stop_does_not_wait_for_music_that_hangs(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 60: a service manager would kill the server, which counts as a crash."""
    released = threading.Event()
    monkeypatch.setattr(Fingerprints, "of", lambda *_: released.wait())
    library = LibraryReader(Library(queue.music))
    scheduler = await queue.start(library=library)
    task_id = await queue.submit(0)
    while not library._executor._started:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0)
    began = now()

    await scheduler.stop(1.0)
    released.set()
    library.close()

    stopped = queue.store.get(task_id)
    assert now() < began + 5
    assert (stopped.state, stopped.attempts) == (TaskState.QUEUED, 0)


# --- the rules -------------------------------------------------------------------------------


def test_pauses_grow_to_a_maximum() -> None:
    """Each pause is twice the one before it, and at most a minute."""
    expected = [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]

    assert [retry_delay(number) for number in range(1, 8)] == expected
    assert retry_delay(100_000) == 60.0


def test_hold_begins_with_the_third_failure_in_a_row() -> None:
    """A success in between begins the count anew."""
    hold = QueueHold()
    for _ in range(2):
        hold.record_failure("full", 10.0)
    hold.record_success()
    for _ in range(2):
        hold.record_failure("full", 20.0)

    assert (hold.is_active, hold.until) == (False, 0.0)
    hold.record_failure("full", 30.0)
    assert (hold.is_active, hold.until) == (True, 32.0)
    hold.record_failure("full", 32.0)
    assert hold.until == 36.0


class Held(Worker):
    """Begins renders, and ends none."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.jobs: list[tuple[RenderJob, Future[Any]]] = []

    def submit(self, _: Any, job: RenderJob) -> Future[Any]:  # type: ignore[override]
        self.jobs.append((job, Future()))
        return self.jobs[-1][1]

    async def wait_for(self, count: int) -> None:
        """Wait until this many renders have begun."""
        while len(self.jobs) < count:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.1)


async def test_render_gets_the_slots_that_are_free_until_another_starts(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more processes than slots render: a render is told when the next one starts."""
    held = Held()
    monkeypatch.setattr(slots, "ProcessExecutor", lambda _: held)
    await queue.start(executor=None, workers=3)
    has_to_share = []

    for number in range(3):
        await queue.submit(number)
        await held.wait_for(number + 1)
        has_to_share.append(WorkerChannel(held.jobs[0][0].folder).shared)

    assert [job.workers for job, _ in held.jobs] == [3, 2, 1]
    assert has_to_share == [False, True, True]
    for _, render in held.jobs:
        render.set_exception(RenderCancelledError("The render was cancelled."))
