"""Renders in several processes: the same video, and no process or file left in any case."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from mp4gen.errors import RenderCancelledError, RenderError, RenderIOError
from mp4gen.render import (
    RenderStyle,
    analysis,
    piece_process,
    pieces,
    preparation,
    render_video,
    side_by_side,
)
from mp4gen.render.canvas import Canvas
from mp4gen.render.looks import OWN_LOOKS
from mp4gen.render.piece_process import PieceProcess
from mp4gen.render.pieces import Drawing, Piece
from mp4gen.render.side_by_side import PieceProcesses
from mp4gen.signals import STOP_SIGNALS

# Its reflections move every fifth frame, and its pieces do not begin with one of those.
SMALL = RenderStyle(width=160, height=160, fps=48)
FRAMES_PER_PIECE = 18


class Processes(list[PieceProcess]):
    """All processes that the test started."""

    def start(self) -> PieceProcess:
        self.append(PieceProcess())
        return self[-1]

    def has_ended(self) -> list[bool]:
        return [process._process.returncode is not None for process in self]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Make short music worth several processes and many pieces; yield the processes."""
    started = Processes()

    def cut(frame_count: int, _: RenderStyle) -> list[Piece]:
        firsts = range(0, frame_count, FRAMES_PER_PIECE)
        return [Piece(first, min(first + FRAMES_PER_PIECE, frame_count)) for first in firsts]

    monkeypatch.setattr(side_by_side, "SECONDS_PER_PROCESS", 0.1)
    monkeypatch.setattr(pieces, "cut", cut)
    monkeypatch.setattr(piece_process, "PieceProcess", started.start)
    yield started
    for process in started:
        process.close()


@pytest.fixture(scope="module")
def music(tools, tmp_path_factory) -> Path:
    """Return music with beats, whose light dims over many frames."""
    samples = tools.clicks([0.2, 0.9, 1.3, 2.2, 3.1], 4.0) + tools.tone(4.0) * 0.5
    return tools.encode(tmp_path_factory.mktemp("music") / "beats.mp3", samples)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_bytes_do_not_depend_on_the_workers(processes, music, tmp_path, workers):
    """Pictures, sound, tags and cover are those of one process."""
    files = [tmp_path / "one.mp4", tmp_path / "more.mp4"]
    words = {"author": "A", "title": "T", "domain_name": "d.example", "style": SMALL}

    render_video(music, files[0], **words)
    alone = len(processes)
    render_video(music, files[1], workers=workers, **words)

    assert alone == 0
    assert len(processes) == workers - 1
    assert processes.has_ended() == [True] * (workers - 1)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == sorted(files)


@pytest.mark.parametrize("look", OWN_LOOKS)
def test_any_piece_is_drawn_like_the_whole(music, look):
    """Light, reflections and the progress line have the state of the frames before."""
    style = attrs.evolve(SMALL, look=look)
    request = preparation.RenderRequest("A", None, "T", None, style, 60.0)
    prepared = preparation.prepare(music, request, partial(analysis.analyse))

    def canvases(drawing: Drawing, canvas: Canvas, piece: Piece) -> list[np.ndarray]:
        return [np.concatenate(canvas.buffers).copy() for _ in drawing.draw(piece)]

    whole, part = Canvas(160, 160), Canvas(160, 160)
    expected = canvases(Drawing(prepared, whole), whole, Piece(0, prepared.spec.frame_count))
    drawing = Drawing(prepared, part)

    for piece in (Piece(97, 103), Piece(180, 192), Piece(33, 40), Piece(0, 3)):
        drawn = canvases(drawing, part, piece)
        np.testing.assert_array_equal(drawn, expected[piece.first : piece.end])


@pytest.mark.slow
def test_progress_never_decreases(processes, music, tmp_path):
    """It goes from 0 to the duration in steps of about half a second."""
    reports: list[tuple[float, float]] = []

    render_video(
        music, tmp_path / "o.mp4", style=SMALL, workers=2,
        on_progress=lambda *both: reports.append(both),
    )  # fmt: skip

    duration = reports[-1][1]
    assert reports[0] == (0.0, duration)
    assert reports[-1] == (duration, duration)
    assert reports == sorted(reports)
    assert duration / 0.5 <= len(reports) <= duration / 0.5 + 3


