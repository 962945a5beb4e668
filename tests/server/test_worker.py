"""One render in a worker process: its channel and its limits."""

import asyncio
import os
import resource
import select
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from mp4gen.errors import RenderCancelledError, RenderError, RenderIOError
from mp4gen.server.rendering import supervisor, worker
from mp4gen.server.rendering.eta import RenderProgress, RenderSpeed
from mp4gen.server.rendering.pool import ProcessExecutor, WorkerDiedError, WorkerSlot
from mp4gen.server.rendering.supervisor import SupervisedRender
from mp4gen.server.rendering.video_options import VideoOptions
from mp4gen.server.rendering.worker_channel import WorkerChannel

from .conftest import FAST_STYLE, write_song


@pytest.fixture
async def slot() -> AsyncIterator[WorkerSlot]:
    slot = WorkerSlot(ProcessExecutor)
    yield slot
    await slot.close()


def job_for(audio: Path, **limits: Any) -> worker.RenderJob:
    """Return a job for `audio`, whose parent is the music folder."""
    folder = audio.parent.parent / "job"
    folder.mkdir()
    values = {"author": None, "domain_name": None, "style": attrs.asdict(FAST_STYLE)}
    values |= {"audio_mode": "compatible", "max_duration": 1200.0, "cpu_seconds": 60.0, **limits}
    return worker.RenderJob(audio=audio, root=audio.parent.resolve(), folder=folder, **values)


async def test_render_refuses_a_link_swapped_after_the_submit(
    slot: WorkerSlot, tmp_path: Path
) -> None:
    """The target is checked again when the render begins: a link may lead outside by then."""
    outside = write_song(tmp_path / "outside" / "secret.wav")
    link = tmp_path / "music" / "song.wav"
    link.parent.mkdir()
    link.symlink_to(outside)
    job = job_for(link)

    with pytest.raises(RenderError, match="outside the music folder"):
        await slot.run(worker.render, job)

    assert not job.video.exists()


@pytest.mark.slow
async def test_render_ends_at_its_processor_limit(slot: WorkerSlot, tmp_path: Path) -> None:
    """The kernel ends a worker that uses more processor time than its job may."""
    job = job_for(write_song(tmp_path / "music" / "long.wav", 600.0), cpu_seconds=0.0)

    with pytest.raises(WorkerDiedError):
        await slot.run(worker.render, job)

    assert not job.video.exists()


def test_cancel_does_nothing_after_the_render_ended(tmp_path: Path) -> None:
    """The folder of an ended render is gone; the server that stops goes on stopping."""
    folder = tmp_path / "job"
    folder.mkdir()
    channel = WorkerChannel(folder)
    folder.rmdir()

    channel.cancel()

    assert not channel.cancelled


@pytest.mark.slow
async def test_long_analysis_is_not_stalled(slot: WorkerSlot, tmp_path: Path) -> None:
    """The worker shows signs of life while it analyses, before the first second is done."""
    job = job_for(write_song(tmp_path / "music" / "long.wav", 120.0))
    channel = WorkerChannel(job.folder)
    render = asyncio.ensure_future(slot.run(worker.render, job))

    reports: list[tuple[float, float, int]] = []
    while not reports or not reports[-1][0]:
        await asyncio.sleep(0.01)
        if (report := channel.read_progress()) and report not in reports:
            reports.append(report)
    channel.cancel()
    with pytest.raises(RenderCancelledError):
        await render

    analysing = [signs for done, _, signs in reports if not done]
    assert len(analysing) >= 2
    assert analysing == sorted(set(analysing))
    assert {total for _, total, _ in reports} == {120.0}


def test_signs_of_life_count_as_progress() -> None:
    """A render that is analysed for longer than the limit is not stopped as stalled."""
    progress = RenderProgress(0.0, 60.0, RenderSpeed())

    for second in range(1, 200):
        progress.update(float(second), 0.0, 3600.0, second)
    progress.update(300.0, 0.0, 3600.0, 199)

    assert progress.changed_at == 199.0
    assert progress.done == 0.0


async def first_child(slot: WorkerSlot) -> int:
    """Return the process id of a process that the worker has started."""
    while True:
        for pid in slot.pids:
            with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: ASYNC230, PTH123 - no disk
                if children := file.read().split():
                    return int(children[0])
        await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_render_that_is_not_alone_any_more_goes_on_in_one_process(
    slot: WorkerSlot, tmp_path: Path
) -> None:
    """The other process ends at once, and the video is finished."""
    job = job_for(write_song(tmp_path / "music" / "long.wav", 120.0), workers=2)
    render = asyncio.ensure_future(slot.run(worker.render, job))
    child = await first_child(slot)

    WorkerChannel(job.folder).share()
    ended = os.pidfd_open(child)
    with select.epoll() as poll:
        poll.register(ended, select.EPOLLIN)
        await asyncio.to_thread(poll.poll)
    os.close(ended)

    assert not render.done()
    assert (await render).duration == 120.0


@pytest.mark.slow
async def test_killed_process_of_a_render_counts_as_a_crash(
    slot: WorkerSlot, tmp_path: Path
) -> None:
    """It may have exceeded the memory, so that the song may be at fault, or the machine."""
    job = job_for(write_song(tmp_path / "music" / "long.wav", 120.0), workers=2)
    render = asyncio.ensure_future(slot.run(worker.render, job))
    os.kill(await first_child(slot), signal.SIGKILL)

    with pytest.raises(worker.PieceDiedError, match="ended unexpectedly") as caught:
        await render

    assert isinstance(supervisor._failure(caught.value), supervisor.RenderCrashedError)
    assert not job.video.exists()


