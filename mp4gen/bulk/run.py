"""Many tracks: pulled lazily, converted at the limit of the account, recorded, told as they end.

Between a killed run and the next one stands only the ledger; within a run, one task for each track
that is under way. What is common to a single conversion and a bulk one is not here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from contextlib import aclosing
from typing import TYPE_CHECKING, Self

import attrs

from mp4gen.errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    MaintenanceError,
    Mp4GenError,
    TransportError,
)
from mp4gen.models import Conversion, RunSummary, VideoRequest
from mp4gen.task_errors import SubmitUncertainError, WaitTimeoutError

from .ledger_entry import LedgerEntry
from .track_job import BulkOptions, Host, TrackJob, VideoRequests, finished_conversion

if TYPE_CHECKING:
    from .ledger import Ledger

# Requests pulled ahead of those under way, and results that nobody has taken yet.
_PREFETCH = 10
# These will not pass by themselves, and every further submit would meet them.
_FATAL_ERRORS = (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    MaintenanceError,
    TransportError,
)
# After these the task may still finish: the next run waits for it again.
_RESUMABLE_ERRORS = (WaitTimeoutError, SubmitUncertainError)


class ConversionRun:
    """A bulk run: an async iterator of `Conversion`s, and an async context manager around it.

    Made by `Client.convert_many`. It starts with the first result that is asked for.
    """

    def __init__(self, host: Host, options: BulkOptions) -> None:
        self._host = host
        self._options = options
        self._ledger: Ledger | None = None
        self._runner: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], TrackJob] = {}
        self._duplicates: dict[tuple[str, str], list[VideoRequest]] = {}
        self._reported: set[tuple[str, str]] = set()
        self._pending_slots = asyncio.Semaphore(host.concurrency + _PREFETCH)
        self._results: asyncio.Queue[Conversion | None] = asyncio.Queue()
        self._error: BaseException | None = None
        self._stop_reason: str | None = None
        self._stopping = asyncio.Event()
        self._closed = False
        self._succeeded = self._failed = self._remaining = 0

    def __repr__(self) -> str:
        return f"<mp4gen.ConversionRun {self.summary}>"

    @property
    def summary(self) -> RunSummary:
        """The counts so far; `remaining` counts all that is missing where the requests have a length."""
        remaining = self._remaining
        if isinstance(self._options.requests, Sized):
            remaining = len(self._options.requests) - self._succeeded - self._failed
        return RunSummary(self._succeeded, self._failed, remaining, self._stop_reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Conversion]:
        return self._iterate()

    def stop(self) -> None:
        """Submit nothing more; what runs is finished and told, the rest is left."""
        self._stop("stop")

    async def aclose(self) -> None:
        """End the run now; what was submitted goes on at the service, and in the next run."""
        was_closed, self._closed = self._closed, True
        if self._runner is None:
            return
        if not was_closed and not self._runner.done():
            self._stop_reason = self._stop_reason or "aclose"
            # Once only: a second cancel would cut the first one's cleaning up short.
            self._runner.cancel()
        await asyncio.wait([self._runner])

    # --- the results ------------------------------------------------------------------------

    async def _iterate(self) -> AsyncIterator[Conversion]:
        if self._runner is not None or self._closed:
            raise ConfigurationError("a run can be iterated once, before its end; make another one")
        self._runner = asyncio.get_running_loop().create_task(self._run(), name="mp4gen-bulk")
        try:
            while (conversion := await self._results.get()) is not None:
                self._pending_slots.release()
                yield conversion
        finally:
            await self.aclose()
        if self._error is not None:
            raise self._error

    def _emit_result(self, conversion: Conversion) -> None:
        """Give out a result, once for each time that its track was asked for."""
        request = conversion.request
        key = (request.task_id, request.audio_id)
        duplicates = self._duplicates.pop(key, [])
        self._reported.add(key)
        for requested in (request, *duplicates):
            if conversion.error is None:
                self._succeeded += 1
            else:
                self._failed += 1
            result = (
                conversion if requested is request else attrs.evolve(conversion, request=requested)
            )
            self._results.put_nowait(result)

    def _count_remaining(self, request: VideoRequest) -> None:
        """Count a track, and its twins, for another run."""
        duplicates = self._duplicates.pop((request.task_id, request.audio_id), [])
        self._remaining += 1 + len(duplicates)
        for _ in (request, *duplicates):
            self._pending_slots.release()

    # --- the run ----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            try:
                await self._read_requests()
            except Exception as error:  # noqa: BLE001 - the user's iterable may raise anything
                self._stop(error)
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            await self._clean_up()
            self._results.put_nowait(None)

    async def _clean_up(self) -> None:
        """Leave no task and no lock behind, whatever ended the run."""
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._ledger is not None:
            await self._ledger.close()

    async def _read_requests(self) -> None:
        """Start a task for each request, as places come free."""
        from .ledger import Ledger

        options = self._options
        self._ledger = await Ledger.open(
            options.ledger, self._host.base_url, retry_failed=options.retry_failed
        )
        async with aclosing(_batches(options.requests)) as batches:
            while not self._stopping.is_set():
                requests = await self._next_batch(batches)
                if requests is None:
                    return
                await self._admit_batch(requests)

    async def _next_batch(
        self, batches: AsyncGenerator[list[VideoRequest], None]
    ) -> list[VideoRequest] | None:
        """The next few requests; None at their end, or when the run is halted meanwhile."""
        if not isinstance(self._options.requests, AsyncIterable):
            return await anext(batches, None)
        loop = asyncio.get_running_loop()
        next_batch = loop.create_task(_anext(batches))
        stopping = loop.create_task(self._stopping.wait())
        try:
            await asyncio.wait({next_batch, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            next_batch.cancel()
            stopping.cancel()
            await asyncio.wait({next_batch, stopping})
        return None if next_batch.cancelled() else next_batch.result()

    async def _admit_batch(self, requests: list[VideoRequest]) -> None:
        """Start what the ledger lets in; count for another run what a halt leaves over."""
        self._reported.clear()
        not_started = deque(requests)
        try:
            for entry in await self._open_ledger.add_or_get(requests):
                await self._pending_slots.acquire()
                current = await self._reload_entry(not_started[0], entry)
                if self._stopping.is_set():
                    return
                self._start(not_started.popleft(), current)
        finally:
            self._remaining += len(not_started)

    async def _reload_entry(
        self, request: VideoRequest, entry: LedgerEntry | LedgerError
    ) -> LedgerEntry | LedgerError:
        """The entry as it is now: its twin may have ended since the two were read."""
        if (request.task_id, request.audio_id) not in self._reported:
            return entry
        return (await self._open_ledger.add_or_get([request]))[0]

    def _start(self, request: VideoRequest, entry: LedgerEntry | LedgerError) -> None:
        if isinstance(entry, LedgerError):
            self._failed += 1
            self._results.put_nowait(Conversion(request, error=entry))
            return
        key = (request.task_id, request.audio_id)
        if key in self._duplicates:
            self._duplicates[key].append(request)
            return
        if finished := finished_conversion(entry, self._options.download_to):
            self._emit_result(finished)
            return
        self._duplicates[key] = []
        job = TrackJob(self._host, self._options, self._open_ledger, entry)
        task = asyncio.get_running_loop().create_task(self._run_job(job))
        self._tasks[task] = job
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        job = self._tasks.pop(task)
        if task.cancelled():
            self._count_remaining(job.entry.request)
        elif error := task.exception():
            self._count_remaining(job.entry.request)
            self._stop(error)

    def _stop(self, reason: BaseException | str) -> None:
        """Let nothing be submitted any more; the first reason is the one that is told."""
        if isinstance(reason, BaseException) and self._error is None:
            self._error = reason
        self._stop_reason = self._stop_reason or (
            reason if isinstance(reason, str) else type(reason).__name__
        )
        self._stopping.set()
        for task, job in self._tasks.items():
            if job.can_cancel:
                task.cancel()

    async def _run_job(self, job: TrackJob) -> None:
        """Bring one track as far as it goes, and tell of it."""
        entry = job.entry
        try:
            conversion = await job.convert()
        except _FATAL_ERRORS as error:
            # At once: the place that this track leaves is not for another submit.
            self._stop(error)
            raise
        except _RESUMABLE_ERRORS as error:
            if isinstance(error, SubmitUncertainError):
                await self._open_ledger.mark_uncertain(entry.id)
            task_id = getattr(error, "task_id", None)
            conversion = Conversion(entry.request, task_id, error=error)
        except Mp4GenError as error:
            await self._open_ledger.mark_failed(entry.id, error)
            task_id = getattr(error, "task_id", None)
            conversion = Conversion(entry.request, task_id, error=error)
        self._emit_result(conversion)

    @property
    def _open_ledger(self) -> Ledger:
        if self._ledger is None:
            raise ConfigurationError("the run has ended")
        return self._ledger


async def _batches(requests: VideoRequests) -> AsyncGenerator[list[VideoRequest], None]:
    """The requests, a few at a time, pulled only when the next few are asked for."""
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield [_require_video_request(request)]
        return
    for batch in _batched(requests):
        yield batch


def _batched(requests: Iterable[VideoRequest]) -> Iterator[list[VideoRequest]]:
    """Up to `_AHEAD` at a time; where the iterable raises, those before it come first."""
    batch: list[VideoRequest] = []
    try:
        for request in requests:
            batch.append(_require_video_request(request))
            if len(batch) == _PREFETCH:
                full_batch, batch = batch, []
                yield full_batch
    finally:
        if batch:
            yield batch


async def _anext(batches: AsyncGenerator[list[VideoRequest], None]) -> list[VideoRequest] | None:
    return await anext(batches, None)


def _require_video_request(request: object) -> VideoRequest:
    if not isinstance(request, VideoRequest):
        raise ConfigurationError(
            f"convert_many takes VideoRequest values, not {type(request).__name__}"
        )
    return request
