"""Runs one render at a time in a worker process with limits; knows no task and no HTTP.

A worker runs at low priority, with limits of memory, processor time and file size. Windows has none
of these limits, and macOS has none of memory. A worker ignores the signals that its server handles,
and it ends when its server ends or is killed.
"""

import contextlib
import ctypes
import functools
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from mp4gen.errors import Mp4GenError, RenderError, RenderIOError
from mp4gen.server.process_limits import set_limit
from mp4gen.signals import STOP_SIGNALS, ignore

from .video_options import DEFAULT_OPTIONS, NO_LYRICS, VideoOptions, lyrics_name
from .worker_channel import WorkerChannel

if TYPE_CHECKING:
    from mp4gen.render import RenderStyle, SongCache
    from mp4gen.render.lyrics.source import LyricsChoice
    from mp4gen.render.side_by_side import Workers

T = TypeVar("T")

NICE = 10
_REPORT_INTERVAL = 0.1
_MAX_FILE_BYTES = 8 << 30
_PR_SET_PDEATHSIG = 1
PIECES = "pieces.socket"
# The fields of a style that name files.
STYLE_FILES = ("background", "font", "fonts", "logo")


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
        options: The title, and which part of the song the video has. The look is in `style`.
        cover: A picture to show instead of the song's cover.
        max_duration: Maximum seconds of music.
        cpu_seconds: Maximum seconds of processor time, of each process.
        workers: Maximum number of processes, the worker included.
        may_be_joined: Whether processes on other machines may encode pieces, by `pieces`.
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
    workers: int = 1
    options: VideoOptions = DEFAULT_OPTIONS
    cover: Path | None = None
    may_be_joined: bool = False

    @property
    def pieces(self) -> Path:
        """The path of the socket at which other processes join the render."""
        return self.folder / PIECES

    @property
    def video(self) -> Path:
        """The path of the finished video."""
        return self.folder / "video.mp4"


@attrs.frozen
class RenderedVideo:
    """The result of a render, as it is sent to the server.

    Attributes:
        duration: Seconds of the video.
        warnings: The renderer's sentences about it.
    """

    duration: float
    warnings: tuple[str, ...] = ()


class PieceDiedError(Mp4GenError):
    """A process that the worker started ended before its part of the render was done."""


def initialize(server_pid: int, memory_limit: int) -> None:
    """Set the limits of this process, before its first job; no memory limit if it is 0."""
    # A terminal and a service manager send these to all processes. The server lets renders end.
    ignore(STOP_SIGNALS)
    _exit_with_parent(server_pid)
    if sys.platform != "win32":
        os.nice(NICE)
    # Videos are private until the server hands them out.
    os.umask(0o077)
    set_limit("RLIMIT_CORE", 0)
    set_limit("RLIMIT_FSIZE", _MAX_FILE_BYTES)
    if memory_limit:
        set_limit("RLIMIT_AS", memory_limit)
    # The matrix products are too small for threads.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def limit_cpu(seconds: float) -> None:
    """Let the kernel end this process after `seconds` more seconds of processor time."""
    set_limit("RLIMIT_CPU", int(time.process_time() + seconds) + 1)


def run_limited(cpu_seconds: float, func: Callable[..., T], *args: Any) -> T:
    """Return `func(*args)`, unless it needs more seconds of processor time."""
    limit_cpu(cpu_seconds)
    return func(*args)


def render(job: RenderJob) -> RenderedVideo:
    """Render `job` into its folder.

    Raises:
        RenderError: The file cannot become a video.
        RenderIOError: A file cannot be read or written now.
        RenderCancelledError: The server cancelled the render.
        PieceDiedError: A process of the render ended before it was done.
    """
    channel = WorkerChannel(job.folder)
    channel.report_begin()
    limit_cpu(job.cpu_seconds)
    from mp4gen.render import probe, render_video
    from mp4gen.render.pieces import PieceProcessError

    check_inside(job)
    info = probe(job.audio)
    # Until now the server has only an estimate, and the analysis of the music takes a while.
    reporter = _Reporter(channel, job.options.seconds_of(info.duration), job.workers)
    try:
        result = render_video(
            job.audio,
            job.video,
            # Without a title in the tags, the file name is the title.
            title=job.options.title or info.title or job.audio.stem,
            author=job.author,
            domain_name=job.domain_name,
            cover=job.cover,
            lyrics=_lyrics(job),
            start=job.options.start,
            length=job.options.length,
            style=_style(job),
            audio_mode="copy" if job.audio_mode == "copy" else "compatible",
            max_duration=job.max_duration,
            workers=_workers(job, channel, reporter),
            on_progress=reporter,
            cancel=reporter,
            # The server knows how long a render may take on this machine.
            timeout=math.inf,
            cache=_song_cache(),
        )
    except PieceProcessError as error:
        # The server does not load the renderer, not even for an error.
        raise PieceDiedError(str(error)) from error
    return RenderedVideo(result.duration, result.warnings)


