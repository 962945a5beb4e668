"""Runs a command's coroutine and ends it cleanly on a signal; knows no command."""

import asyncio
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mp4gen.options import hide_password
from mp4gen.signals import STOP_SIGNALS, on_signal, reset

from .exit_codes import InterruptedBySignal
from .output import display_path

T = TypeVar("T")

# The arguments of the running command line, without the program's name.
argv: ContextVar[tuple[str, ...]] = ContextVar("argv", default=())
# The URL of a proxy or of a Redis may contain a password.
_MAYBE_SECRET = {"--key", "--proxy", "--rate-limit"}


class InterruptHandler:
    """Stops the command on a signal.

    Attributes:
        on_first_interrupt: Called by the first Ctrl-C, which then cancels nothing: the command must
            end by itself.
    """

    def __init__(self) -> None:
        self.on_first_interrupt: Callable[[], object] | None = None
        self._signals: list[int] = []

    @property
    def received(self) -> int | None:
        """The first signal received, or None."""
        return self._signals[0] if self._signals else None

    def handle(self, number: int, task: asyncio.Task[Any]) -> None:
        """Stop gently on the first Ctrl-C; cancel `task` on any other signal."""
        first = not self._signals
        self._signals.append(number)
        if first and number == signal.SIGINT and self.on_first_interrupt is not None:
            self.on_first_interrupt()
            return
        task.cancel()
        if len(self._signals) > 2:  # The task does not end: the next signal ends the process.
            reset(number)


def run(coroutine: Coroutine[Any, Any, int], interrupts: InterruptHandler | None = None) -> int:
    """Run a coroutine and return its exit code.

    Raises:
        InterruptedBySignal: A signal stopped it, and everything is cleaned up.
    """
    return asyncio.run(_run(coroutine, interrupts or InterruptHandler()))


async def _run(coroutine: Coroutine[Any, Any, int], interrupts: InterruptHandler) -> int:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    with ExitStack() as handlers:
        for number in STOP_SIGNALS:
            handlers.enter_context(on_signal(number, partial(interrupts.handle, number, task)))
        try:
            code = await coroutine
        except asyncio.CancelledError:
            if interrupts.received is None:
                raise
            raise InterruptedBySignal(interrupts.received) from None
    if interrupts.received is not None:
        raise InterruptedBySignal(interrupts.received)
    return code


@contextmanager
def raising_on_signals() -> Iterator[None]:
    """Raise `InterruptedBySignal` in the block on a signal that would end the process.

    For blocking work before `run`, in the main thread.
    """

    def interrupt(number: int, _: object) -> None:
        raise InterruptedBySignal(number)

    handled = [number for number in STOP_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


@asynccontextmanager
async def in_background(coroutine: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine while the block runs, and cancel it at the end."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def run_in_thread(
    func: Callable[[], T], *, on_cancel: Callable[[], object] = lambda: None
) -> T:
    """Return the result of `func`, run in a thread; a cancel waits for the thread to end.

    Args:
        func: The blocking function.
        on_cancel: Makes `func` end early.
    """
    task = asyncio.ensure_future(asyncio.to_thread(func))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        on_cancel()
        await asyncio.wait([task])
        # The caller gets the cancellation, and asyncio would log the error of `func`.
        task.exception()
        raise


def resume_command(*extra_options: str) -> str:
    """Return the running command line with `extra_options`, quoted for a shell, without secrets."""
    kept: list[str] = []
    arguments = iter(one for one in argv.get() if one not in extra_options)
    for argument in arguments:
        option, has_value, value = argument.partition("=")
        if option not in _MAYBE_SECRET:
            kept.append(argument)
            continue
        value = value if has_value else next(arguments, "")
        if option != "--key" and hide_password(value) == value:
            kept += [option, value]
    return f"{program()} {join_command([*kept, *extra_options])}"


def program() -> str:
    """Return the command that starts this program in the user's shell: its name or path."""
    script, found = Path(sys.argv[0]), shutil.which("mp4gen")
    # Windows names the script without its extension: only the folders can be compared.
    is_on_path = found is not None and Path(found).parent.samefile(script.parent)
    return join_command(
        ["mp4gen" if is_on_path or script.name != "mp4gen" else display_path(script)]
    )


def join_command(words: Sequence[str]) -> str:
    """Return a command line, quoted for the shell of this system."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
