"""Share what the downloads of one client know about each file host; sends nothing.

Each host has slots for attempts and a circuit breaker of its own, so that a host that is down
holds up no other. While its breaker is open, one attempt at a time passes as a probe.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import attrs

from mp4gen.transport.rate_limit import CLOCK_RESOLUTION, Priority
from mp4gen.transport.sleeper import Sleeper, WakeableSleep

from .retry_budget import HostDownError, NotThereYetError, RetryableError, RetryBudget

_SLOTS_PER_HOST: Final = 8
# Links can each name another host.
_SLOTS: Final = 64
# Seconds for which the file of a new link may be missing before its host is at fault.
_MISSING_AT_FIRST: Final = 60.0
# Different downloads that fail in a row: the host is at fault, not a file.
_FAILURES_OF_A_HOST: Final = 3


class HostBreaker:
    """The circuit breaker of one host: closed until different downloads fail in a row.

    Args:
        sleeper: Holds the sleeps of waiting downloads.
    """

    def __init__(self, sleeper: Sleeper) -> None:
        self._sleeper = sleeper
        self._failed: set[RetryBudget] = set()
        self._error: RetryableError | None = None
        self._interval = 0.0
        self._next_probe_at = 0.0
        self._probing = False
        # In order. Probes alternate between downloads that have not failed themselves, since a few
        # broken files must not be the only ones that are tried, and those that wait longest.
        self._next_is_untried = True
        self._untried: dict[WakeableSleep, None] = {}
        self._tried: dict[WakeableSleep, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether the host is down."""
        return self._error is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is known of the host."""
        return not (self._failed or self._error)

    async def wait(self, budget: RetryBudget) -> bool:
        """Wait until an attempt may be made; return whether it is a probe.

        Raises:
            HostDownError: The host was down until the budget was spent.
        """
        waiters = self._tried if budget.attempts else self._untried
        is_next = not (self._untried or self._tried)
        try:
            while self._error is not None:
                due = asyncio.get_running_loop().time() + CLOCK_RESOLUTION >= self._next_probe_at
                if is_next and due and not self._probing:
                    self._probing = True
                    self._next_is_untried = waiters is self._tried
                    return True
                if budget.remaining <= CLOCK_RESOLUTION:
                    raise HostDownError(str(self._error)) from self._error
                is_next = await self._sleep(budget.remaining, waiters)
        finally:
            self._set_timer()
        return False

    def add_success(self) -> None:
        """Close the breaker: the host sent a part of a file, or answered properly."""
        self._failed.clear()
        if self._error is not None:
            self._error = None
            for waiter in (*self._untried, *self._tried):
                waiter.wake()

    def add_failure(self, budget: RetryBudget, error: RetryableError, *, probe: bool) -> None:
        """Count a failed attempt; open the breaker, or delay the next probe."""
        if not probe:
            if self.is_open:
                # It began before the breaker opened.
                return
            self._failed.add(budget)
            if len(self._failed) < _FAILURES_OF_A_HOST:
                return
        retry = budget.retry
        self._interval = min(retry.max_delay, 2 * self._interval if probe else retry.initial_delay)
        delay = max(self._interval, min(error.retry_after or 0.0, retry.timeout))
        self._error = error
        self._next_probe_at = asyncio.get_running_loop().time() + delay

    def end_probe(self) -> None:
        """Let another download be the next probe."""
        self._probing = False
        self._set_timer()

    async def _sleep(self, seconds: float, waiters: dict[WakeableSleep, None]) -> bool:
        """Sleep; return True early if the breaker closes or it is this download's turn."""
        waiter = self._sleeper.sleep(seconds)
        waiters[waiter] = None
        self._set_timer()
        try:
            return await waiter
        finally:
            del waiters[waiter]

    def _set_timer(self) -> None:
        """Wake the first of the waiting downloads when the next probe is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        first, second = self._tried, self._untried
        waiters = (second or first) if self._next_is_untried else (first or second)
        if self._error is not None and waiters and not self._probing:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._next_probe_at, next(iter(waiters)).wake)


@attrs.define(eq=False)
class _Host:
    breaker: HostBreaker
    # By priority: the thousands of a bulk run do not delay a single download.
    slots: dict[Priority, asyncio.Semaphore] = attrs.field(
        factory=lambda: {priority: asyncio.Semaphore(_SLOTS_PER_HOST) for priority in Priority}
    )
    users: int = 0


@attrs.define(eq=False)
class Attempt:
    """One attempt at a host.

    Attributes:
        succeeded: Whether the host sent a part of the file.
    """

    _breaker: HostBreaker
    succeeded: bool = False

    def succeed(self) -> None:
        """Report that the host works, while the attempt goes on."""
        self.succeeded = True
        self._breaker.add_success()


class FileHosts:
    """The file hosts of one client.

    Args:
        sleeper: Holds the sleeps of waiting downloads.
    """

    def __init__(self, sleeper: Sleeper) -> None:
        self._sleeper = sleeper
        self._slots = asyncio.Semaphore(_SLOTS)
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def attempt(
        self, name: str, budget: RetryBudget, priority: Priority = Priority.INTERACTIVE
    ) -> AsyncIterator[Attempt]:
        """Wait for a slot of the host `name`, and let the block make one attempt.

        A `RetryableError` of the block is a failure of the host, its end a success. Any other
        exception says nothing about the host.

        Raises:
            HostDownError: The host was down until the budget was spent.
        """
        with self._use(name) as host:
            while True:
                probe = await host.breaker.wait(budget)
                try:
                    async with host.slots[priority], self._slots:
                        # It may have opened while this attempt waited for its slot.
                        if probe or not host.breaker.is_open:
                            with _reported(host.breaker, budget, probe=probe) as attempt:
                                yield attempt
                            return
                finally:
                    if probe:
                        host.breaker.end_probe()

    @contextmanager
    def _use(self, name: str) -> Iterator[_Host]:
        """Yield the host; forget it afterwards if nothing is known of it."""
        host = self._hosts.setdefault(name, _Host(HostBreaker(self._sleeper)))
        host.users += 1
        try:
            yield host
        finally:
            host.users -= 1
            if not host.users and host.breaker.is_idle:
                self._hosts.pop(name, None)


@contextmanager
def _reported(breaker: HostBreaker, budget: RetryBudget, *, probe: bool) -> Iterator[Attempt]:
    """Report the end of the block to the breaker."""
    attempt = Attempt(breaker)
    try:
        yield attempt
    except RetryableError as error:
        # Files of new links may be missing for a while; a host that never has one is at fault.
        is_early = isinstance(error, NotThereYetError) and budget.elapsed < _MISSING_AT_FIRST
        if not attempt.succeeded and (probe or not is_early):
            breaker.add_failure(budget, error, probe=probe)
        raise
    breaker.add_success()