def render_until_begun(
    music: Path, to: Path, processes: Processes, act: Callable[[], object], **options: Any
) -> None:
    """Render with two workers, and call `act` when the other one has begun a piece."""
    steps = [lambda: processes[0]._connection.poll(None), act]

    def on_progress(_: float, __: float) -> None:
        # On a busy machine this process would be done before the other is ready.
        if steps and (len(steps) == 2 or processes[0]._is_prepared):
            steps.pop(0)()

    options = {"workers": 2, **options}
    render_video(music, to, style=SMALL, on_progress=on_progress, **options)
    assert not steps


@pytest.mark.parametrize(("name", "value"), [("frozen", True), ("platform", "win32")])
def test_programs_without_an_interpreter_use_one_process(monkeypatch, name, value):
    """A frozen program would start itself again; Windows hands over no descriptor."""
    monkeypatch.setattr(sys, name, value, raising=False)

    with side_by_side.PieceProcesses(4) as processes:
        assert processes.limit == 1


def test_render_in_one_process_loads_no_module_for_others(monkeypatch):
    """Most renders have one worker, or too little music for a second."""
    monkeypatch.setitem(sys.modules, "mp4gen.render.piece_process", None)

    with side_by_side.PieceProcesses(1) as one, side_by_side.PieceProcesses(4) as short:
        one.start(600)
        short.start(30)

        assert [one.count, short.count] == [1, 1]


@pytest.mark.slow
def test_killed_process_is_an_error(processes, music, tmp_path):
    """The error names its status; no file and no process is left."""
    with pytest.raises(RenderIOError, match=r"ended unexpectedly, with the status -9\. Check"):
        render_until_begun(
            music, tmp_path / "o.mp4", processes,
            lambda: os.kill(processes[0]._process.pid, signal.SIGKILL),
        )  # fmt: skip

    assert processes.has_ended() == [True]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
def test_hanging_process_is_an_error(processes, music, tmp_path, monkeypatch):
    """A process that reports nothing for long is ended."""
    monkeypatch.setattr(side_by_side, "_MAX_SILENCE", 0.1)

    with pytest.raises(RenderIOError, match="A render process hangs"):
        render_until_begun(
            music, tmp_path / "o.mp4", processes,
            lambda: os.kill(processes[0]._process.pid, signal.SIGSTOP),
        )  # fmt: skip

    assert processes.has_ended() == [True]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
def test_time_in_which_all_were_stopped_is_not_a_hang(processes, music, tmp_path, monkeypatch):
    """Ctrl-Z stops a whole command, and the clock goes on."""
    real_wait, real_clock, waits = PieceProcesses.wait, time.monotonic, 0

    def wait(self: PieceProcesses, timeout: float) -> list[PieceProcess]:
        nonlocal waits
        waits += bool(timeout)
        if waits == 3:
            os.kill(processes[0]._process.pid, signal.SIGCONT)
        return real_wait(self, timeout)

    monkeypatch.setattr(PieceProcesses, "wait", wait)
    monkeypatch.setattr(time, "monotonic", lambda: real_clock() + 1000 * waits)

    render_until_begun(
        music, tmp_path / "o.mp4", processes,
        lambda: os.kill(processes[0]._process.pid, signal.SIGSTOP), timeout=math.inf,
    )  # fmt: skip

    assert waits >= 3


@pytest.mark.slow
def test_signals_to_a_whole_group_end_no_process(processes, music, tmp_path):
    """A service manager and a closed terminal send them to all; the caller handles them."""

    def send() -> None:
        for number in STOP_SIGNALS:
            os.kill(processes[0]._process.pid, number)

    render_until_begun(music, tmp_path / "o.mp4", processes, send)

    assert processes.has_ended() == [True]
    assert (tmp_path / "o.mp4").exists()