def _workers(job: RenderJob, channel: WorkerChannel, reporter: "_Reporter") -> "Workers":
    if job.may_be_joined:
        from mp4gen.render.joined_processes import JoinedProcesses

        # Without the socket, it renders alone.
        with contextlib.suppress(OSError):
            return JoinedProcesses(job.pieces, channel.request_helpers)
    return reporter.workers


def encode_pieces(address: Path, cpu_seconds: float) -> None:
    """Encode pieces of the video whose process is at the other end of the socket `address`."""
    limit_cpu(cpu_seconds)
    from mp4gen.render.piece_worker import serve
    from mp4gen.render.socket_path import AF_UNIX, short_path

    with socket.socket(AF_UNIX) as end, contextlib.suppress(EOFError, ConnectionError):
        with short_path(address) as path:
            end.connect(path)
        with connection.Connection(end.detach()) as joined:
            serve(joined)


def check_inside(job: RenderJob) -> None:
    """Refuse a music file that a link has moved out of the music folder.

    Raises:
        RenderError: The file is outside.
    """
    if not job.audio.resolve().is_relative_to(job.root):
        raise RenderError("The music file is outside the music folder.")


def _lyrics(job: RenderJob) -> "LyricsChoice":
    """Return the lyrics of a render, in a file of its folder if the job has their text."""
    text = job.options.lyrics
    if text is None:
        return "auto"
    if text == NO_LYRICS:
        return None
    path = job.folder / lyrics_name(text)
    path.write_text(text, encoding="utf-8", errors="replace")
    return path


@functools.cache
def _song_cache() -> "SongCache":
    """Return what this process keeps of a song: people order several videos of one."""
    from mp4gen.render import SongCache

    return SongCache()


def _style(job: RenderJob) -> "RenderStyle":
    """Return the style of a render.

    Raises:
        RenderIOError: A file of the server is gone or damaged, which is not the song's fault.
    """
    from mp4gen.render import RenderStyle, fonts
    from mp4gen.render.preparation import check_pictures

    try:
        style = RenderStyle(**job.style)  # type: ignore[arg-type]
        if not job.options.picture_names:
            check_pictures(style)
    except RenderError as error:
        raise RenderIOError(str(error)) from error
    for path in style.font_files:
        if not fonts.is_loadable(path):
            raise RenderIOError(f"Cannot read the font file: {Path(path).name}. Check --font.")
    return style


class _Reporter:
    """Reports the progress, ten times per second at most, and checks for a cancellation.

    As the render's cancel token it is asked for every packet and frame. Each question shows that
    the render makes progress, also while long music is analysed and no second of the video is done.
    """

    def __init__(self, channel: WorkerChannel, total: float, workers: int) -> None:
        self._channel, self._workers = channel, workers
        self._done, self._total = 0.0, total
        self._signs_of_life = 0
        self._cancelled = False
        self._next = 0.0
        self._report(time.monotonic())

    def __call__(self, done: float, total: float) -> None:
        self._done, self._total = done, total
        now = time.monotonic()
        if now >= self._next or done >= total:
            self._report(now)

    def is_set(self) -> bool:
        """Return whether the render was asked to stop."""
        now = time.monotonic()
        if now >= self._next:
            self._report(now)
        return self._cancelled

    def workers(self) -> int:
        """Return how many processes the render may have now."""
        return self._workers

    def _report(self, now: float) -> None:
        self._next = now + _REPORT_INTERVAL
        self._signs_of_life += 1
        self._channel.report_progress(self._done, self._total, self._signs_of_life)
        self._cancelled = self._cancelled or self._channel.cancelled
        if self._workers > 1 and self._channel.shared:
            self._workers = 1


def _exit_with_parent(server_pid: int) -> None:
    """End this process when the server ends, also if the server is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    # In a virtual environment of Windows, a launcher is the parent.
    if parent is None or (sys.platform != "win32" and os.getppid() != server_pid):
        os._exit(1)

    # On systems without that: this end of a pipe becomes ready when the other is closed.
    def exit_when_ready() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=exit_when_ready, daemon=True).start()
