"""Many tracks: pulled lazily, converted at the limit of the account, recorded, told as they end.

Between a killed run and the next one stands only the ledger; within a run, one task for each track
that is under way. What is common to a single conversion and a bulk one is not here.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Sized,
)
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from .entries import Entry
from .errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    MaintenanceError,
    Mp4GenError,
    SubmitUncertainError,
    TransportError,
    WaitTimeoutError,
)
from .models import Conversion, RunSummary, VideoRequest
from .track import Host, Plan, Requests, TrackWork

if TYPE_CHECKING:
    from .ledger import Ledger

# Requests pulled ahead of those under way, and results that nobody has taken yet.
_AHEAD = 8
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncIterator[Conversion]:
        return self._iterate()

    def stop(self) -> None:
        """Submit nothing more; what runs is finished and told, the rest is left."""
        self._halt("stop")

    async def aclose(self) -> None:
        """End the run now; what was submitted goes on at the service, and in the next run."""
        if self._main is not None and not self._main.done():
            self._stopped_by = self._stopped_by or "aclose"
        tasks = [task for task in (self._main, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._ledger is not None:
            ledger, self._ledger = self._ledger, None
            await ledger.close()
        self._results.put_nowait(None)

    # --- the results ------------------------------------------------------------------------

    async def _iterate(self) -> AsyncIterator[Conversion]:
        if self._main is not None:
            raise ConfigurationError("a run can be iterated once; make another one")
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
            self._results.put_nowait(attrs.evolve(conversion, request=asked))

    def _leave(self, request: VideoRequest) -> None:
        """Count a track, and its twins, for another run."""
        twins = self._twins.pop((request.task_id, request.audio_id), [])
        self._left += 1 + len(twins)
        for _ in (request, *twins):
            self._alive.release()

    # --- the run ----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._pull()
        except Exception as error:  # noqa: BLE001 - the user's iterable may raise anything
            self._halt(error)
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._results.put_nowait(None)

    async def _pull(self) -> None:
        """Start a task for each request, as places come free."""
        from .ledger import Ledger

        plan = self._plan
        self._ledger = await Ledger.open(
            plan.ledger, self._host.base_url, retry_failed=plan.retry_failed
        )
        async for requests in _chunks(plan.requests):
            if self._is_halted():
                return
            self._told.clear()
            for request, entry in zip(requests, await self._ledger.admit(requests), strict=True):
                await self._alive.acquire()
                if self._is_halted():
                    self._leave(request)
                else:
                    self._start(request, await self._current(request, entry))

    def _is_halted(self) -> bool:
        return self._stopped_by is not None

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
        for task, work in self._tasks.items():
            if work.unsent:
                task.cancel()

    async def _work(self, work: TrackWork) -> None:
        """Bring one track as far as it goes, and tell of it."""
        entry = work.entry
        try:
            conversion = await work.convert()
        except _FATAL:
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


async def _chunks(requests: Requests) -> AsyncIterator[list[VideoRequest]]:
    """The requests, a few at a time, pulled only when the next few are asked for."""
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield [_checked(request)]
        return
    waiting = iter(requests)
    while chunk := [_checked(request) for request in islice(waiting, _AHEAD)]:
        yield chunk


def _checked(request: object) -> VideoRequest:
    if not isinstance(request, VideoRequest):
        raise ConfigurationError(
            f"convert_many takes VideoRequest values, not {type(request).__name__}"
        )
    return request
