"""Supervises one render in a worker until it ends; knows no queue and no store."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from mp4gen.errors import Mp4GenError, RenderCancelledError, RenderError, RenderIOError
from mp4gen.server.troubles import TransientError, WorkerLostError

from . import worker
from .eta import RenderProgress
from .pool import NoWorkerError, WorkerDiedError
from .slots import RenderSlot
from .worker_channel import WorkerChannel

log = logging.getLogger("mp4gen.server")

T = TypeVar("T")

# The codes of docs.sunoapi.org, "Music Video Generation Callbacks".
BAD_AUDIO, NO_AUDIO, RENDER_FAILED = 400, 451, 500
_CHECK_INTERVAL = 0.2
# Seconds that a poll is held: less than the 5 s after which some HTTP clients give up.
LONG_POLL_SECONDS = 4.0
# Each held poll keeps a connection busy.
_MAX_WAITERS = 16
# Seconds after which a render that was asked to stop is killed.
_KILL_AFTER = 3.0
_NO_MEMORY = "The render exceeded its memory limit."
# What the dynamic linker says if a library does not fit into the memory limit of a worker.
_MAPPING_FAILED = "failed to map segment"


class RenderFailedError(Mp4GenError):
    """The render ended without a video.

    Attributes:
        code: The API's number of the reason.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class RenderCrashedError(Mp4GenError):
    """The render took its worker with it; the song may be at fault, or the machine."""


class RenderInterruptedError(Mp4GenError):
    """The render ended because the server stops or the task was deleted."""


