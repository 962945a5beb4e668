"""The calls of one process that wait for a slot, in order; no I/O, no clock."""

from __future__ import annotations

import asyncio
from collections import deque

import attrs

from mp4gen.errors import Mp4GenError
from mp4gen.transport.rate_limit import Priority


@attrs.frozen
class Grant:
    """A slot that was granted.

    Attributes:
        slot: Its id.
        use_before: The loop time at which its lease ends, if the process has not renewed it.
    """

    slot: str
    use_before: float


Waiter = asyncio.Future[Grant]


@attrs.define
class WaitingCalls:
    """A queue for each priority, interactive first."""

    _queues: tuple[deque[Waiter], ...] = attrs.field(
        factory=lambda: tuple(deque() for _ in Priority), init=False
    )

    def __bool__(self) -> bool:
        return any(self._queues)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of calls of each priority; some may be cancelled."""
        return tuple(map(len, self._queues))

    def add(self, priority: Priority, waiter: Waiter) -> bool:
        """Add a call, and return whether it is the first one of its priority."""
        self._queues[priority].append(waiter)
        return len(self._queues[priority]) == 1

    def drop_cancelled(self) -> None:
        """Remove cancelled calls from the heads of the queues."""
        for queue in self._queues:
            while queue and queue[0].done():
                queue.popleft()

    def pop(self) -> Waiter | None:
        """Remove and return the next call; None if none waits."""
        self.drop_cancelled()
        queue = next(filter(None, self._queues), None)
        return queue.popleft() if queue else None

    def fail(self, error: Mp4GenError) -> None:
        """Let every call fail, each with an error of its own."""
        while (waiter := self.pop()) is not None:
            waiter.set_exception(type(error)(str(error)))
