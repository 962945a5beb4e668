"""`mp4gen render` of many files, on the real renderer in processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import wave
from pathlib import Path
from typing import Any

import pytest

from mp4gen.cli import render_run
from mp4gen.cli.output import Output
from mp4gen.cli.render_jobs import RenderJob
from mp4gen.cli.render_run import RenderRun
from mp4gen.cli.render_worker import NoWorkerError, RenderWorker
from mp4gen.errors import RenderCancelledError, RenderError, UnexpectedError
from mp4gen.render import RenderResult, RenderStyle
from mp4gen.testing.media import tiny_mp4

SMALL = ("--size", "144x144", "--fps", 24)
OTHER_VIDEO = tiny_mp4("other")


@pytest.fixture
def music(tone: Path, tmp_path: Path) -> Path:
    """Return a folder with two songs, a broken file, and a song in a folder."""
    folder = tmp_path / "music"
    (folder / "more").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "more/c.wav"):
        shutil.copy(tone, folder / name)
    (folder / "bad.mp3").write_text("no music")
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_failure_never_stops_the_rest(mp4gen: Any, music: Path, tmp_path: Path) -> None:
    """Each file has a record, and the exit code is 1; the same line skips what is there."""
    line = ("render", music, "--to", tmp_path / "v", *SMALL, "--author", "Ann", "--json")

    first = mp4gen(*line)
    second = mp4gen(*line)

    *records, summary = first.records
    states = {Path(record["audio"]).name: record["status"] for record in records}
    (failed,) = (record for record in records if record["status"] == "failed")
    assert first.code == second.code == 1
    assert states == {"a.wav": "done", "b.wav": "done", "c.wav": "done", "bad.mp3": "failed"}
    assert "Not a readable audio file: bad.mp3." in failed["message"]
    assert summary == {"summary": {"succeeded": 3, "skipped": 0, "failed": 1, "remaining": 0}}
    assert names_in(tmp_path / "v") == ["music/a.mp4", "music/b.mp4", "music/more/c.mp4"]
    assert second.records[-1] == {
        "summary": {"succeeded": 0, "skipped": 3, "failed": 1, "remaining": 0}
    }
    assert "3 of 4 videos exist already. Use --overwrite to render them again." in second.err


@pytest.mark.slow
def test_overwrite_renders_again(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """Only with --overwrite is a file replaced that is not a video of mp4gen."""
    video = tmp_path / "v" / "tone.mp4"
    video.parent.mkdir()
    video.write_bytes(OTHER_VIDEO)
    line = ("render", tone, tone, "--to", video.parent, *SMALL)

    kept = mp4gen(*line)
    replaced = mp4gen(*line, "--overwrite")

    assert kept.code == 1
    assert "which exists and is not a complete video of mp4gen." in kept.out
    assert replaced.code == 0
    assert replaced.out.endswith("1 videos rendered, 0 skipped, 0 failed, 0 remaining\n")
    assert video.stat().st_size > len(OTHER_VIDEO)


def test_nothing_is_rendered_if_all_exist(
    mp4gen: Any, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process is started, and the exit code is 0."""
    monkeypatch.setattr("mp4gen.cli.render_jobs.RenderJob.is_done", lambda _: True)

    ended = mp4gen("render", music, "--to", tmp_path / "v")

    assert (ended.code, ended.out) == (0, "0 videos rendered, 4 skipped, 0 failed, 0 remaining\n")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--title", "One"), "One --title for 4 audio files. Remove it."),
        (("--lyrics", "song.lrc"), "One --lyrics for 4 audio files. Remove it."),
        (("--workers", "0"), "Invalid --workers: 0. Use a number from 1 to 64."),
        (("--to", "o.mp4"), "The target o.mp4 is one file, but there are 4 audio files."),
        (("--to", "o.mov"), "Invalid --to: o.mov. The video is an MP4"),
        (("--start", "1:75"), "Invalid start: '1:75'. Use seconds, 1:15 or 1:02:03.5."),
        (("--length", "0.1"), "Invalid length: '0.1'. Use at least 0.5 s."),
        (("--audio-bitrate", "1m"), "Invalid audio_bitrate: 1000000. Use"),
        (("--audio-bitrate", "loud"), "Invalid value for --audio-bitrate: 'loud'. Use a number"),
        (("--audio", "copy", "--audio-bitrate", "96k"), "Invalid audio_bitrate for audio_mode"),
        (("--max-size", "0"), "Invalid max_size: 0. Use"),
        (("--max-size", "small"), "Invalid value for --max-size: 'small'. Use a number and K,"),
        (("--cover", __file__), "Not a readable image: test_render_run.py."),
        (("--font", __file__), "Cannot read the font file: test_render_run.py."),
        (("--fallback-font", __file__), "Cannot read the font file: test_render_run.py."),
        (("--logo", "none.png"), "The logo file does not exist: none.png."),
        (("--look", "disco"), "Unknown look: 'disco'. Use one of: bars, ring"),
        (("--background", "none.jpg"), "The background does not exist: none.jpg. Use auto,"),
        (("--accent", "red"), "Invalid accent: 'red'. Use a colour such as #ff8800."),
        (("--preset", "vine"), "Unknown preset: 'vine'. Use one of: youtube, reel"),
        (("--preset", "x", "--size", "big"), "Invalid size: 'big'. Use width x height"),
        (("--max-duration", "0"), "Invalid max_duration: 0.0. Use a number above 0."),
    ],
)
def test_invalid_options_of_many_files(
    mp4gen: Any, music: Path, tmp_path: Path, options: Any, text: str
) -> None:
    """The exit code is 2, and nothing is rendered."""
    target = () if "--to" in options else ("--to", tmp_path / "v")

    ended = mp4gen("render", music, *target, *options)

    assert ended.code == 2
    assert text in ended.err
    assert not (tmp_path / "v").exists()


