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
typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Brake:
    """What Ctrl-C does.

    Attributes:
        gently: called by the first Ctrl-C in place of stopping now; the command ends by itself.
    """

    def __init__(self) -> None:
        self.gently: Callable[[], object] | None = None
        self._caught: list[int] = []

    @property
    def pulled(self) -> int | None:
        """The first signal that came; None for none."""
        return self._caught[0] if self._caught else None

    def pull(self, number: signal.Signals, task: asyncio.Task[Any]) -> None:
        """A signal came: stop gently, then at once."""
        first = not self._caught
        self._caught.append(number)
        if first and number == signal.SIGINT and self.gently is not None:
            self.gently()
            return
        task.cancel()
        if len(self._caught) > 2:  # it does not heed: the next one ends the process
            asyncio.get_running_loop().remove_signal_handler(number)


def run(work: Coroutine[Any, Any, int], brake: Brake | None = None) -> int:
    """Run `work` to its end and give its exit code.

    Raises:
        InterruptedBySignal: a signal ended it, after everything was cleaned up.
    """
    return asyncio.run(_braked(work, brake or Brake()))


async def _braked(work: Coroutine[Any, Any, int], brake: Brake) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    for number in _SIGNALS:
        loop.add_signal_handler(number, brake.pull, number, task)
    try:
        code = await work
    except asyncio.CancelledError:
        if brake.pulled is None:
            raise
        raise InterruptedBySignal(brake.pulled) from None
    if brake.pulled is not None:
        raise InterruptedBySignal(brake.pulled)
    return code


async def in_thread(work: Callable[[], T], *, on_cancel: Callable[[], object] = lambda: None) -> T:
    """What `work` gives, done in a thread; when cancelled, not left before the thread has ended.

    Args:
        work: blocks.
        on_cancel: tells it to end.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        on_cancel()
        await asyncio.wait([task])
        raise


def same_line(*more: str) -> str:
    """The command line that runs, with `more` at its end, as it can be pasted; without its key."""
    kept: list[str] = []
    words = iter(word for word in typed.get() if word not in more)
    for word in words:
        if word == "--key":
            next(words, None)
        elif not word.startswith("--key="):
            kept.append(word)
    return shlex.join(["mp4gen", *kept, *more])
