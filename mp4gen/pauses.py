"""Where a client's work sleeps: any pause can be ended early, and closing the client ends all.

It knows neither what is waited for nor why it ended; whoever sleeps looks again on waking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import ConfigurationError


class Pause(asyncio.Future[bool]):
    """One sleep, to be awaited once; gives whether it was ended early.

    A future and no coroutine: a hundred thousand of them may be alive, and a frame is what weighs.

    Args:
        seconds: how long at most.
        asleep: the set that it is in until it ends.
    """

    __slots__ = ("_asleep", "_timer")

    def __init__(self, seconds: float, asleep: set[Pause] | None = None) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop=loop)
        self._asleep = asleep
        self._timer = loop.call_later(seconds, self._end, False)  # noqa: FBT003
        if asleep is not None:
            asleep.add(self)

    def wake(self) -> None:
        """End it now, if it has not ended."""
        self._end(True)  # noqa: FBT003

    def cancel(self, msg: object = None) -> bool:
        """As of any future; its timer ends with it."""
        self._leave()
        return super().cancel(msg)

    def _end(self, early: bool) -> None:  # noqa: FBT001
        if not self.done():
            self._leave()
            self.set_result(early)

    def _leave(self) -> None:
        self._timer.cancel()
        if self._asleep is not None:
            self._asleep.discard(self)


class Pauses:
    """All that one client waits for, until it closes."""

    def __init__(self) -> None:
        self.closed = False
        self._asleep: set[Pause] = set()
        self._scopes: set[asyncio.Timeout] = set()

    def sleep(self, seconds: float) -> Pause:
        """A pause of `seconds` that `close` ends.

        Raises:
            ConfigurationError: the client is closed.
        """
        if self.closed:
            raise closed()
        return Pause(seconds, self._asleep)

    @asynccontextmanager
    async def until_closed(self) -> AsyncIterator[None]:
        """A block that `close` ends, whatever it waits for.

        Raises:
            ConfigurationError: the client is closed.
        """
        if self.closed:
            raise closed()
        scope = asyncio.timeout(None)
        self._scopes.add(scope)
        try:
            async with scope:
                yield
        except TimeoutError:
            if scope.expired():
                raise closed() from None
            raise
        finally:
            self._scopes.discard(scope)

    def close(self) -> None:
        """End all that waits; a second call does nothing."""
        self.closed = True
        for pause in tuple(self._asleep):
            pause.wake()
        for scope in self._scopes:
            scope.reschedule(asyncio.get_running_loop().time())


def closed() -> ConfigurationError:
    """What a call gets after `aclose`."""
    return ConfigurationError("this client is closed; make a new one")
