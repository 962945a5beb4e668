"""One render in a worker, watched from outside until its one end; knows no queue and no store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from mp4gen.errors import Mp4GenError, RenderCancelledError, RenderError

from . import worker
from .eta import LONG_POLL_SECONDS, RenderProgress
from .pool import WorkerDiedError, WorkerSlot
from .worker_channel import WorkerChannel

log = logging.getLogger("mp4gen.server")

# The codes of docs.sunoapi.org, "Music Video Generation Callbacks".
BAD_AUDIO, NO_AUDIO, RENDER_FAILED = 400, 451, 500
_CHECK_INTERVAL = 0.2
# However many ask: whoever is held keeps a connection busy.
_MAX_WAITERS = 16
# A render that was asked to stop and has not by then is ended by force.
_KILL_AFTER = 3.0


class RenderFailedError(Mp4GenError):
    """The render ended without a video.

    Attributes:
        code: the API's number for why.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class RenderInterruptedError(Mp4GenError):
    """The render ended because nobody wants it now."""


class SupervisedRender:
    """One render under way.

    Args:
        slot: where it runs.
        progress: what is known of how far it is; kept up to date here.
        timeout: seconds it may take.
        progress_timeout: seconds it may be without progress.
        on_change: called whenever there was progress.
    """

    def __init__(
        self,
        slot: WorkerSlot,
        progress: RenderProgress,
        *,
        timeout: float,
        progress_timeout: float,
        on_change: Callable[[], None],
    ) -> None:
        self.slot, self.progress = slot, progress
        self._timeout, self._progress_timeout, self._on_change = (
            timeout,
            progress_timeout,
            on_change,
        )
        self._channel: WorkerChannel | None = None
        self._stop_requested_at: float | None = None
        self._stop_reason = ""
        self._waiters = 0
        self._done = asyncio.Event()

    async def wait_for_end(self) -> bool:
        """Wait until `release_waiters`, for `LONG_POLL_SECONDS` seconds at most; False where too many wait already."""
        if self._waiters >= _MAX_WAITERS:
            return False
        self._waiters += 1
        try:
            async with asyncio.timeout(LONG_POLL_SECONDS):
                await self._done.wait()
        except TimeoutError:
            return True
        finally:
            self._waiters -= 1
        return True

    def release_waiters(self) -> None:
        """Hold nobody any more: there is nothing to wait for."""
        self._done.set()

    def stop(self) -> None:
        """Interrupt the render: nobody wants it now."""
        self._request_stop("")

    async def run(self, job: worker.RenderJob) -> float:
        """Render, and watch over it.

        Returns:
            The length of the video in seconds.

        Raises:
            RenderFailedError: it could not be done, or took too much of something.
            RenderInterruptedError: `stop` was called.
        """
        if self._is_cancelled():
            raise RenderInterruptedError("stopped before it began")
        self._channel = WorkerChannel(job.folder)
        try:
            return await self._supervise(job)
        except Exception as error:
            if self._is_cancelled():
                raise RenderInterruptedError("stopped") from error
            raise self._failure(error) from error

    async def _supervise(self, job: worker.RenderJob) -> float:
        render = asyncio.ensure_future(self.slot.run(worker.render, job))
        try:
            while not (await asyncio.wait({render}, timeout=_CHECK_INTERVAL))[0]:
                self._check(asyncio.get_running_loop().time())
            return render.result()
        finally:
            if not render.done():
                self.slot.kill()
                await asyncio.wait({render})

    def _check(self, now: float) -> None:
        progress = self.progress
        if self._channel and (report := self._channel.read_progress()):
            before = progress.done
            progress.update(now, *report)
            if progress.done != before:
                self._on_change()
        if now - progress.started_at > self._timeout:
            self._request_stop(f"took longer than {self._timeout:g} s")
        elif now - progress.changed_at > self._progress_timeout:
            self._request_stop(f"made no progress for {self._progress_timeout:g} s")
        if self._stop_requested_at is not None and now - self._stop_requested_at > _KILL_AFTER:
            self.slot.kill()

    def _request_stop(self, reason: str) -> None:
        if self._stop_requested_at is not None:
            return
        self._stop_requested_at = asyncio.get_running_loop().time()
        self._stop_reason = reason
        if self._channel is None:
            return
        self._channel.cancel()
        if not self.progress.done:
            # No picture is drawn yet, so it will not look into its mailbox soon either.
            self.slot.kill()

    def _is_cancelled(self) -> bool:
        return self._stop_requested_at is not None and not self._stop_reason

    def _failure(self, error: Exception) -> RenderFailedError:
        if self._stop_reason:
            return RenderFailedError(RENDER_FAILED, f"the render {self._stop_reason} and was ended")
        if isinstance(error, RenderError) and not isinstance(error, RenderCancelledError):
            return RenderFailedError(BAD_AUDIO, str(error))
        if isinstance(error, WorkerDiedError):
            message = "the render crashed, or used more memory or processor time than it may"
            return RenderFailedError(RENDER_FAILED, message)
        if isinstance(error, MemoryError):
            return RenderFailedError(RENDER_FAILED, "the render needed more memory than it may use")
        log.error("a render raised %r", error)
        return RenderFailedError(RENDER_FAILED, f"the render failed: {type(error).__name__}")
