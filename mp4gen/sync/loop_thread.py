"""An event loop in a thread of its own, and the blocking calls that other threads make to it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import os
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakSet

from mp4gen.errors import ConfigurationError
from mp4gen.transport.sleeper import client_closed_error

from .call import Call
from .caller import Caller, wait_slice
from .forks import new_event_loop

T = TypeVar("T")

# Seconds between two checks of the calls of other threads when the program ends.
_EXIT_INTERVAL = 0.1
# Seconds in which a thread that was not closed may end when the program does.
_EXIT_TIMEOUT = 3.0
# Seconds that an interrupted call waits for its clean-up; then it goes on without its caller.
_INTERRUPTED_TIMEOUT = 0.8
# Seconds in which calls end by themselves when the client has closed; then they are cancelled.
_CALLS_TIMEOUT = 1.0
# Seconds that a caller waits for clean-up, and then for the thread's end: the system may take long
# to look up a host name.
_CLEAN_UP_TIMEOUT = 10.0


class LoopThread:
    """An event loop in a daemon thread, which the first call starts.

    Nothing exists before, so that an object can be made in one process and used in its forks.

    Args:
        owner: The name of the object that it belongs to, for errors and the thread's name.
        clean_up: What to run on the loop before it ends. The thread keeps it alive, not the owner.
    """

    def __init__(self, owner: str, clean_up: Callable[[], Awaitable[None]]) -> None:
        self._owner, self._clean_up = owner, clean_up
        self._lock = threading.RLock()  # a destructor may run while it is held
        self._process_id: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._calls: set[Call[Any]] = set()
        self._callers: WeakSet[threading.Thread] = WeakSet()
        self._is_closing = self._is_stopped = False
        self._clean_up_error: BaseException | None = None

    @property
    def is_running(self) -> bool:
        """Whether a call has started the thread in this process, and nothing has closed it."""
        return self._loop is not None and not self._is_closing and not self._is_forked()

    def run(self, function: Callable[[], Awaitable[T]], caller: Caller | None = None) -> T:
        """Run `function` as a task of the loop, wait for its end, and return its result.

        The task sees the context variables of this thread. If the wait is interrupted, as by
        Ctrl-C, the task is cancelled.

        Raises:
            ConfigurationError: The thread is closed, belongs to the process that forked this one,
                or is the one that calls.
            BaseException: What `function` or a signal handler raises.
        """
        call = Call(function, caller or Caller())
        try:
            self._post(call)
            call.wait()
        except BaseException:
            self._interrupt(call)
            raise
        return call.result()

    def run_clean_up(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run `function` and wait for its end, for a bounded time; do nothing if closed.

        A destructor may call it: in the loop's own thread it does not wait.

        Raises:
            BaseException: What `function` or a signal handler raises.
        """
        if not self.is_running:
            return
        call = Call(function, Caller())
        if threading.current_thread() is self._thread:
            call.start(self._calls)
            return
        self._post(call)
        call.wait(_CLEAN_UP_TIMEOUT)
        if call.is_done:
            call.result()

    def wait_for_other_threads(self) -> None:
        """Wait for the threads that keep the program alive and have made calls."""
        while self.is_running and (thread := self._next_caller()):
            thread.join()
        # Those of a thread pool wait for work, and end later.
        while self.is_running and any(not call.is_daemon for call in tuple(self._calls)):
            time.sleep(_EXIT_INTERVAL)

    def _next_caller(self) -> threading.Thread | None:
        with self._lock:
            return next((thread for thread in self._callers if _keeps_alive(thread)), None)

    def close(self, timeout: float = _CLEAN_UP_TIMEOUT) -> None:
        """Run the clean-up, end the calls in progress, and wait for the thread's end.

        A second call only waits. A thread that never started has nothing to clean up.

        Raises:
            ConfigurationError: The loop's own thread calls it.
            BaseException: What the clean-up or a signal handler raises.
        """
        self._check_thread()
        self.begin_close()
        thread = self._thread
        if thread is None or self._is_forked():
            return
        deadline = time.monotonic() + timeout
        while thread.is_alive() and time.monotonic() < deadline:
            thread.join(wait_slice(deadline))
        error, self._clean_up_error = self._clean_up_error, None
        if error is not None:
            raise error

    def begin_close(self) -> None:
        """Refuse further calls and begin to close, from any thread and without waiting."""
        if self._is_forked():
            return
        with self._lock:
            begins, self._is_closing = not self._is_closing, True
        if begins and self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    # --- in the caller's thread -------------------------------------------------------------

    def _post(self, call: Call[Any]) -> None:
        """Let the loop start `call`; start the thread if this is the first one."""
        self._check_thread()
        # Before the lock, which stays locked in a fork if another thread had it.
        if self._is_forked():
            raise ConfigurationError(
                f"{self._owner} belongs to process {self._process_id}, which used it before it "
                "forked this one. Create one in each process, or use it after the fork only."
            )
        self._process_id = os.getpid()
        with self._lock:
            if self._is_closing:
                raise client_closed_error()
            loop = self._loop or self._start()
            call.is_posted = True
            self._callers.add(threading.current_thread())
            loop.call_soon_threadsafe(call.start, self._calls)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = new_event_loop()
        thread = threading.Thread(target=self._serve, args=(loop,), name=self._owner, daemon=True)
        try:
            thread.start()
        except BaseException as error:
            # An interrupt may have come after the start.
            if thread.is_alive():
                loop.call_soon_threadsafe(loop.stop)
            else:
                loop.close()
            if not isinstance(error, RuntimeError):
                raise
            raise ConfigurationError(
                f"Cannot start the thread of {self._owner}: {error}. End other threads, or raise "
                "the limit of threads (ulimit -u)."
            ) from error
        self._loop, self._thread = loop, thread
        _started.add(self)
        return loop

    def _interrupt(self, call: Call[Any]) -> None:
        """Cancel `call`, and wait a moment for its clean-up."""
        if not call.is_posted or self._loop is None:
            return
        # The loop is closed if the client was.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call.cancel)
            call.wait(_INTERRUPTED_TIMEOUT)

    def _check_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise ConfigurationError(
                f"{self._owner} was called from its own thread, as from on_event, and would wait "
                "for its own end. Make the call in another thread."
            )

    def _is_forked(self) -> bool:
        return self._process_id not in (None, os.getpid())

    # --- in the loop's thread ---------------------------------------------------------------

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop.is_closed():
            return
        # Its end cancels the tasks that are left, and closes the loop.
        with asyncio.Runner(loop_factory=lambda: loop):
            while not self._is_stopped:
                # A function of the user raised them; its task has kept them for the caller.
                with suppress(KeyboardInterrupt, SystemExit):
                    loop.run_forever()
                    return

    def _end(self) -> None:
        # The attribute holds the task: the loop itself keeps only a weak reference.
        self._end_task = asyncio.get_running_loop().create_task(self._end_calls())

    async def _end_calls(self) -> None:
        try:
            await self._clean_up()
        except Exception as error:  # noqa: BLE001 - raised by `close`
            self._clean_up_error = error
        finally:
            if tasks := [call.task for call in self._calls if call.task is not None]:
                await asyncio.wait(tasks, timeout=_CALLS_TIMEOUT)
            self._is_stopped = True
            asyncio.get_running_loop().stop()


# --- the end of the program -----------------------------------------------------------------------

_started: WeakSet[LoopThread] = WeakSet()


def _keeps_alive(thread: threading.Thread) -> bool:
    """Return whether a thread must end by itself before the program can."""
    is_in_pool = thread in getattr(concurrent.futures.thread, "_threads_queues", ())
    is_main = thread is threading.main_thread()
    return thread.is_alive() and not (thread.daemon or is_main or is_in_pool)


def _close_at_exit() -> None:
    """Close the threads of objects that live as long as the program."""
    threads = tuple(_started)
    for thread in threads:
        thread.wait_for_other_threads()
    for thread in threads:
        with suppress(Exception):
            thread.close(_EXIT_TIMEOUT)


# Before the thread pools end, which a ledger and a lookup of a host name need, and which are
# registered when their module is imported. Python has no public name for that.
getattr(threading, "_register_atexit", atexit.register)(_close_at_exit)
