"""Run a bulk conversion: pull requests lazily, start a job for each track, yield the results."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sized
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Self

import attrs

from mp4gen.conversion.service import ConversionService
from mp4gen.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    MaintenanceError,
    Mp4GenError,
    ServerError,
    TransportError,
    UnexpectedError,
)
from mp4gen.models import VideoRequest
from mp4gen.task_errors import SubmitUncertainError, WaitTimeoutError
from mp4gen.transport.cleanup import wait_for_clean_up
from mp4gen.transport.unexpected import unexpected_error

from .ledger_entry import LedgerEntry, request_key
from .request_source import BATCH_SIZE, RequestSource, VideoRequests
from .results import Conversion, RunSummary
from .track_job import BulkOptions, TrackJob, finished_conversion
from .track_slots import TrackSlots

if TYPE_CHECKING:
    from mp4gen.downloads.downloader import Downloader

    from .ledger import Ledger

# Requests and results beyond the conversions in progress.
_PREFETCH = BATCH_SIZE
# Tracks whose downloads wait, for example for a host that is down. They take 11 KB each.
_MAX_DOWNLOADS = 2000
# Permanent errors that would also fail every later submit, unless only one track causes them.
_FATAL_ERRORS = (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    MaintenanceError,
    TransportError,
)
# Errors that say nothing of a track if they end an outage that is longer than a run waits.
_OUTAGE_ERRORS = (MaintenanceError, ServerError, TransportError)
# Errors after which the next run goes on with the track from where it stands.
_PASSING_ERRORS = (UnexpectedError, WaitTimeoutError)
# Tracks that may fail by a page or a broken connection, with no submit accepted in between, before
# it is clear that no submit gets through.
_MAX_BLOCKED_IN_ROW = 20


class ConversionRun:
    """A bulk run: an async iterator of `Conversion`s and an async context manager.

    Made by `Client.convert_many`. It starts when the first result is requested.
    """

    def __init__(
        self,
        requests: VideoRequests,
        service: ConversionService,
        downloader: Downloader | None,
        options: BulkOptions,
    ) -> None:
        self._requests = requests
        self._service = service
        self._downloader = downloader
        self._options = options
        self._ledger: Ledger | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], TrackJob] = {}
        self._duplicates: dict[tuple[str, str], list[VideoRequest]] = {}
        self._reported: set[tuple[str, str]] = set()
        self._track_slots = TrackSlots(service.concurrency + _PREFETCH, _MAX_DOWNLOADS)
        self._results: asyncio.Queue[Conversion | None] = asyncio.Queue()
        self._error: BaseException | None = None
        self._stop_reason: str | None = None
        self._stopping = asyncio.Event()
        self._closed = False
        self._accepted_submits = self._blocked_in_row = 0
        self._succeeded = self._failed = self._remaining = 0

    def __repr__(self) -> str:
        # An error reporter may show a run whose `__init__` failed halfway.
        return f"<mp4gen.ConversionRun {self.summary if hasattr(self, '_requests') else ''}>"

    @property
    def summary(self) -> RunSummary:
        """The counts so far; `remaining` includes all requests if they have a length."""
        remaining = self._remaining
        if isinstance(self._requests, Sized):
            remaining = len(self._requests) - self._succeeded - self._failed
        return RunSummary(self._succeeded, self._failed, remaining, self._stop_reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Conversion]:
        return self._iterate()

    def stop(self) -> None:
        """Submit nothing more; finish and yield the conversions in progress.

        Can be called from the event loop, from a signal handler and from other threads.
        """
        if self._loop is None or self._loop is _running_loop():
            self._stop("stop")
        if self._loop is not None:
            # Also from a signal handler: that interrupts the loop's sleep without ending it.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop, "stop")

    async def aclose(self) -> None:
        """End the run now; the next run with the same ledger resumes the submitted tracks."""
        was_closed, self._closed = self._closed, True
        if self._runner is None:
            return
        if not was_closed and not self._runner.done():
            self._stop_reason = self._stop_reason or "aclose"
            # Once only: a second cancel would interrupt the clean-up of the first one.
            self._runner.cancel()
        await wait_for_clean_up(self._runner)

    # --- results ----------------------------------------------------------------------------

    async def _iterate(self) -> AsyncIterator[Conversion]:
        if self._runner is not None or self._closed:
            raise ConfigurationError(
                "A run can be iterated only once, before it is closed. Call convert_many again."
            )
        self._loop = asyncio.get_running_loop()
        self._runner = self._loop.create_task(self._run(), name="mp4gen-bulk")
        # Not at the end of `_run`, which never begins if its task is cancelled at once.
        self._runner.add_done_callback(lambda _: self._results.put_nowait(None))
        try:
            while (conversion := await self._results.get()) is not None:
                self._track_slots.release()
                yield conversion
        finally:
            await self.aclose()
        if self._error is not None:
            raise self._error

    def _emit_result(self, conversion: Conversion) -> None:
        """Queue one result for each request of the track."""
        key = request_key(conversion.request)
        self._reported.add(key)
        for request in (conversion.request, *self._duplicates.pop(key, ())):
            self._queue_result(attrs.evolve(conversion, request=request))

    def _queue_result(self, conversion: Conversion) -> None:
        if conversion.error is None:
            self._succeeded += 1
        else:
            self._failed += 1
        self._results.put_nowait(conversion)

    def _count_remaining(self, request: VideoRequest) -> None:
        """Count a track, with its duplicates, as left for another run."""
        for _ in (request, *self._duplicates.pop(request_key(request), ())):
            self._remaining += 1
            self._track_slots.release()

    # --- the run ----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            try:
                await self._read_requests()
            except Exception as error:  # noqa: BLE001 - the user's iterable can raise anything
                self._stop(error)
            # Not after a cancel that the iterable has replaced by its own error.
            while self._tasks and not self._closed:
                await asyncio.wait(self._tasks)
            await self._check_ledger()
        finally:
            # Leave no task and no lock behind, also after a cancel.
            for task in self._tasks:
                task.cancel()
            while self._tasks:
                await asyncio.wait(self._tasks)
            if self._ledger is not None:
                await self._ledger.close()

    async def _check_ledger(self) -> None:
        """Report a ledger that is gone although its run was not stopped by that."""
        try:
            if self._ledger is not None:
                await self._ledger.check()
        except LedgerError as error:
            self._stop(error)

    async def _read_requests(self) -> None:
        """Start a job for each request, as slots become available."""
        from .ledger import Ledger

        options = self._options
        self._ledger = ledger = await Ledger.open(
            options.ledger, self._service.base_url, retry_failed=options.retry_failed
        )
        async with aclosing(RequestSource(self._requests)) as source:
            while not self._stopping.is_set():
                requests = await source.next_batch(self._stopping)
                if requests is None:
                    return
                await self._admit_batch(ledger, requests)

    async def _admit_batch(self, ledger: Ledger, requests: list[VideoRequest]) -> None:
        """Start the jobs of a batch; if the run stops, count the rest for another run."""
        self._reported.clear()
        not_started = deque(requests)
        try:
            for entry in await ledger.add_or_get(requests):
                await self._track_slots.acquire()
                request, current = not_started[0], entry
                if request_key(request) in self._reported:
                    # A duplicate in this batch has ended since the entry was read.
                    [current] = await ledger.add_or_get([request])
                if self._stopping.is_set():
                    return
                self._start(ledger, not_started.popleft(), current)
        finally:
            self._remaining += len(not_started)

    def _start(
        self, ledger: Ledger, request: VideoRequest, entry: LedgerEntry | LedgerError
    ) -> None:
        key = request_key(request)
        if isinstance(entry, LedgerError):
            self._queue_result(Conversion(request, error=entry))
        elif key in self._duplicates:
            self._duplicates[key].append(request)
        elif finished := finished_conversion(entry, self._options.download_to):
            self._emit_result(finished)
        else:
            self._duplicates[key] = []
            is_stopping = self._stopping.is_set
            job = TrackJob(
                self._service,
                self._downloader,
                self._options,
                ledger,
                entry,
                self._track_slots,
                is_stopping,
            )
            task = asyncio.get_running_loop().create_task(self._run_job(job))
            self._tasks[task] = job
            task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        job = self._tasks.pop(task)
        error = None if task.cancelled() else task.exception()
        uncertain = job.uncertain_error if task.cancelled() and not self._closed else None
        if uncertain is not None:
            # `stop()` has cancelled it before its outcome could be found out.
            self._emit_result(Conversion(job.entry.request, error=uncertain))
        elif task.cancelled() or error is not None:
            self._count_remaining(job.entry.request)
        if error is not None:
            self._stop(error)

    def _stop(self, reason: BaseException | str) -> None:
        """Submit nothing more; the first reason is the one that is reported."""
        if isinstance(reason, BaseException):
            self._error = self._error or reason
            reason = type(reason).__name__
        self._stop_reason = self._stop_reason or reason
        self._stopping.set()
        for task, job in self._tasks.items():
            if job.can_cancel:
                task.cancel()

    async def _run_job(self, job: TrackJob) -> None:
        """Convert one track and queue its result."""
        entry = job.entry
        try:
            conversion = await job.convert()
        except Exception as cause:
            failure = cause if isinstance(cause, Mp4GenError) else unexpected_error(cause)
            if await self._ends_run(failure):
                failure.audio_id = entry.request.audio_id
                # Immediately: the slot that this track frees must not serve another submit.
                self._stop(failure)
                raise
            if isinstance(failure, SubmitUncertainError):
                await job.ledger.mark_uncertain(entry.id)
            elif not isinstance(failure, _PASSING_ERRORS):
                await job.ledger.mark_failed(entry.id, failure)
            conversion = Conversion(entry.request, getattr(failure, "task_id", None), error=failure)
        self._emit_result(conversion)

    async def _ends_run(self, error: Mp4GenError) -> bool:
        """Return whether every later submit would fail, too."""
        caller, call_options = self._service.caller, self._service.bulk_options
        if isinstance(error, _OUTAGE_ERRORS) and caller.would_give_up(call_options, submit=True):
            return True
        return isinstance(error, _FATAL_ERRORS) and not await self._concerns_one_track(error)

    async def _concerns_one_track(self, error: Mp4GenError) -> bool:
        """Return whether `error` is about this track only: other calls get through."""
        is_refusal = isinstance(error, ApiError | ConfigurationError) and error.from_api
        if is_refusal or isinstance(error, LedgerError):
            return False
        caller = self._service.caller
        if caller.submit_breaker.accepted != self._accepted_submits:
            self._accepted_submits, self._blocked_in_row = caller.submit_breaker.accepted, 0
        self._blocked_in_row += 1
        return self._blocked_in_row <= _MAX_BLOCKED_IN_ROW and await caller.is_up()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop of this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
