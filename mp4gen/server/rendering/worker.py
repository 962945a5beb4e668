"""What runs inside a worker process: one render at a time, fenced in; knows no task and no HTTP.

A worker is at low priority, bounded in memory, processor time and file size, deaf to Ctrl-C (its
server decides), and it never outlives its server, however that ended.
"""

from __future__ import annotations

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
    """One render, as it travels to a worker.

    Attributes:
        audio: the music file.
        root: the folder that the music must lie in when the render begins, also by its links.
        folder: the render's own folder; the video is written there.
        author: shown at the beginning.
        domain_name: the watermark.
        style: the picture, as the arguments of `RenderStyle`.
        audio_mode: "compatible" or "copy".
        max_duration: seconds of music at most.
        cpu_seconds: processor time at most.
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
        """Where the finished video is."""
        return self.folder / "video.mp4"


def initialize(server_pid: int, memory_limit: int) -> None:
    """Fence this process in, before its first job.

    Args:
        server_pid: the process id of the server.
        memory_limit: bytes of address space at most; 0 for no limit.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _exit_with_parent(server_pid)
    _lower_priority()
    _limit_memory(memory_limit)
    # Its matrix products are tiny: threads for them only cost.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def render(job: RenderJob) -> float:
    """Render `job` into its folder.

    Returns:
        The length of the video in seconds.

    Raises:
        RenderError: the music cannot become a video; says why.
        RenderCancelledError: the server said to stop.
    """
    from mp4gen.render import RenderStyle, probe, render_video

    _limit_cpu(job.cpu_seconds)
    if not job.audio.resolve().is_relative_to(job.root):
        raise RenderError("The music file is outside the music folder.")
    channel = WorkerChannel(job.folder)
    info = probe(job.audio)
    if info.duration:
        # Nobody knew for sure so far, and the music will be listened to for a while now.
        channel.report_progress(0.0, info.duration)
    reporter = _Reporter(channel)
    result = render_video(
        job.audio,
        job.video,
        # Music that names itself nowhere has its file's name for a title.
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
    """Passes progress on, not too often, and looks whether the server wants it to stop."""

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
    """End when the server ends, even when it is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is None or os.getppid() != server_pid:
        os._exit(1)
    # Wherever the kernel does not do it: this end of a pipe wakes when the other is gone.
    watcher = threading.Thread(target=_exit_when_ready, args=(parent.sentinel,), daemon=True)
    watcher.start()


def _exit_when_ready(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _lower_priority() -> None:
    try:
        os.nice(NICE)
    except OSError:
        # Already as low as it goes.
        return


def _limit_memory(memory_limit: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: _MAX_FILE_BYTES}
    if memory_limit:
        limits[resource.RLIMIT_AS] = memory_limit
    for limit, value in limits.items():
        _, hard = resource.getrlimit(limit)
        soft_limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (soft_limit, hard))


def _limit_cpu(seconds: float) -> None:
    """Let this job use so much processor time; the kernel ends the process beyond it."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    cpu_limit = int(used.ru_utime + used.ru_stime + seconds) + 1
    cpu_limit = cpu_limit if hard == resource.RLIM_INFINITY else min(cpu_limit, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, hard))
