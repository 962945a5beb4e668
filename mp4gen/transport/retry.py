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


class Next(enum.Enum):
    """What to do after a failed call."""

    GIVE_UP = enum.auto()
    RETRY = enum.auto()
    COOL_DOWN = enum.auto()
    MAINTENANCE = enum.auto()
    UNCERTAIN = enum.auto()


def decide(error: Mp4GenError, *, submit: bool) -> Next:
    """What to do after `error`; `submit` says that the call costs money if it went through.

    A submit is only repeated blindly when it certainly was not accepted: the API itself said so,
    or not a byte of it left this machine. All else about a submit is uncertain.
    """
    match error:
        case RateLimitError():
            return Next.COOL_DOWN
        case MaintenanceError():
            return Next.MAINTENANCE
        case ServerError(from_api=True) | TransportError(sent=False):
            return Next.RETRY
        case ServerError() | TransportError() | ProtocolError():
            return Next.UNCERTAIN if submit else Next.RETRY
        case _:
            return Next.GIVE_UP


def waits(retry: Retry, random: Random) -> Iterator[float]:
    """Seconds before each further try: exponential, capped, with full jitter; endless."""
    import backoff

    growing = backoff.expo(base=2, factor=retry.first, max_value=retry.longest)
    for longest in growing:
        # The generator's first item only starts it.
        if longest is not None:
            yield random.uniform(0, longest)


@attrs.define
class RetryQuota:
    """One client's allowance of retries: `cost` for each, `gain` back for each clean success.

    botocore's figures would allow 50 in a row; a client of 2 calls a second needs far fewer.
    """

    left: int = 100
    most: int = 100
    cost: int = 10
    gain: int = 1

    def take(self) -> bool:
        """Whether one more retry is allowed; pays for it if so."""
        if self.left < self.cost:
            return False
        self.left -= self.cost
        return True

    def succeeded(self) -> None:
        """A call went through."""
        self.left = min(self.most, self.left + self.gain)