@pytest.mark.slow
def test_cancel_ends_all_processes(processes, music, tmp_path):
    """Neither a process nor a file is left."""
    cancel = threading.Event()

    with pytest.raises(RenderCancelledError):
        render_until_begun(music, tmp_path / "o.mp4", processes, cancel.set, cancel=cancel)

    assert processes.has_ended() == [True]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
def test_error_of_a_process_is_raised(processes, music, tmp_path, monkeypatch):
    """The error of another process is raised as it would be in this one."""
    encode = PieceProcess.encode
    monkeypatch.setattr(PieceProcess, "encode", lambda self, _, piece: encode(self, (), piece))

    with pytest.raises(AttributeError, match="'tuple' object"):
        render_until_begun(music, tmp_path / "o.mp4", processes, lambda: None)

    assert processes.has_ended() == [True]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
def test_lowered_number_of_workers_ends_processes(processes, music, tmp_path):
    """What a process had begun is encoded again, with the same bytes."""
    files, limit = [tmp_path / "one.mp4", tmp_path / "two.mp4"], 2

    def lower() -> None:
        nonlocal limit
        limit = 1

    render_video(music, files[0], style=SMALL)
    render_until_begun(music, files[1], processes, lower, workers=lambda: limit)

    assert processes.has_ended() == [True]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_process_that_cannot_start_is_left_out(processes, music, tmp_path, monkeypatch, caplog):
    """The video is rendered by those that could be started."""

    def fail() -> PieceProcess:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(piece_process, "PieceProcess", fail)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL, workers=2)

    assert result.frames == 4 * 48
    assert "fewer processes than requested: [Errno 11]" in caplog.text


def test_short_track_is_not_worth_a_process(music, tmp_path, monkeypatch):
    """A process takes longer to start than a few seconds of music to render."""
    monkeypatch.setattr(piece_process, "PieceProcess", None)

    assert render_video(music, tmp_path / "o.mp4", style=SMALL, workers=8).frames == 4 * 48


@pytest.mark.parametrize("workers", [0, -1, 65, 2.0, "2"])
def test_invalid_number_of_workers_is_refused(music, tmp_path, workers):
    """The error comes before any work."""
    with pytest.raises(RenderError, match=r"Invalid workers: .* whole number from 1 to 64\."):
        render_video(music, tmp_path / "o.mp4", workers=workers)


# Its render is not guarded by a check of __name__.
SCRIPT = """
import sys
from mp4gen.render import piece_process, pieces, presets, render_video, side_by_side
pieces.PIECE_SECONDS = 0.25
presets.NO_PRESET = presets.Preset(label="", keyframe_seconds=0.25)
side_by_side.SECONDS_PER_PROCESS = 0.1
Process = piece_process.PieceProcess
class Announced(Process):
    def encode(self, *arguments):
        super().encode(*arguments)
        print("begun", flush=True)
        sys.stdin.read()
piece_process.PieceProcess = Announced
render_video(*sys.argv[1:], workers=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_a_script_that_is_stopped(music, tmp_path, how):
    """The processes outlive neither a kill nor Ctrl-C of the script, and print nothing."""
    script, to = tmp_path / "script.py", tmp_path / "out" / "o.mp4"
    script.write_text(SCRIPT)
    to.parent.mkdir()
    command = [sys.executable, str(script), str(music), str(to)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, text=True,
    ) as child:  # fmt: skip
        assert child.stdout
        assert child.stdout.readline()
        if how == signal.SIGINT:
            # As a terminal does, to all of them.
            os.killpg(child.pid, how)
        else:
            child.kill()
        # The pipe ends when the last process that holds it has ended.
        _, errors = child.communicate(timeout=60)

    assert errors.count("Traceback") == (how == signal.SIGINT)
    assert errors.count("KeyboardInterrupt") == (how == signal.SIGINT)
    if how == signal.SIGINT:
        assert [*to.parent.iterdir()] == []
