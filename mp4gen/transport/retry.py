"""What a failure means for the call that met it: pure decisions and pure waits; never sleeps.

The decision is a table over error classes, the waits come from `backoff`'s generators, and the
quota keeps one client's retries from multiplying the traffic of an outage.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from random import Random

import attrs

from mp4gen.errors import (
    MaintenanceError,
    Mp4GenError,
    ProtocolError,
    RateLimitError,
    ServerError,
    TransportError,
)
from mp4gen.options import Retry


class RetryDecision(enum.Enum):
    """What to do after a failed call."""

    GIVE_UP = enum.auto()
    RETRY = enum.auto()
    PAUSE = enum.auto()
    MAINTENANCE = enum.auto()
    UNCERTAIN = enum.auto()


def classify(error: Mp4GenError, *, submit: bool) -> RetryDecision:
    """What to do after `error`; `submit` says that the call costs money if it went through.

    A submit is only repeated blindly when it certainly was not accepted: the API itself said so,
    or not a byte of it left this machine. All else about a submit is uncertain.
    """
    match error:
        case RateLimitError():
            return RetryDecision.PAUSE
        case MaintenanceError():
            return RetryDecision.MAINTENANCE
        case ServerError(from_api=True) | TransportError(sent=False):
            return RetryDecision.RETRY
        case ServerError() | TransportError() | ProtocolError():
            return RetryDecision.UNCERTAIN if submit else RetryDecision.RETRY
        case _:
            return RetryDecision.GIVE_UP


def backoff_delays(retry: Retry, random: Random) -> Iterator[float]:
    """Seconds before each further try: exponential, capped, with full jitter; endless."""
    import backoff

    ceilings = backoff.expo(base=2, factor=retry.initial_delay, max_value=retry.max_delay)
    for ceiling in ceilings:
        # The generator's first item only starts it.
        if ceiling is not None:
            yield random.uniform(0, ceiling)


@attrs.define
class RetryQuota:
    """One client's allowance of retries: `retry_cost` for each, `refund` back for each clean success.

    botocore's figures would allow 50 in a row; a client of 2 calls a second needs far fewer.
    """

    available: int = 100
    capacity: int = 100
    retry_cost: int = 10
    refund: int = 1

    def acquire(self) -> bool:
        """Whether one more retry is allowed; pays for it if so."""
        if self.available < self.retry_cost:
            return False
        self.available -= self.retry_cost
        return True

    def release(self) -> None:
        """A call went through."""
        self.available = min(self.capacity, self.available + self.refund)
