"""Renders in a process of its own, so that a crash costs one video only; knows no display."""

import multiprocessing
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any

from mp4gen.errors import Mp4GenError, RenderCancelledError, RenderError, UnexpectedError
from mp4gen.render import RenderResult, SongCache, render_video
from mp4gen.signals import STOP_SIGNALS, held_back, ignore

from .exit_codes import error_message

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

_CHECK_INTERVAL = 0.1


class NoWorkerError(Mp4GenError):
    """The process of a worker cannot be started."""


class RenderWorker:
    """A process that renders one file at a time; it starts with the first, and again after a crash.

    Its methods block; `stop` and `kill` may be called from another thread. A worker ends with its
    parent process, and leaves no partial video then.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._stopped = False

    def render(
        self, arguments: Mapping[str, Any], on_progress: Callable[[float, float], object]
    ) -> RenderResult:
        """Return the result of `render_video(**arguments)`.

        Raises:
            RenderCancelledError: `stop` was called.
            RenderError: The render failed, or its process crashed.
            UnexpectedError: An exception that `render_video` does not describe.
            NoWorkerError: The process cannot be started.
        """
        with self._lock:
            if self._stopped:
                raise RenderCancelledError("The render was cancelled.")
            if self._process is not None and not self._process.is_alive():
                self._discard()
            try:
                connection = self._connection or self._start()
                connection.send(arguments)
            except OSError as error:
                raise NoWorkerError(
                    f"Cannot start a process: {error.strerror}. Use fewer --workers, or close "
                    "other programs."
                ) from error
        try:
            while isinstance(message := connection.recv(), tuple):
                on_progress(*message)
        except (EOFError, OSError):
            self._discard()
            if self._stopped:
                raise RenderCancelledError("The render was cancelled.") from None
            raise RenderError(
                "The render crashed, perhaps because the memory was exhausted. Render the file "
                "again, with fewer --workers."
            ) from None
        if isinstance(message, Exception):
            raise message
        result: RenderResult = message
        return result

    def stop(self) -> None:
        """Cancel the render and end the process, without waiting for it."""
        with self._lock:
            self._stopped = True
            if self._connection is not None:
                with suppress(OSError):
                    self._connection.send(None)

    def kill(self) -> None:
        """End the process immediately; it may leave a part of a video behind."""
        if self._process is not None:
            self._process.kill()

    def join(self) -> None:
        """Wait for the end of the process."""
        if self._process is not None:
            self._process.join()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve_renders, args=(theirs,))
        try:
            if sys.platform != "win32":
                # Its start would change the signals that are blocked below.
                resource_tracker.ensure_running()
            # A Ctrl-C must not end the new process before it can ignore it.
            with theirs, held_back(STOP_SIGNALS):
                process.start()
        except OSError:
            ours.close()
            raise
        self._connection, self._process = ours, process
        return ours

    def _discard(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self.kill()
        self.join()


def serve_renders(connection: Connection) -> None:
    """Render what the parent process sends, until it sends None or ends."""
    # A terminal sends these to all processes of a command: only the first one handles them.
    ignore(STOP_SIGNALS)
    warnings.simplefilter("ignore")
    cache = SongCache()
    with suppress(EOFError, OSError):
        while (arguments := connection.recv()) is not None:
            connection.send(_render({**arguments, "cache": cache}, connection))


def _render(arguments: Mapping[str, Any], connection: Connection) -> RenderResult | Exception:
    def on_progress(done: float, total: float) -> None:
        connection.send((done, total))

    try:
        return render_video(**arguments, on_progress=on_progress, cancel=_StopToken(connection))
    except Mp4GenError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the parent reports it
        return UnexpectedError(error_message(error))


class _StopToken:
    """Tells a render to stop when the parent process has sent something, or has ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stopped = False
        self._next_check = 0.0

    def is_set(self) -> bool:
        """Return whether to stop; asks the connection ten times per second at most."""
        now = time.monotonic()
        if not self._stopped and now >= self._next_check:
            self._next_check = now + _CHECK_INTERVAL
            self._stopped = self._connection.poll()
        return self._stopped
