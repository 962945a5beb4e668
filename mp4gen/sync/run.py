"""Iterate a bulk run with a plain `for`; the run itself goes on in the client's thread."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from mp4gen.bulk.results import Conversion, RunSummary
from mp4gen.models import Track, VideoRequest

from .caller import Caller
from .loop_thread import LoopThread

if TYPE_CHECKING:
    from mp4gen.bulk.request_source import VideoRequests
    from mp4gen.bulk.run import ConversionRun as AsyncConversionRun

_END: Any = object()
# Iterating them runs no code of the user.
_COLLECTIONS = (list, tuple, set, frozenset)


class ConversionRun:
    """A bulk run: an iterable of `Conversion`s and a context manager.

    Made by `Client.convert_many`. It starts when the first result is requested, and goes on while
    the body of the `for` statement works.
    """

    def __init__(
        self, run: AsyncConversionRun, client: object, thread: LoopThread, caller: Caller
    ) -> None:
        self._run, self._thread, self._caller = run, thread, caller
        # Without a reference, it would be closed.
        self._client = client

    def __repr__(self) -> str:
        return f"<mp4gen.sync.ConversionRun {self.summary if hasattr(self, '_run') else ''}>"

    @property
    def summary(self) -> RunSummary:
        """The counts so far; `remaining` includes all requests if they have a length."""
        return self._run.summary

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Conversion]:
        results = aiter(self._run)
        try:
            while conversion := self._thread.run(partial(anext, results, None), self._caller):
                yield conversion
        finally:
            self.close()

    def stop(self) -> None:
        """Submit nothing more; finish and yield the conversions in progress.

        Can be called from a signal handler and from other threads.
        """
        self._run.stop()

    def close(self) -> None:
        """End the run now; the next run with the same ledger resumes the submitted tracks."""
        self._thread.run_clean_up(self._run.aclose)


def pulled_by(caller: Caller, requests: VideoRequests) -> VideoRequests:
    """Return `requests`, pulled in the thread that iterates the run if that runs the user's code.

    So a generator may use that thread's database connection, or call the client itself.
    """
    if isinstance(requests, (*_COLLECTIONS, AsyncIterable)):
        return requests
    kind = _SizedRequests if isinstance(requests, Sized) else _Requests
    return kind(caller, requests)


class _Requests:
    """An async iterable over a plain one. One by one, because each may take a while."""

    def __init__(self, caller: Caller, requests: Iterable[VideoRequest | Track]) -> None:
        self._caller, self._requests = caller, requests

    async def __aiter__(self) -> AsyncIterator[VideoRequest | Track]:
        iterator = await self._caller.run(iter, self._requests)
        has_ended = False

        def pull() -> Any:
            # The run may have ended since it asked.
            return _END if has_ended else next(iterator, _END)

        try:
            while (request := await self._caller.run(pull)) is not _END:
                yield request
        finally:
            has_ended = True


class _SizedRequests(_Requests):
    """Requests with a length, for the summary."""

    def __len__(self) -> int:
        return len(self._requests)  # type: ignore[arg-type]
