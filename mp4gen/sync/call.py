"""One blocking call: a task of an event loop, and the thread that waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from mp4gen.transport.sleeper import client_closed_error

from .caller import Caller

T = TypeVar("T")

# The error of a call whose task was cancelled before its first step.
_CANCELLED = asyncio.CancelledError()


class Call(Generic[T]):
    """One blocking call: a task of the loop, and the thread that waits for it."""

    def __init__(self, function: Callable[[], Awaitable[T]], caller: Caller) -> None:
        self._function, self._caller = function, caller
        self._context = copy_context()
        self._calls: set[Call[Any]] = set()
        self._result: T
        self._error: BaseException | None = _CANCELLED
        self.is_daemon = threading.current_thread().daemon
        self.task: asyncio.Task[None] | None = None
        self.is_posted = self.is_done = False

    # --- in the caller's thread -------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of the task, for at most `timeout` seconds."""
        self._caller.wait(lambda: self.is_done, timeout)

    def result(self) -> T:
        """Return what the function returned, or raise what it raised; call it once."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise client_closed_error() if isinstance(error, asyncio.CancelledError) else error
        finally:
            # The error's traceback refers to this frame: break the cycle.
            del error

    # --- in the loop's thread ---------------------------------------------------------------

    def start(self, calls: set[Call[Any]]) -> None:
        """Start the task; the call is in `calls` until it ends."""
        self._calls = calls
        calls.add(self)
        loop = asyncio.get_running_loop()
        self.task = loop.create_task(self._run(), context=self._context)
        self.task.add_done_callback(self._end)

    def cancel(self) -> None:
        """Cancel the task."""
        if self.task is not None:
            self.task.cancel()

    async def _run(self) -> None:
        try:
            self._result, self._error = await self._function(), None
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._error = error
        # Wake the caller now: the task itself ends only in the next turn of the loop.
        self._end()

    def _end(self, _: object = None) -> None:
        if not self.is_done:
            self._calls.discard(self)
            self.is_done = True
            self._caller.wake()
