"""Sends the events of one client to the log and to the user's hook; makes none."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable
from typing import Final

from mp4gen.events import Event, OnEvent

_log = logging.getLogger("mp4gen")

# Events that may wait for an async hook before those of the level DEBUG are dropped.
MAX_PENDING: Final = 10_000
# Seconds that a client that closes waits for its async hook, and then for its cancel.
_CLOSE_TIMEOUT: Final = 5.0
_CANCEL_TIMEOUT: Final = 1.0


class EventEmitter:
    """Passes each event to the hook, in order; logs the exceptions of the hook.

    What an async hook returns is awaited by a task of its own, one event after the other, so that
    a slow hook delays no call. The task exists only while events wait for it.
    """

    def __init__(self, hook: OnEvent | None = None) -> None:
        self._hook = hook
        self._pending: deque[Awaitable[object]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._dropped = 0

    def emit(self, event: Event) -> None:
        """Log `event` and call the hook with it."""
        _log.log(event.level, "%s", event)
        if self._hook is None or self._drops(event):
            return
        try:
            result = self._hook(event)
        except Exception:  # noqa: BLE001 - a fault of the hook must not end a conversion
            _log_exception()
            return
        if inspect.isawaitable(result):
            self._pending.append(result)
            if self._task is None:
                loop = asyncio.get_running_loop()
                self._task = loop.create_task(self._await_pending(), name="mp4gen-events")

    async def aclose(self) -> None:
        """Wait for an async hook for some seconds, then cancel it."""
        if (task := self._task) is None:
            return
        await asyncio.wait([task], timeout=_CLOSE_TIMEOUT)
        if not task.done():
            _log.warning(
                "on_event takes too long: %d events are lost. Make it faster.", len(self._pending)
            )
            task.cancel()
            await asyncio.wait([task], timeout=_CANCEL_TIMEOUT)

    def _drops(self, event: Event) -> bool:
        """Return whether too many events wait for this one; log the first in a row."""
        if len(self._pending) < MAX_PENDING:
            self._dropped = 0
            return False
        if event.level > logging.DEBUG:
            return False
        self._dropped += 1
        if self._dropped == 1:
            _log.warning(
                "on_event is too slow: %d events wait for it. Polls and progress are skipped.",
                MAX_PENDING,
            )
        return True

    async def _await_pending(self) -> None:
        try:
            while self._pending:
                await _await_result(self._pending.popleft())
        finally:
            self._task = None
            while self._pending:
                _discard(self._pending.popleft())


async def _await_result(result: Awaitable[object]) -> None:
    try:
        await result
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        _log_exception()
    except Exception:  # noqa: BLE001 - as in `emit`
        _log_exception()


def _discard(result: Awaitable[object]) -> None:
    """End a coroutine that never ran, without Python's warning."""
    if inspect.iscoroutine(result):
        result.close()


def _log_exception() -> None:
    _log.exception("on_event raised an exception; the conversion continues.")
