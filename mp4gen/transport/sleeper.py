"""Where a client's work sleeps: any pause can be ended early, and closing the client ends all.

It knows neither what is waited for nor why it ended; whoever sleeps looks again on waking.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from typing import cast

from mp4gen.errors import ConfigurationError


class WakeableSleep(asyncio.Future[bool]):
    """One sleep, to be awaited once; gives whether it was ended early.

    A future and no coroutine: a hundred thousand of them may be alive, and a frame is what weighs.

    Args:
        seconds: how long at most.
        active_sleeps: the set that it is in until it ends.
    """

    __slots__ = ("_active_sleeps", "_timer")

    def __init__(self, seconds: float, active_sleeps: set[WakeableSleep] | None = None) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop=loop)
        self._active_sleeps = active_sleeps
        self._timer = loop.call_later(seconds, self._end, False)  # noqa: FBT003
        if active_sleeps is not None:
            active_sleeps.add(self)

    def wake(self) -> None:
        """End it now, if it has not ended."""
        self._end(True)  # noqa: FBT003

    def cancel(self, msg: object = None) -> bool:
        """As of any future; its timer ends with it."""
        self._detach()
        return super().cancel(msg)

    def _end(self, early: bool) -> None:  # noqa: FBT001
        if not self.done():
            self._detach()
            self.set_result(early)

    def _detach(self) -> None:
        self._timer.cancel()
        if self._active_sleeps is not None:
            self._active_sleeps.discard(self)


class _Block:
    """As `asyncio.timeout`, but ended by somebody and not by the clock."""

    __slots__ = ("_before", "_blocks", "_ended", "_task")

    def __init__(self, blocks: set[_Block]) -> None:
        self._blocks = blocks
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._before = self._task.cancelling()
        self._ended = False

    def __enter__(self) -> None:
        self._blocks.add(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._blocks.discard(self)
        # Somebody else may have cancelled the task as well, and goes first.
        if self._ended and self._task.uncancel() <= self._before and kind is CancelledError:
            raise client_closed_error() from None

    def end(self) -> None:
        """Let what the block waits for be over."""
        if not self._ended:
            self._ended = True
            self._task.cancel()


class Sleeper:
    """All that one client waits for, until it closes."""

    def __init__(self) -> None:
        self.closed = False
        self._active_sleeps: set[WakeableSleep] = set()
        self._blocks: set[_Block] = set()

    def sleep(self, seconds: float) -> WakeableSleep:
        """A pause of `seconds` that `close` ends.

        Raises:
            ConfigurationError: the client is closed.
        """
        if self.closed:
            raise client_closed_error()
        return WakeableSleep(seconds, self._active_sleeps)

    def cancel_on_close(self) -> _Block:
        """For a `with` block that `close` ends, whatever it waits for.

        Raises:
            ConfigurationError: the client is closed.
        """
        if self.closed:
            raise client_closed_error()
        return _Block(self._blocks)

    def close(self) -> None:
        """End all that waits; a second call does nothing."""
        self.closed = True
        for active_sleep in tuple(self._active_sleeps):
            active_sleep.wake()
        for block in self._blocks:
            block.end()


def client_closed_error() -> ConfigurationError:
    """What a call gets after `aclose`."""
    return ConfigurationError("this client is closed; make a new one")
