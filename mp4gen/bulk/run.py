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

from .ledger_entry import Entry
from .track_job import Host, Plan, Requests, TrackWork, told_by

if TYPE_CHECKING:
    from .ledger import Ledger

# Requests pulled ahead of those under way, and results that nobody has taken yet.
_AHEAD = 10
# These will not pass by themselves, and every further submit would meet them.
_FATAL = (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    MaintenanceError,
    TransportError,
)
# After these the task may still finish: the next run waits for it again.
_OPEN = (WaitTimeoutError, SubmitUncertainError)


class ConversionRun:
    """A bulk run: an async iterator of `Conversion`s, and an async context manager around it.

    Made by `Client.convert_many`. It starts with the first result that is asked for.
    """

    def __init__(self, host: Host, plan: Plan) -> None:
        self._host = host
        self._plan = plan
        self._ledger: Ledger | None = None
        self._main: asyncio.Task[None] | None = None
        self._tasks: dict[asyncio.Task[None], TrackWork] = {}
        self._twins: dict[tuple[str, str], list[VideoRequest]] = {}
        self._told: set[tuple[str, str]] = set()
        self._alive = asyncio.Semaphore(host.concurrency + _AHEAD)
        self._results: asyncio.Queue[Conversion | None] = asyncio.Queue()
        self._error: BaseException | None = None
        self._stopped_by: str | None = None
        self._halted = asyncio.Event()
        self._closed = False
        self._done = self._failed = self._left = 0

    def __repr__(self) -> str:
        return f"<mp4gen.ConversionRun {self.summary}>"

    @property
    def summary(self) -> RunSummary:
        """The counts so far; `left` counts all that is missing where the requests have a length."""
        left = self._left
        if isinstance(self._plan.requests, Sized):
            left = len(self._plan.requests) - self._done - self._failed
        return RunSummary(self._done, self._failed, left, self._stopped_by)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Conversion]:
        return self._iterate()

    def stop(self) -> None:
        """Submit nothing more; what runs is finished and told, the rest is left."""
        self._halt("stop")

    async def aclose(self) -> None:
        """End the run now; what was submitted goes on at the service, and in the next run."""
        closed, self._closed = self._closed, True
        if self._main is None:
            return
        if not closed and not self._main.done():
            self._stopped_by = self._stopped_by or "aclose"
            # Once only: a second cancel would cut the first one's cleaning up short.
            self._main.cancel()
        await asyncio.wait([self._main])

    # --- the results ------------------------------------------------------------------------

    async def _iterate(self) -> AsyncIterator[Conversion]:
        if self._main is not None or self._closed:
            raise ConfigurationError("a run can be iterated once, before its end; make another one")
        self._main = asyncio.get_running_loop().create_task(self._run(), name="mp4gen-bulk")
        try:
            while (conversion := await self._results.get()) is not None:
                self._alive.release()
                yield conversion
        finally:
            await self.aclose()
        if self._error is not None:
            raise self._error

    def _tell(self, conversion: Conversion) -> None:
        """Give out a result, once for each time that its track was asked for."""
        request = conversion.request
        key = (request.task_id, request.audio_id)
        twins = self._twins.pop(key, [])
        self._told.add(key)
        for asked in (request, *twins):
            if conversion.error is None:
                self._done += 1
            else:
                self._failed += 1
            told = conversion if asked is request else attrs.evolve(conversion, request=asked)
            self._results.put_nowait(told)

    def _leave(self, request: VideoRequest) -> None:
        """Count a track, and its twins, for another run."""
        twins = self._twins.pop((request.task_id, request.audio_id), [])
        self._left += 1 + len(twins)
        for _ in (request, *twins):
            self._alive.release()

    # --- the run ----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            try:
                await self._pull()
            except Exception as error:  # noqa: BLE001 - the user's iterable may raise anything
                self._halt(error)
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

    async def _pull(self) -> None:
        """Start a task for each request, as places come free."""
        from .ledger import Ledger

        plan = self._plan
        self._ledger = await Ledger.open(
            plan.ledger, self._host.base_url, retry_failed=plan.retry_failed
        )
        async with aclosing(_chunks(plan.requests)) as chunks:
            while not self._halted.is_set():
                requests = await self._next(chunks)
                if requests is None:
                    return
                await self._admit(requests)

    async def _next(
        self, chunks: AsyncGenerator[list[VideoRequest], None]
    ) -> list[VideoRequest] | None:
        """The next few requests; None at their end, or when the run is halted meanwhile."""
        if not isinstance(self._plan.requests, AsyncIterable):
            return await anext(chunks, None)
        loop = asyncio.get_running_loop()
        more = loop.create_task(_anext(chunks))
        halted = loop.create_task(self._halted.wait())
        try:
            await asyncio.wait({more, halted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()
            halted.cancel()
            await asyncio.wait({more, halted})
        return None if more.cancelled() else more.result()

    async def _admit(self, requests: list[VideoRequest]) -> None:
        """Start what the ledger lets in; count for another run what a halt leaves over."""
        self._told.clear()
        waiting = deque(requests)
        try:
            for entry in await self._open_ledger.admit(requests):
                await self._alive.acquire()
                current = await self._current(waiting[0], entry)
                if self._halted.is_set():
                    return
                self._start(waiting.popleft(), current)
        finally:
            self._left += len(waiting)

    async def _current(
        self, request: VideoRequest, entry: Entry | LedgerError
    ) -> Entry | LedgerError:
        """The entry as it is now: its twin may have ended since the two were read."""
        if (request.task_id, request.audio_id) not in self._told:
            return entry
        return (await self._open_ledger.admit([request]))[0]

    def _start(self, request: VideoRequest, entry: Entry | LedgerError) -> None:
        if isinstance(entry, LedgerError):
            self._failed += 1
            self._results.put_nowait(Conversion(request, error=entry))
            return
        key = (request.task_id, request.audio_id)
        if key in self._twins:
            self._twins[key].append(request)
            return
        if finished := told_by(entry, self._plan.download_to):
            self._tell(finished)
            return
        self._twins[key] = []
        work = TrackWork(self._host, self._plan, self._open_ledger, entry)
        task = asyncio.get_running_loop().create_task(self._work(work))
        self._tasks[task] = work
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        work = self._tasks.pop(task)
        if task.cancelled():
            self._leave(work.entry.request)
        elif error := task.exception():
            self._leave(work.entry.request)
            self._halt(error)

    def _halt(self, why: BaseException | str) -> None:
        """Let nothing be submitted any more; the first reason is the one that is told."""
        if isinstance(why, BaseException) and self._error is None:
            self._error = why
        self._stopped_by = self._stopped_by or (why if isinstance(why, str) else type(why).__name__)
        self._halted.set()
        for task, work in self._tasks.items():
            if work.unsent:
                task.cancel()

    async def _work(self, work: TrackWork) -> None:
        """Bring one track as far as it goes, and tell of it."""
        entry = work.entry
        try:
            conversion = await work.convert()
        except _FATAL as error:
            # At once: the place that this track leaves is not for another submit.
            self._halt(error)
            raise
        except _OPEN as error:
            if isinstance(error, SubmitUncertainError):
                await self._open_ledger.uncertain(entry.id)
            task_id = getattr(error, "task_id", None)
            conversion = Conversion(entry.request, task_id, error=error)
        except Mp4GenError as error:
            await self._open_ledger.failed(entry.id, error)
            task_id = getattr(error, "task_id", None)
            conversion = Conversion(entry.request, task_id, error=error)
        self._tell(conversion)

    @property
    def _open_ledger(self) -> Ledger:
        if self._ledger is None:
            raise ConfigurationError("the run has ended")
        return self._ledger


async def _chunks(requests: Requests) -> AsyncGenerator[list[VideoRequest], None]:
    """The requests, a few at a time, pulled only when the next few are asked for."""
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield [_checked(request)]
        return
    for chunk in _few(requests):
        yield chunk


def _few(requests: Iterable[VideoRequest]) -> Iterator[list[VideoRequest]]:
    """Up to `_AHEAD` at a time; where the iterable raises, those before it come first."""
    chunk: list[VideoRequest] = []
    try:
        for request in requests:
            chunk.append(_checked(request))
            if len(chunk) == _AHEAD:
                full, chunk = chunk, []
                yield full
    finally:
        if chunk:
            yield chunk


async def _anext(chunks: AsyncGenerator[list[VideoRequest], None]) -> list[VideoRequest] | None:
    return await anext(chunks, None)


def _checked(request: object) -> VideoRequest:
    if not isinstance(request, VideoRequest):
        raise ConfigurationError(
            f"convert_many takes VideoRequest values, not {type(request).__name__}"
        )
    return request