@pytest.mark.slow
async def test_warnings_reach_the_server(slot: WorkerSlot, tmp_path: Path) -> None:
    """A copied codec that not all players know is a warning of the result."""
    job = job_for(write_song(tmp_path / "music" / "song.wav"), audio_mode="copy")

    video = await slot.run(worker.render, job)

    assert video.duration == pytest.approx(1.0)
    assert len(video.warnings) == 1
    assert "FLAC" in video.warnings[0]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 20_000])
async def test_full_disk_is_not_the_songs_fault(
    slot: WorkerSlot, tmp_path: Path, limit: int
) -> None:
    """Failure mode 60: the error says that the video cannot be written, and nothing stays."""
    job = job_for(write_song(tmp_path / "music" / "song.wav"))
    pid = await slot.run(os.getpid)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    with pytest.raises((RenderIOError, OSError), match="File too large"):
        await slot.run(worker.render, job)

    assert not job.video.exists()
    assert not list(job.folder.glob("*.part"))


@pytest.mark.slow
async def test_music_that_is_replaced_meanwhile_makes_no_video(
    slot: WorkerSlot, tmp_path: Path
) -> None:
    """The picture of one song never gets the sound of another."""
    song = write_song(tmp_path / "music" / "song.wav", 60.0)
    job = job_for(song)
    render = asyncio.ensure_future(slot.run(worker.render, job))
    channel = WorkerChannel(job.folder)
    while not channel.read_progress():  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.01)
    write_song(song.with_name("other.wav"), 1.0).replace(song)

    with pytest.raises(RenderIOError, match="changed while it was rendered"):
        await render

    assert not job.video.exists()


@pytest.mark.parametrize("content", [None, b"no font"])
async def test_font_that_went_away_is_not_the_songs_fault(
    slot: WorkerSlot, tmp_path: Path, content: bytes | None
) -> None:
    """A font that was deleted or damaged after the start costs no task: it is tried again."""
    font = tmp_path / "font.ttf"
    if content is not None:
        font.write_bytes(content)
    style = {**attrs.asdict(FAST_STYLE), "fonts": (str(font),)}
    job = attrs.evolve(job_for(write_song(tmp_path / "music" / "song.wav")), style=style)

    with pytest.raises(RenderIOError, match="font file"):
        await slot.run(worker.render, job)


@pytest.mark.parametrize(
    ("lyrics", "expected"),
    [
        (None, ("auto", None)),
        ("none", (None, None)),
        ("[00:01.00]La \u591c", ("lyrics.lrc", "[00:01.00]La \u591c")),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nLa",
            ("lyrics.srt", "1\n00:00:01,000 --> 00:00:02,000\nLa"),
        ),
    ],
)
def test_lyrics_of_a_job_are_a_file_of_its_folder(
    tmp_path: Path, lyrics: str | None, expected: tuple[str | None, str | None]
) -> None:
    """The renderer reads them as it reads those beside the music."""
    job = job_for(tmp_path / "music" / "song.wav", options=VideoOptions(lyrics=lyrics))

    found = worker._lyrics(job)

    if isinstance(found, Path):
        assert found.parent == job.folder
        assert (found.name, found.read_text("utf-8")) == expected
    else:
        assert found == expected[0]


@pytest.mark.parametrize("option", ["background", "logo"])
async def test_picture_of_the_server_that_is_damaged_is_not_the_songs_fault(
    slot: WorkerSlot, tmp_path: Path, option: str
) -> None:
    """No task fails for a file that only the operator can mend."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"no picture")
    style = {**attrs.asdict(FAST_STYLE), option: str(picture)}
    job = attrs.evolve(job_for(write_song(tmp_path / "music" / "song.wav")), style=style)

    with pytest.raises(RenderIOError, match=r"picture\.png"):
        await slot.run(worker.render, job)


async def test_damaged_picture_of_a_user_fails_the_task(slot: WorkerSlot, tmp_path: Path) -> None:
    """It is a part of the task, and no later try helps."""
    picture = tmp_path / "1.jpg"
    picture.write_bytes(b"no picture")
    style = {**attrs.asdict(FAST_STYLE), "background": str(picture)}
    options = VideoOptions(background="picture:1.jpg")
    song = write_song(tmp_path / "music" / "song.wav")
    job = attrs.evolve(job_for(song, options=options), style=style)

    with pytest.raises(RenderError, match=r"1\.jpg") as caught:
        await slot.run(worker.render, job)

    assert not isinstance(caught.value, RenderIOError)


def test_render_is_asked_once_to_go_on_in_one_process() -> None:
    """With a thousand renders, each start of another one asks all of them."""
    asked: list[None] = []
    render = SupervisedRender(
        None,
        RenderProgress(0.0, 1.0, RenderSpeed()),
        timeout=1.0,
        progress_timeout=1.0,
        on_change=lambda: None,
    )
    render._channel = SimpleNamespace(share=lambda: asked.append(None))

    render.share()
    render.share()

    assert len(asked) == 1