class SupervisedRender:
    """One running render, which may take `timeout` seconds from when a worker has its job.

    It updates `progress`, calls `on_change` after each change, and stops a render without
    progress after `progress_timeout` seconds.
    """

    def __init__(
        self,
        slot: RenderSlot,
        progress: RenderProgress,
        *,
        timeout: float,
        progress_timeout: float,
        on_change: Callable[[], None],
    ) -> None:
        self.slot, self.progress = slot, progress
        self._timeout, self._progress_timeout = timeout, progress_timeout
        self._on_change = on_change
        self._channel: WorkerChannel | None = None
        self._is_shared = False
        self._begun_at: float | None = None
        self._stop_requested_at: float | None = None
        self._stop_error: Mp4GenError | None = None
        self._waiters = 0
        self._done = asyncio.Event()
        self._stopped = asyncio.Event()

    async def wait_for_end(self) -> bool:
        """Wait until `release_waiters`, for `LONG_POLL_SECONDS` seconds at most.

        Returns:
            False, immediately, if too many wait already.
        """
        if self._waiters >= _MAX_WAITERS:
            return False
        self._waiters += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONG_POLL_SECONDS):
                    await self._done.wait()
        finally:
            self._waiters -= 1
        return True

    def release_waiters(self) -> None:
        """Release all waiters; later ones do not wait."""
        self._done.set()

    def stop(self) -> None:
        """Interrupt the render."""
        self.release_waiters()
        self._request_stop(RenderInterruptedError("The render was stopped."))

    def share(self) -> None:
        """Let the render go on in one process, because another one starts."""
        if self._is_shared:
            return
        self._is_shared = True
        if self._channel is not None:
            self._channel.share()

    async def wait_for(self, reading: Coroutine[Any, Any, T]) -> T:
        """Return the result of `reading`, which goes on alone if the render is stopped before.

        A music folder that hangs must not delay the stop.

        Raises:
            RenderInterruptedError: `stop` was called.
        """
        result, stopped = (
            asyncio.ensure_future(reading),
            asyncio.ensure_future(self._stopped.wait()),
        )
        try:
            await asyncio.wait({result, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if self._stop_error is not None:
                result.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                raise self._stop_error
            return await result
        finally:
            stopped.cancel()

    async def run(self, job: worker.RenderJob) -> worker.RenderedVideo:
        """Render `job` under supervision.

        Raises:
            RenderFailedError: The song cannot be rendered, or exceeds a limit.
            RenderCrashedError: The worker died, or hung, during the render.
            TransientError: Something else failed.
            RenderInterruptedError: `stop` was called.
        """
        if self._stop_error is not None:
            raise self._stop_error
        self._channel = WorkerChannel(job.folder)
        if self._is_shared:
            self._channel.share()
        try:
            return await self._supervise(job, self._channel)
        except Exception as error:
            raise (self._stop_error or _failure(error)) from error
        finally:
            # The folder is deleted next: a file written meanwhile would keep it.
            self._channel = None

    async def _supervise(
        self, job: worker.RenderJob, channel: WorkerChannel
    ) -> worker.RenderedVideo:
        render = asyncio.ensure_future(self._run_in_worker(job, channel))
        try:
            while not (await asyncio.wait({render}, timeout=_CHECK_INTERVAL))[0]:
                self._check(asyncio.get_running_loop().time())
            return render.result()
        finally:
            if not render.done():
                self.slot.kill()
                await asyncio.wait({render})

    async def _run_in_worker(
        self, job: worker.RenderJob, channel: WorkerChannel
    ) -> worker.RenderedVideo:
        for _ in range(2):
            try:
                return await self.slot.render(job)
            except WorkerDiedError:
                if channel.has_begun or self._stop_error is not None:
                    raise
                # It died before it had the job, most likely while it was idle.
        raise NoWorkerError("No worker can be started: it ends before it has a job.")

    def _check(self, now: float) -> None:
        progress = self.progress
        if self._channel and (report := self._channel.read_progress()):
            before = progress.done
            progress.update(now, *report)
            if progress.done != before:
                self._on_change()
        # Before it has the job, only the machine can be the reason.
        has_begun = self._channel is not None and self._channel.has_begun
        if has_begun and self._begun_at is None:
            self._begun_at = now
        if self._begun_at is not None and now - self._begun_at > self._timeout:
            text = f"The render took longer than {self._timeout:g} s and was stopped."
            self._request_stop(RenderFailedError(RENDER_FAILED, text))
        elif now - progress.changed_at > self._progress_timeout:
            text = f"The render made no progress for {self._progress_timeout:g} s and was stopped."
            self._request_stop(RenderCrashedError(text) if has_begun else TransientError(text))
        if self._stop_requested_at is not None and now - self._stop_requested_at > _KILL_AFTER:
            self.slot.kill()

    def _request_stop(self, error: Mp4GenError) -> None:
        if self._stop_requested_at is not None:
            return
        self._stop_requested_at = asyncio.get_running_loop().time()
        self._stop_error = error
        self._stopped.set()
        if self._channel is None:
            return
        self._channel.cancel()
        if not self.progress.done:
            # Before its first frame the worker does not read the channel.
            self.slot.kill()


def _failure(error: Exception) -> Mp4GenError:
    """Return what a failed render means: the song's fault, a crash, or a temporary failure."""
    failure: Mp4GenError
    match error:
        case WorkerLostError():
            failure = WorkerLostError(str(error))
        case TransientError() | RenderIOError():
            failure = TransientError(str(error))
        case OSError():
            reason = error.strerror or type(error).__name__
            failure = TransientError(f"The render failed: {reason}.")
        case ImportError() if _MAPPING_FAILED in str(error):
            failure = RenderCrashedError(_NO_MEMORY)
        case ImportError():
            failure = TransientError(f"The renderer cannot be loaded: {error}.")
        case RenderCancelledError():
            failure = RenderInterruptedError("The render was stopped.")
        case RenderError():
            failure = RenderFailedError(BAD_AUDIO, str(error))
        case WorkerDiedError() | worker.PieceDiedError():
            failure = RenderCrashedError(
                "The render crashed, or exceeded its limit of memory or processor time."
            )
        case MemoryError():
            failure = RenderCrashedError(_NO_MEMORY)
        case _:
            log.error("a render failed unexpectedly", exc_info=error)
            failure = RenderFailedError(
                RENDER_FAILED, f"The render failed: {type(error).__name__}."
            )
    return failure
