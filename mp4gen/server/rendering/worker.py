"""Runs one render at a time in a worker process with limits; knows no task and no HTTP.

A worker runs at low priority, with limits of memory, processor time and file size. It ignores
Ctrl-C, which is its server's to handle, and it ends when its server ends or is killed.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from multiprocessing import connection, parent_process
from pathlib import Path

import attrs

from mp4gen.errors import RenderError

from .worker_channel import WorkerChannel

NICE = 10
_REPORT_INTERVAL = 0.1
_MAX_FILE_BYTES = 8 << 30
_PR_SET_PDEATHSIG = 1


@attrs.frozen(kw_only=True)
class RenderJob:
    """One render, as it is sent to a worker.

    Attributes:
        audio: The audio file.
        root: The folder that must contain the file, links resolved, when the render begins.
        folder: The folder of the render, which gets the video.
        author: Shown at the beginning.
        domain_name: The watermark.
        style: The arguments of `RenderStyle`.
        audio_mode: "compatible" or "copy".
        max_duration: Maximum seconds of music.
        cpu_seconds: Maximum seconds of processor time.
    """

    audio: Path
    root: Path
    folder: Path
    author: str | None
    domain_name: str | None
    style: dict[str, object]
    audio_mode: str
    max_duration: float
    cpu_seconds: float

    @property
    def video(self) -> Path:
        """The path of the finished video."""
        return self.folder / "video.mp4"


def initialize(server_pid: int, memory_limit: int) -> None:
    """Set the limits of this process, before its first job; no memory limit if it is 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _exit_with_parent(server_pid)
    os.nice(NICE)
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", _MAX_FILE_BYTES)
    if memory_limit:
        _limit("RLIMIT_AS", memory_limit)
    # The matrix products are too small for threads.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def render(job: RenderJob) -> float:
    """Render `job` into its folder.

    Returns:
        The duration of the video in seconds.

    Raises:
        RenderError: The file cannot become a video.
        RenderCancelledError: The server cancelled the render.
    """
    from mp4gen.render import RenderStyle, probe, render_video

    _limit("RLIMIT_CPU", int(time.process_time() + job.cpu_seconds) + 1)
    if not job.audio.resolve().is_relative_to(job.root):
        raise RenderError("The music file is outside the music folder.")
    channel = WorkerChannel(job.folder)
    info = probe(job.audio)
    if info.duration:
        # Until now the server has only an estimate, and the analysis of the music takes a while.
        channel.report_progress(0.0, info.duration)
    reporter = _Reporter(channel)
    result = render_video(
        job.audio,
        job.video,
        # Without a title in the tags, the file name is the title.
        title=info.title or job.audio.stem,
        author=job.author,
        domain_name=job.domain_name,
        style=RenderStyle(**job.style),  # type: ignore[arg-type]
        audio_mode="copy" if job.audio_mode == "copy" else "compatible",
        max_duration=job.max_duration,
        on_progress=reporter,
        cancel=reporter.cancel,
    )
    return result.duration


class _Reporter:
    """Reports the progress, ten times per second at most, and checks for a cancellation."""

    def __init__(self, channel: WorkerChannel) -> None:
        self.cancel = threading.Event()
        self._channel = channel
        self._next = 0.0

    def __call__(self, done: float, total: float) -> None:
        now = time.monotonic()
        if now < self._next and done < total:
            return
        self._next = now + _REPORT_INTERVAL
        self._channel.report_progress(done, total)
        if self._channel.cancelled:
            self.cancel.set()


def _exit_with_parent(server_pid: int) -> None:
    """End this process when the server ends, also if the server is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is None or os.getppid() != server_pid:
        os._exit(1)

    # On systems without that: this end of a pipe becomes ready when the other is closed.
    def exit_when_ready() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=exit_when_ready, daemon=True).start()


def _limit(name: str, value: int) -> None:
    """Set a soft limit of the kernel, within the hard one."""
    if sys.platform == "win32":
        return
    import resource

    limit = getattr(resource, name)
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
