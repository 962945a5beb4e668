"""Reads the music folder in threads of its own, within time limits: a network mount may hang.

A thread that hangs cannot be stopped. While one does, further calls fail immediately, so that no
more threads are lost, and nothing else of the server waits for the music folder.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar

from mp4gen.server.daemon_threads import DaemonThreads

from .library import Library, LibraryTrack, MusicUnavailableError

T = TypeVar("T")

_THREADS = 4
# Seconds for one folder or file name, and for the whole library or the content of a file.
_TIMEOUT, _SCAN_TIMEOUT = 10.0, 120.0


class LibraryReader:
    """The library, for the event loop.

    Every method raises `MusicUnavailableError` if the music folder cannot be read now.

    Args:
        library: The library.
        executor: Runs the reads; by default daemon threads, which never keep a process alive.
    """

    def __init__(self, library: Library, executor: Executor | None = None) -> None:
        self._library = library
        self._executor = executor or DaemonThreads(_THREADS, "mp4gen-library")
        self._hanging = 0
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why the last read failed, as a sentence; None if it did not."""
        return self._trouble

    @property
    def root(self) -> Path:
        """The music folder."""
        return self._library.root

    async def find(self, task_id: str, audio_id: str) -> LibraryTrack | None:
        """Return one track by its ids; None if there is no such track."""
        return await self.run(self._library.find, task_id, audio_id)

    async def tracks(self, task_id: str) -> list[LibraryTrack] | None:
        """Return the tracks of one music task by name; None if there is no such folder."""
        return await self.run(self._library.tracks, task_id)

    async def all_tracks(self) -> list[LibraryTrack]:
        """Return every track of the library, folder by folder."""
        return await self.run(lambda: list(self._library.all_tracks()), timeout=_SCAN_TIMEOUT)

    async def fingerprint(self) -> str:
        """Return a text that changes when files are added or deleted."""
        return await self.run(self._library.fingerprint, timeout=_SCAN_TIMEOUT)

    async def read(self, func: Callable[..., T], *args: Any) -> T:
        """Run a function that reads whole music files."""
        return await self.run(func, *args, timeout=_SCAN_TIMEOUT)

    async def run(self, func: Callable[..., T], *args: Any, timeout: float | None = None) -> T:
        """Run any function that reads or writes the music folder."""
        try:
            result = await self._run(func, args, _TIMEOUT if timeout is None else timeout)
        except MusicUnavailableError as error:
            self._trouble = str(error)
            raise
        self._trouble = None
        return result

    def run_later(self, func: Callable[[], object]) -> None:
        """Run a function as soon as a thread is free, also while others hang; drop its errors."""
        self._executor.submit(func)

    def close(self) -> None:
        """End the threads that do not hang."""
        self._executor.shutdown(wait=False)

    async def _run(self, func: Callable[..., T], args: tuple[Any, ...], timeout: float) -> T:
        if self._hanging:
            raise MusicUnavailableError("The music folder does not answer.")
        future = self._executor.submit(func, *args)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.cancelled():
                # It never had a thread.
                raise MusicUnavailableError("The music folder is too slow.") from None
            self._hanging += 1
            loop = asyncio.get_running_loop()
            future.add_done_callback(lambda _: _call_soon(loop, self._forget_hanging))
            raise MusicUnavailableError(
                f"The music folder does not answer within {timeout:g} s."
            ) from None

    def _forget_hanging(self) -> None:
        self._hanging -= 1


def _call_soon(loop: asyncio.AbstractEventLoop, func: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(func)
