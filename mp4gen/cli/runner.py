"""Runs a command's coroutine and turns signals into a clean end; knows no command."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from .exit_codes import InterruptedBySignal

T = TypeVar("T")

# The words of the command line that runs, without the program's name.
argv: ContextVar[tuple[str, ...]] = ContextVar("argv", default=())

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptHandler:
    """What Ctrl-C does.

    Attributes:
        on_first_interrupt: called by the first Ctrl-C in place of stopping now; the command ends by itself.
    """

    def __init__(self) -> None:
        self.on_first_interrupt: Callable[[], object] | None = None
        self._signals: list[int] = []

    @property
    def received(self) -> int | None:
        """The first signal that came; None for none."""
        return self._signals[0] if self._signals else None

    def handle(self, number: signal.Signals, task: asyncio.Task[Any]) -> None:
        """A signal came: stop gently, then at once."""
        first = not self._signals
        self._signals.append(number)
        if first and number == signal.SIGINT and self.on_first_interrupt is not None:
            self.on_first_interrupt()
            return
        task.cancel()
        if len(self._signals) > 2:  # it does not heed: the next one ends the process
            asyncio.get_running_loop().remove_signal_handler(number)


def run(func: Coroutine[Any, Any, int], interrupts: InterruptHandler | None = None) -> int:
    """Run `func` to its end and give its exit code.

    Raises:
        InterruptedBySignal: a signal ended it, after everything was cleaned up.
    """
    return asyncio.run(_run(func, interrupts or InterruptHandler()))


async def _run(func: Coroutine[Any, Any, int], interrupts: InterruptHandler) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupts.handle, number, task)
    try:
        code = await func
    except asyncio.CancelledError:
        if interrupts.received is None:
            raise
        raise InterruptedBySignal(interrupts.received) from None
    if interrupts.received is not None:
        raise InterruptedBySignal(interrupts.received)
    return code


async def run_in_thread(
    func: Callable[[], T], *, on_cancel: Callable[[], object] = lambda: None
) -> T:
    """What `func` gives, done in a thread; when cancelled, not left before the thread has ended.

    Args:
        func: blocks.
        on_cancel: tells it to end.
    """
    task = asyncio.ensure_future(asyncio.to_thread(func))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        on_cancel()
        await asyncio.wait([task])
        raise


def resume_command(*extra_options: str) -> str:
    """The command line that runs, with `extra_options` at its end, as it can be pasted; without its key."""
    kept: list[str] = []
    tokens = iter(token for token in argv.get() if token not in extra_options)
    for word in tokens:
        if word == "--key":
            next(tokens, None)
        elif not word.startswith("--key="):
            kept.append(word)
    return shlex.join(["mp4gen", *kept, *extra_options])
