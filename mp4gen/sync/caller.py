"""The thread of a blocking call: while it waits, it runs the functions that its caller passed.

So they may use what belongs to that thread: a database connection, Django's ORM, another call.
"""

import asyncio
import inspect
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

# On Windows, Ctrl-C does not end a wait without a timeout.
_MAX_WAIT: float | None = 0.5 if sys.platform == "win32" else None


class Caller:
    """A thread that waits for calls, one after the other; the loop's thread posts jobs to it."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def wait(self, until: Callable[[], bool], timeout: float | None = None) -> None:
        """Run jobs in this thread until `until()` is true, for at most `timeout` seconds.

        `wake` must be called after `until()` has become true.

        Raises:
            BaseException: What a signal handler raises here, such as a KeyboardInterrupt.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not until():
            seconds = wait_slice(deadline)
            if seconds == 0.0:
                return
            with suppress(Empty):
                self._jobs.get(timeout=seconds)()

    def wake(self) -> None:
        """Let the waiting thread look again, from any thread."""
        self._jobs.put(_do_nothing)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in the waiting thread, now or when that thread waits again.

        Raises:
            Exception: What `function` raises.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Callable[[], T]] = loop.create_future()

        def job() -> None:
            try:
                result = function(*args)
            except Exception as error:  # noqa: BLE001 - raised in the coroutine that waits
                outcome = _raises(error)
            else:
                outcome = _returns(result)
            # A client that another thread has closed meanwhile waits no more.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, done, outcome)

        self._jobs.put(job)
        return (await done)()

    def in_this_thread(self, function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """Return a coroutine function that runs a plain or async `function` of the caller.

        A plain one runs in the waiting thread; what an async one returns is awaited on the loop.
        """

        async def run(*args: Any) -> Any:
            result = await self.run(function, *args)
            return await result if inspect.isawaitable(result) else result

        return run


def wait_slice(deadline: float | None) -> float | None:
    """Return the seconds of one wait until `deadline` (monotonic; None for no deadline)."""
    if deadline is None:
        return _MAX_WAIT
    remaining = max(deadline - time.monotonic(), 0.0)
    return remaining if _MAX_WAIT is None else min(remaining, _MAX_WAIT)


def _do_nothing() -> None:
    """Do nothing: the job only ends a wait."""


def _returns(result: T) -> Callable[[], T]:
    return lambda: result


def _raises(error: Exception) -> Callable[[], Any]:
    def outcome() -> Any:
        raise error

    return outcome


def _settle(done: asyncio.Future[T], outcome: T) -> None:
    if not done.done():
        done.set_result(outcome)
