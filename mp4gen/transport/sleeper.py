"""Sleeps that can be woken early, and deadlines; they all end when their client closes.

The module knows neither why a caller sleeps nor why it wakes: the caller checks again on waking.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from mp4gen.errors import ConfigurationError


class WakeableSleep(asyncio.Future[bool]):
    """One sleep, to be awaited once. Its result is True if it was woken early.

    It is a future, not a coroutine: 100,000 may be alive at once, and a frame costs more memory.

    Args:
        seconds: The longest that it lasts.
        active_sleeps: The sleeps of a client; they hold it until it ends.
    """

    __slots__ = ("_active_sleeps", "_timer")

    def __init__(
        self, seconds: float, active_sleeps: dict[WakeableSleep, None] | None = None
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop=loop)
        self._active_sleeps = active_sleeps
        self._timer = loop.call_later(seconds, self._end, False)  # noqa: FBT003
        if active_sleeps is not None:
            active_sleeps[self] = None

    def wake(self) -> None:
        """End the sleep now, unless it has ended."""
        self._end(True)  # noqa: FBT003

    def cancel(self, msg: object = None) -> bool:
        """Cancel the future and its timer."""
        self._detach()
        return super().cancel(msg)

    def _end(self, early: bool) -> None:  # noqa: FBT001
        if not self.done():
            self._detach()
            self.set_result(early)

    def _detach(self) -> None:
        self._timer.cancel()
        if self._active_sleeps is not None:
            self._active_sleeps.pop(self, None)


class _CancelOnClose:
    """An `asyncio.timeout` that expires when the client closes: cheaper than a generator."""

    __slots__ = ("_timeout", "_timeouts")

    def __init__(self, timeouts: dict[asyncio.Timeout, None]) -> None:
        self._timeout, self._timeouts = asyncio.timeout(None), timeouts

    async def __aenter__(self) -> None:
        self._timeouts[self._timeout] = None
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timeouts.pop(self._timeout, None)
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise client_closed_error() from None


class Deadlines:
    """The deadlines of calls in progress, with one timer for the earliest.

    Most calls end long before their deadline, and a timer for each takes 3 % of a call's CPU.
    """

    def __init__(self) -> None:
        self._ends: dict[asyncio.Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, seconds: float) -> asyncio.Timeout:
        """Return a timeout to be entered now, which expires after `seconds`."""
        until, end = asyncio.timeout(None), asyncio.get_running_loop().time() + seconds
        self._ends[until] = end
        if self._timer is None or end < self._timer.when():
            self._set_timer(end)
        return until

    def forget(self, until: asyncio.Timeout) -> None:
        """Forget a timeout that was left."""
        self._ends.pop(until, None)

    def close(self) -> None:
        """Let all timeouts expire now."""
        self._expire(float("inf"))

    def _set_timer(self, end: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(end, self._expire, end)

    def _expire(self, end: float) -> None:
        """Let the timeouts until `end` expire, and set the timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for until, its_end in self._ends.items():
            if its_end <= end and not until.expired():
                until.reschedule(asyncio.get_running_loop().time())
        if later := [its_end for its_end in self._ends.values() if its_end > end]:
            self._set_timer(min(later))


class Sleeper:
    """The sleeps and waits of one client, which end when it closes."""

    def __init__(self) -> None:
        self.closed = False
        # Ordered, so that a seed of the simulation is reproducible.
        self._active_sleeps: dict[WakeableSleep, None] = {}
        self._timeouts: dict[asyncio.Timeout, None] = {}
        self._waiters: dict[asyncio.Future[None], None] = {}

    def sleep(self, seconds: float) -> WakeableSleep:
        """Return a sleep of `seconds` that `close` ends.

        Raises:
            ConfigurationError: The client is closed.
        """
        if self.closed:
            raise client_closed_error()
        return WakeableSleep(seconds, self._active_sleeps)

    def cancel_on_close(self) -> _CancelOnClose:
        """Return a context manager whose block `close` ends, whatever the block awaits.

        A `TimeoutError` of the block itself and a cancel from outside pass through.

        Raises:
            ConfigurationError: The client is closed, or (on leaving) closed meanwhile.
        """
        if self.closed:
            raise client_closed_error()
        return _CancelOnClose(self._timeouts)

    def fail_on_close(self, waiter: asyncio.Future[None]) -> asyncio.Future[None]:
        """Return `waiter`, which `close` ends with an error until it is forgotten."""
        self._waiters[waiter] = None
        return waiter

    def forget(self, waiter: asyncio.Future[None]) -> None:
        """Stop watching `waiter`: `close` no longer ends it."""
        self._waiters.pop(waiter, None)

    def close(self) -> None:
        """End everything that waits. A second call does nothing."""
        self.closed = True
        for active_sleep in tuple(self._active_sleeps):
            active_sleep.wake()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(client_closed_error())
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(asyncio.get_running_loop().time())


def client_closed_error() -> ConfigurationError:
    """Return the error of every call after `aclose`."""
    return ConfigurationError("This client is closed. Create a new one.")


def require_running_loop(owner: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
    """Return the running loop; raise a `ConfigurationError` if `owner` is another one."""
    loop = asyncio.get_running_loop()
    if owner not in (None, loop):
        raise ConfigurationError(
            "This client belongs to another event loop. Create one client for each loop."
        )
    return loop
