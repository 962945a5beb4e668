"""One run of `exchange.lua` as values: what a process sends, and what it gets; no I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from mp4gen.options import RateLimit

from .own_slots import State, mark
from .timing import Timing


@attrs.frozen(kw_only=True)
class Request:
    """What a process sends in one exchange.

    Attributes:
        sent_at: The loop time.
        process: The id of the process.
        number: The number of this exchange, from 1.
        epoch: The epoch of the data that the process knows; 0 for none.
        joins: Whether Redis may have forgotten the process, or been restarted.
        returns: Whether the process has sent its own share meanwhile.
        leaves: Whether it is the last exchange of the process.
        limit: The limit of the account.
        timing: The times of the limiter.
        paused_until: The loop time until which all processes pause; -inf for no new pause.
        waiting: The waiting calls of each priority.
        states: What became of the slots of the process.
    """

    sent_at: float
    process: str
    number: int
    epoch: int
    joins: bool
    returns: bool
    leaves: bool
    limit: RateLimit
    timing: Timing
    paused_until: float
    waiting: tuple[int, int]
    states: Mapping[str, State]

    def arguments(self) -> list[str | int]:
        """Return the arguments of the script."""
        timing = self.timing
        seconds = (
            timing.period,
            timing.lease,
            timing.heartbeat,
            timing.recheck,
            timing.tolerance,
            timing.settle,
            max(self.paused_until - self.sent_at, 0.0),
        )
        marks = ((slot, mark(state, self.sent_at)) for slot, state in self.states.items())
        return [
            self.process,
            self.number,
            self.epoch,
            *map(int, (self.joins, self.returns, self.leaves)),
            self.limit.requests,
            *(math.ceil(value * 1e6) for value in seconds),
            *self.waiting,
            *(item for pair in marks for item in pair),
        ]

    def slots(self, count: int) -> list[str]:
        """Return the ids of the slots that the exchange has granted."""
        return [f"{self.process}:{self.number}:{index + 1}" for index in range(count)]

    def still_waiting(self, granted: int) -> tuple[bool, bool]:
        """Return whether Redis knows of further calls of each priority."""
        interactive, bulk = self.waiting
        return interactive > granted, bulk > max(granted - interactive, 0)


@attrs.frozen
class Reply:
    """What a process gets.

    Attributes:
        epoch: The epoch of the data: another one if Redis has lost the slots.
        granted: The number of slots that the process may use now.
        wait: Seconds until its next exchange, if nothing happens before.
        processes: The number of processes that use the limiter.
    """

    epoch: int
    granted: int
    wait: float
    processes: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Reply:
        """Return the reply of the script as a value."""
        epoch, granted, microseconds, processes = values
        return cls(epoch, granted, microseconds / 1e6, processes)