def test_unreadable_folder_is_a_failure(
    mp4gen: Any, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The music in the folder was not rendered, so the exit code is 1."""
    scandir = os.scandir
    monkeypatch.setattr("mp4gen.cli.render_jobs.RenderJob.is_done", lambda _: True)

    def refuse(path: str) -> object:
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    ended = mp4gen("render", music, "--to", tmp_path / "v")

    assert ended.code == 1
    assert f"FAILED {music}/more: Permission denied. Choose another place" in ended.out
    assert ended.out.endswith("0 videos rendered, 3 skipped, 1 failed, 0 remaining\n")


@pytest.mark.parametrize(
    ("processes", "workers", "pending", "running", "share"),
    [
        (2, 2, 100, (), 1),
        (8, 2, 2, (), 4),
        (8, 2, 1, (0.0,), 4),
        (2, 2, 1, (0.5,), 1),
        (2, 2, 1, (0.9,), 2),
        (1, 1, 1, (), 1),
        (4, 1, 3, (), 4),
    ],
)
def test_last_files_use_all_processors(
    processes: int, workers: int, pending: int, running: tuple[float, ...], share: int
) -> None:
    """The next file gets more processes if few files remain, and the others are nearly done.

    The videos of one song are rendered one after the other.
    """
    jobs = [RenderJob(Path(f"{n}.wav"), Path(f"{n}.mp4")) for n in range(pending)]
    run = RenderRun(Output(), jobs, {}, processes)
    run._workers = [RenderWorker() for _ in range(workers)]
    run._pending.extend(jobs)
    run._progress.running |= {Path(str(n)): fraction for n, fraction in enumerate(running)}

    assert run._share() == share


def test_videos_of_a_song_share_a_process() -> None:
    """A process takes the next video of its song, before it takes that of another."""
    jobs = [
        RenderJob(Path(f"{song}.wav"), Path(f"{song}.{preset}.mp4"))
        for song in ("a", "b")
        for preset in ("x", "reel")
    ]
    run = RenderRun(Output(), jobs, {}, 2)
    run._pending.extend(jobs)

    first, second = run._next_job(None), run._next_job(Path("b.wav"))
    third, fourth = run._next_job(first.audio), run._next_job(first.audio)

    assert [job.video.name for job in (first, second, third, fourth)] == [
        "a.x.mp4", "b.x.mp4", "a.reel.mp4", "b.reel.mp4"
    ]  # fmt: skip


@pytest.mark.slow
def test_worker_is_replaced_after_a_crash(tone: Path, tmp_path: Path) -> None:
    """A crash costs one video; an error of the renderer and an unforeseen one cost no process."""
    worker = RenderWorker()
    arguments = {
        "audio": tone,
        "to": tmp_path / "o.mp4",
        "style": RenderStyle(width=144, height=144, fps=24),
    }
    seconds = list[float]()
    try:
        with pytest.raises(RenderError, match=r"^The render crashed, perhaps because the memory"):
            worker.render(arguments, lambda *_: worker.kill())
        with pytest.raises(RenderError, match="The audio file does not exist"):
            worker.render({**arguments, "audio": tmp_path / "no"}, print)
        with pytest.raises(UnexpectedError, match="This is a bug in mp4gen"):
            worker.render({**arguments, "author": 7}, print)
        worker.kill()  # between two files
        worker.join()
        result = worker.render(arguments, lambda done, _: seconds.append(done))
    finally:
        worker.stop()
        worker.join()

    assert result.path == tmp_path / "o.mp4"
    assert seconds[-1] == 1.0


@pytest.mark.parametrize("fails_last", [False, True])
async def test_other_processes_do_the_work_of_one_that_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_last: bool
) -> None:
    """No file fails because the machine has no room for another process, also the last one."""
    jobs = [RenderJob(Path(f"{n}.wav"), tmp_path / f"{n}.mp4") for n in range(3)]
    run = RenderRun(Output(), jobs, {}, processes=2)
    rendered, turn = list[Path](), threading.Event()

    def render(worker: RenderWorker, arguments: Any, _: object) -> RenderResult:
        cannot_start = worker is run._workers[1]
        if cannot_start == fails_last and not turn.is_set():
            assert turn.wait(100)
        if cannot_start:
            turn.set()
            raise NoWorkerError("Cannot start a process.")
        rendered.append(arguments["audio"])
        if len(rendered) == 2:
            turn.set()
        return RenderResult(arguments["to"], 1.0, 2, 2, 1, 1, "aac", False, "h264", 1)

    monkeypatch.setattr(RenderWorker, "render", render)

    assert await run.run() == 0
    assert sorted(rendered) == [job.audio for job in jobs]


def test_run_ends_if_no_process_can_start(
    mp4gen: Any, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 1, the reason is reported, and all files remain."""

    def fail(_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", fail)

    ended = mp4gen("render", music, "--to", tmp_path / "v", "--workers", 2)

    assert ended.code == 1
    assert ended.out == "0 videos rendered, 0 skipped, 0 failed, 4 remaining\n"
    assert "mp4gen: Cannot start a process: Resource temporarily unavailable. Use" in ended.err


@pytest.mark.slow
def test_stopped_worker_leaves_nothing(tone: Path, tmp_path: Path) -> None:
    """The render is cancelled, and another one is not begun."""
    worker = RenderWorker()
    # A render that is done in the tenth of a second between two checks cannot be cancelled.
    with wave.open(str(tone), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * 60))
    arguments = {"audio": tone, "to": tmp_path / "o.mp4"}

    for _ in range(2):
        with pytest.raises(RenderCancelledError):
            worker.render(arguments, lambda *_: worker.stop())
    worker.join()
    killed = RenderWorker()
    with pytest.raises(RenderCancelledError):
        killed.render(arguments, lambda *_: (killed.stop(), killed.kill()))
    for part in tmp_path.glob(".mp4gen-*.part"):
        part.unlink()

    assert names_in(tmp_path) == ["tone.wav"]


@pytest.mark.slow
async def test_second_interrupt_kills_the_processes(
    tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A render that does not react, on a network mount that hangs, cannot delay it."""
    jobs = [RenderJob(tone, tmp_path / "o.mp4")]
    style = RenderStyle(width=144, height=144, fps=24)
    run = RenderRun(Output(), jobs, {"style": style}, processes=1)
    started, stopped = asyncio.Event(), asyncio.Event()
    loop, workers = asyncio.get_running_loop(), list[RenderWorker]()

    def hang(worker: RenderWorker, *_: object) -> None:
        workers.append(worker)
        worker._start()
        loop.call_soon_threadsafe(started.set)
        worker._process.join()
        raise RenderCancelledError("The process is gone.")

    monkeypatch.setattr(render_run, "KILL_AFTER", 0.01)
    monkeypatch.setattr(RenderWorker, "render", hang)
    monkeypatch.setattr(RenderWorker, "stop", lambda _: stopped.set())
    task = asyncio.create_task(run.run())
    await started.wait()

    task.cancel()
    await stopped.wait()
    assert not task.done()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not workers[0]._process.is_alive()
