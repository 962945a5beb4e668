"""Handle signals in the event loop, hold them back and ignore them, on every system."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

# The signals that end a program, without those of a crash.
if sys.platform == "win32":
    # Ctrl-Break, and the end of the console.
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def on_signal(number: int, callback: Callable[[], object]) -> Iterator[None]:
    """Call `callback` in the running event loop for each signal `number` during the block.

    A signal that is ignored stays ignored, as `nohup` and a shell's background jobs want it.

    Raises:
        ValueError: This is not the main thread.
    """
    previous = signal.getsignal(number)
    if previous is signal.SIG_IGN:
        yield
        return
    import asyncio

    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, callback)
    except NotImplementedError:
        # The event loops of Windows handle no signals.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))
    try:
        yield
    finally:
        reset(number)
        # None: the handler was not set by Python.
        if previous is not None:
            signal.signal(number, previous)


def reset(number: int) -> None:
    """Let the next signal `number` do what it does by default: in most cases, end the process."""
    import asyncio

    try:
        asyncio.get_running_loop().remove_signal_handler(number)
    except NotImplementedError:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)


@contextmanager
def held_back(numbers: Sequence[int]) -> Iterator[None]:
    """Deliver no signal `numbers` during the block, nor to the processes that it starts.

    `ignore` ends it in these. Windows cannot do so.
    """
    if sys.platform == "win32":
        yield
    else:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore(numbers: Sequence[int]) -> None:
    """Ignore the signals `numbers` from now on, also those that were held back."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
