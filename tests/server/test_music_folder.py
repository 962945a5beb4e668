"""A music folder that hangs, vanishes or changes stops nothing else, and loses no metadata."""

import asyncio
import contextlib
import errno
import io
import json
import os
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mp4gen.server.library import library as library_module
from mp4gen.server.library import metadata_cache, reader, reader_jobs, uploads
from mp4gen.server.library.library import Library, MusicUnavailableError
from mp4gen.server.library.metadata_cache import MetadataCache
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.library.reader_jobs import ReaderJobs
from mp4gen.server.rendering import previews
from mp4gen.server.rendering.pool import ProcessExecutor, WorkerSlot

from .conftest import Serve, full_disk, write_song


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch, music: Path) -> Iterator[threading.Event]:
    """Return an event: while it is set, every listing below the music folder hangs."""
    hanging, released = threading.Event(), threading.Event()
    scandir = os.scandir

    def slow_scandir(path: Any = ".") -> Any:
        if hanging.is_set() and Path(path).is_relative_to(music):
            released.wait()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", slow_scandir)
    monkeypatch.setattr(reader, "_TIMEOUT", 0.05)
    monkeypatch.setattr(reader, "_SCAN_TIMEOUT", 0.05)
    monkeypatch.setattr(metadata_cache, "_SCAN_TIMEOUT", 0.05)
    yield hanging
    hanging.clear()
    released.set()


@pytest.mark.slow
async def test_hung_music_folder_blocks_no_download_and_no_page(
    serve: Serve, visit: Any, hang: threading.Event
) -> None:
    """Failure mode 60: finished videos, the health and the page's last list are still served."""
    caller = await serve()
    visitor = visit(caller)
    before = await visitor.open()
    video = (await caller.create_and_wait("album", "one"))["response"]["videoUrl"]

    hang.set()
    answers = await asyncio.gather(*(caller.generate("album", "two") for _ in range(12)))
    state = await visitor.state()
    async with caller.session.get(video) as response:
        status = response.status
    tracks = await caller.get("/api/v1/generate/record-info", taskId="album")
    status_of_music, _, body = await visitor.ask(
        "GET", "/page/music", params={"task": "album", "audio": "one"}
    )

    assert {answer["code"] for answer in answers} == {455}
    assert len(state["library"]) == len(before["library"]) == 4
    assert state["trouble"].startswith("The music folder ")
    assert status == 200
    assert tracks["code"] == 455
    assert status_of_music == 503
    assert b"does not answer" in body


async def test_hanging_read_makes_the_next_ones_fail_immediately(music: Path) -> None:
    """No more threads are lost, and the folder is read again as soon as the read returns."""
    library = LibraryReader(Library(music))
    released = threading.Event()
    with pytest.raises(MusicUnavailableError, match="does not answer within"):
        await library.run(released.wait, timeout=0.01)

    with pytest.raises(MusicUnavailableError, match="does not answer"):
        await library.find("album", "one")
    trouble = library.trouble
    released.set()
    while library.trouble:
        await asyncio.sleep(0.01)
        with contextlib.suppress(MusicUnavailableError):
            await library.find("album", "one")
    library.close()

    assert "does not answer" in trouble


class ClosedFile(io.FileIO):
    """A file that records which thread closes it."""

    closed_by: ClassVar[list[str]] = []

    def close(self) -> None:
        if not self.closed:
            self.closed_by.append(threading.current_thread().name)
        super().close()


async def test_upload_into_a_hung_folder_is_closed_off_the_event_loop(
    serve: Serve, visit: Any, hang: threading.Event, monkeypatch: pytest.MonkeyPatch, music: Path
) -> None:
    """Failure mode 60: the garbage collection must not close it, which could hang the server."""
    released = threading.Event()
    open_path, disk_usage = Path.open, shutil.disk_usage
    monkeypatch.setattr(ClosedFile, "closed_by", [])

    def open_recorded(path: Path, *args: Any, **kwargs: Any) -> Any:
        is_part = path.parent.name == uploads.FOLDER and args == ("wb",)
        return ClosedFile(path, "wb") if is_part else open_path(path, *args, **kwargs)

    def hanging_disk_usage(path: Path) -> Any:
        if path.name == uploads.FOLDER:
            released.wait()
        return disk_usage(path)

    visitor = visit(await serve())
    await visitor.open()
    monkeypatch.setattr(Path, "open", open_recorded)
    monkeypatch.setattr(uploads.shutil, "disk_usage", hanging_disk_usage)

    answer = await visitor.ask("POST", "/page/upload", params={"name": "a.wav"}, data=b"x" * 100)
    released.set()
    async with asyncio.timeout(100):
        while list((music / uploads.FOLDER).iterdir()):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)

    assert answer[0] == 503
    assert ClosedFile.closed_by == ["mp4gen-library"]


