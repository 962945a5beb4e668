"""One render in a worker, watched from outside until its one end; knows no queue and no store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from mp4gen.errors import Mp4GenError, RenderCancelledError, RenderError

from . import worker
from .eta import LONG_POLL_SECONDS, Progress
from .pool import Slot, WorkerDiedError
from .worker_channel import Mailbox

log = logging.getLogger("mp4gen.server")

# The codes of docs.sunoapi.org, "Music Video Generation Callbacks".
BAD_AUDIO, NO_AUDIO, BROKEN = 400, 451, 500
_LOOK_EVERY = 0.2
# However many ask: whoever is held keeps a connection busy.
_MAX_WAITERS = 16
# A render that was asked to stop and has not by then is ended by force.
_GRACE = 3.0


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


class Render:
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
        slot: Slot,
        progress: Progress,
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
        self._mailbox: Mailbox | None = None
        self._asked_at: float | None = None
        self._fault = ""
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
        self._ask("")

    async def run(self, job: worker.RenderJob) -> float:
        """Render, and watch over it.

        Returns:
            The length of the video in seconds.

        Raises:
            RenderFailedError: it could not be done, or took too much of something.
            RenderInterruptedError: `stop` was called.
        """
        if self._is_unwanted():
            raise RenderInterruptedError("stopped before it began")
        self._mailbox = Mailbox(job.folder)
        try:
            return await self._watched(job)
        except Exception as error:
            if self._is_unwanted():
                raise RenderInterruptedError("stopped") from error
            raise self._failure(error) from error

    async def _watched(self, job: worker.RenderJob) -> float:
        render = asyncio.ensure_future(self.slot.run(worker.render, job))
        try:
            while not (await asyncio.wait({render}, timeout=_LOOK_EVERY))[0]:
                self._look(asyncio.get_running_loop().time())
            return render.result()
        finally:
            if not render.done():
                self.slot.kill()
                await asyncio.wait({render})

    def _look(self, now: float) -> None:
        progress = self.progress
        if self._mailbox and (told := self._mailbox.progress()):
            before = progress.done
            progress.seen(now, *told)
            if progress.done != before:
                self._on_change()
        if now - progress.started > self._timeout:
            self._ask(f"took longer than {self._timeout:g} s")
        elif now - progress.changed > self._progress_timeout:
            self._ask(f"made no progress for {self._progress_timeout:g} s")
        if self._asked_at is not None and now - self._asked_at > _GRACE:
            self.slot.kill()

    def _ask(self, fault: str) -> None:
        if self._asked_at is not None:
            return
        self._asked_at = asyncio.get_running_loop().time()
        self._fault = fault
        if self._mailbox is None:
            return
        self._mailbox.cancel()
        if not self.progress.done:
            # No picture is drawn yet, so it will not look into its mailbox soon either.
            self.slot.kill()

    def _is_unwanted(self) -> bool:
        return self._asked_at is not None and not self._fault

    def _failure(self, error: Exception) -> RenderFailedError:
        if self._fault:
            return RenderFailedError(BROKEN, f"the render {self._fault} and was ended")
        if isinstance(error, RenderError) and not isinstance(error, RenderCancelledError):
            return RenderFailedError(BAD_AUDIO, str(error))
        if isinstance(error, WorkerDiedError):
            message = "the render crashed, or used more memory or processor time than it may"
            return RenderFailedError(BROKEN, message)
        if isinstance(error, MemoryError):
            return RenderFailedError(BROKEN, "the render needed more memory than it may use")
        log.error("a render raised %r", error)
        return RenderFailedError(BROKEN, f"the render failed: {type(error).__name__}")