# --- what is missing and what is away ---------------------------------------------------------


def remove(root: Path) -> None:
    root.rename(root.with_name("away"))


def empty(root: Path) -> None:
    remove(root)
    root.mkdir()


def replace_by_file(root: Path) -> None:
    remove(root)
    root.touch()


@pytest.mark.parametrize("vanish", [remove, empty, replace_by_file])
def test_music_that_is_away_is_not_missing(music: Path, vanish: Callable[[Path], None]) -> None:
    """Failure mode 60: a missing folder and an empty mount point say nothing about a song."""
    library = Library(music)
    vanish(music)

    with pytest.raises(MusicUnavailableError, match="The music folder "):
        library.find("album", "one")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EACCES])
def test_folder_with_errors_is_unavailable(
    music: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Failure mode 60: the tracks of a folder that cannot be listed are not deleted."""
    scandir, library = os.scandir, Library(music)

    def failing_scandir(path: Any = ".") -> Any:
        if Path(path).name == "album":
            raise OSError(number, os.strerror(number))
        return scandir(path)

    monkeypatch.setattr(library_module.os, "scandir", failing_scandir)

    with pytest.raises(MusicUnavailableError, match=os.strerror(number)):
        library.find("album", "one")
    assert {track.task_id for track in library.all_tracks()} == {".", "Artist/Nachtmusik"}


def test_deleted_songs_and_folders_are_missing(music: Path) -> None:
    """As long as the music folder has anything else, they are not in it any more."""
    library = Library(music)
    (music / "album" / "one.wav").unlink()
    (music / "Artist" / "Nachtmusik" / "夜の窓.wav").unlink()
    (music / "Artist" / "Nachtmusik").rmdir()

    assert library.find("album", "one") is None
    assert library.find("Artist/Nachtmusik", "夜の窓") is None
    assert library.tracks("Artist/Nachtmusik") is None


# --- the reader of the metadata --------------------------------------------------------------


@pytest.fixture
async def cache(music: Path) -> AsyncIterator[MetadataCache]:
    library = LibraryReader(Library(music))
    jobs = ReaderJobs(WorkerSlot(ProcessExecutor), 1200.0)
    cache = MetadataCache(library, jobs, on_change=lambda: None)
    yield cache
    await cache.stop()
    await jobs.close()
    library.close()


@pytest.mark.slow
async def test_killed_reader_marks_no_file_as_unreadable(cache: MetadataCache, music: Path) -> None:
    """Failure mode 60: a batch whose reader was killed is read again, file by file."""
    for number in range(12):
        write_song(music / "more" / f"{number}.wav", 0.6)
    tracks = list(Library(music).all_tracks())
    loading = asyncio.create_task(cache.infos(tracks))
    while not (pids := cache._jobs._slot.pids):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.01)

    os.kill(pids[0], signal.SIGKILL)
    infos = await loading

    assert [info.problem for info in infos] == [None] * 16
    assert [info.duration for info in infos] == pytest.approx([1.0, 1.0, 1.0, 1.0] + [0.6] * 12)


class DeadlySlot(WorkerSlot):
    """A reader that one file kills or blocks."""

    def __init__(self, deadly: str, func: Callable[[], Any]) -> None:
        super().__init__(ProcessExecutor)
        self._deadly, self._func, self.tries = deadly, func, 0

    async def run(self, func: Any, *args: Any) -> Any:
        if any(path.name == self._deadly for path in args[-1]):
            self.tries += 1
            return await super().run(*self._func())
        return await super().run(func, *args)


@pytest.mark.slow
async def test_deadly_file_is_the_only_one_marked(music: Path) -> None:
    """It is read again later, with growing pauses; the other files of its batch are readable."""
    slot = DeadlySlot("one.wav", lambda: (os._exit, 3))
    library = LibraryReader(Library(music))
    cache = MetadataCache(library, ReaderJobs(slot, 1200.0), on_change=lambda: None)
    tracks = list(Library(music).all_tracks())

    infos = await cache.infos(tracks)
    tries = slot.tries
    again = await cache.infos(tracks)
    await cache.stop()
    await slot.close()
    library.close()

    problems = {track.path.name: info.problem for track, info in zip(tracks, infos, strict=True)}
    assert [name for name, problem in problems.items() if problem] == ["one.wav"]
    assert tries == slot.tries == 3
    assert again == infos


@pytest.mark.slow
async def test_file_that_blocks_the_reader_is_stopped(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job has a time limit, and the next job gets a new reader."""
    monkeypatch.setattr(reader_jobs, "_MIN_TIMEOUT", 0.05)
    monkeypatch.setattr(reader_jobs, "_TIMEOUT_PER_FILE", 0.0)
    slot = DeadlySlot("one.wav", lambda: (signal.pause,))
    library = LibraryReader(Library(music))
    cache = MetadataCache(library, ReaderJobs(slot, 1200.0), on_change=lambda: None)
    (one,) = (track for track in Library(music).tracks("album") if track.audio_id == "one")

    (blocked,) = await cache.infos([one])
    monkeypatch.setattr(reader_jobs, "_MIN_TIMEOUT", 60.0)
    (two,) = (track for track in Library(music).tracks("album") if track.audio_id == "two")
    (read,) = await cache.infos([two])
    await cache.stop()
    await slot.close()
    library.close()

    assert blocked.problem == "The file takes the reader with it. It is read again later."
    assert blocked.is_temporary
    assert read == previews.MusicInfo(duration=1.0)


@pytest.mark.slow
async def test_folder_that_changes_is_never_an_error(serve: Serve, visit: Any, music: Path) -> None:
    """Tracks of a folder are listed while its files come, change and go, and others list them."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    stop = False

    async def change() -> None:
        number = 0
        while not stop:
            number += 1
            path = write_song(music / "album" / f"{number % 7}.wav", 0.5 + number % 3 / 10)
            await asyncio.sleep(0.001)
            if number % 2:
                path.unlink(missing_ok=True)

    async def list_tracks() -> list[int]:
        path = "/api/v1/generate/record-info"
        return [(await caller.get_response(path, taskId="album"))[0] for _ in range(40)]

    changes = asyncio.create_task(change())
    pages = asyncio.gather(*(visitor.state() for _ in range(20)))
    statuses = await asyncio.gather(list_tracks(), list_tracks())
    await pages
    stop = True
    await changes

    assert set(statuses[0] + statuses[1]) == {200}


@pytest.mark.slow
async def test_unreadable_file_is_read_again_later(
    cache: MetadataCache, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that failed with an I/O error says nothing about the file."""
    monkeypatch.setattr(metadata_cache, "_REREAD_DELAY", 0.0)
    (one, _) = Library(music).tracks("album")
    one.path.rename(music / "one.wav")

    (away,) = await cache.infos([one])
    (music / "one.wav").rename(one.path)
    (back,) = await cache.infos([one])

    assert away.problem == "The audio file does not exist: one.wav. Check the path."
    assert back == previews.MusicInfo(duration=1.0)


# --- the page's player -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "part"),
    [
        ({}, 200, slice(None)),
        ({"Range": "bytes=0-3"}, 206, slice(4)),
        ({"Range": "bytes=10-"}, 206, slice(10, None)),
        ({"Range": "bytes=-5"}, 206, slice(-5, None)),
        ({"Range": "bytes=0-99999999"}, 206, slice(None)),
        ({"Range": "bytes=99999999-"}, 416, None),
        ({"Range": "lines=1-2"}, 200, slice(None)),
        ({"Range": "bytes=0-3", "If-Range": '"older"'}, 200, slice(None)),
    ],
    ids=str,
)
async def test_music_is_sent_in_ranges(
    serve: Serve, visit: Any, headers: dict[str, str], status: int, part: slice | None
) -> None:
    """A player can seek."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    content = (caller.server.config.music / "album" / "one.wav").read_bytes()
    params = {"task": "album", "audio": "one"}

    answer = await visitor.ask("GET", "/page/music", params=params, headers=headers)

    assert answer[0] == status
    if part is not None:
        assert answer[2] == content[part]
        assert answer[1]["Content-Type"] == "audio/x-wav"
    if status == 206:
        assert answer[1]["Content-Range"].endswith(f"/{len(content)}")


async def test_page_shows_troubles_and_warnings(serve: Serve, visit: Any, tmp_path: Path) -> None:
    """A video has its trouble and its warnings, and the state the trouble of the whole queue."""
    caller = await serve(**full_disk(tmp_path))
    visitor = visit(caller)

    state = await visitor.open()
    health = await caller.get_response("/healthz")

    # Other programs change the megabytes that are free.
    for trouble in (state["trouble"], health[2]["trouble"]):
        assert trouble.startswith("The disk of the data folder has ")
    assert json.dumps(state["videos"]) == "[]"
