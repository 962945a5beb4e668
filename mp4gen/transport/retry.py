"""Decide what to do after a failed call: pure functions; never sleeps."""

import enum
from collections.abc import Iterator
from random import Random

from mp4gen.errors import (
    MaintenanceError,
    Mp4GenError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TransportError,
    UnexpectedError,
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
    """Return what to do after `error`.

    A submit is retried only if it certainly was not accepted: the API refused it, or not a byte
    was sent. Every other failure of a submit is uncertain.

    Args:
        error: How the call failed.
        submit: Whether the call costs money if it was accepted.
    """
    match error:
        case RateLimitError():
            return RetryDecision.PAUSE
        case MaintenanceError():
            return RetryDecision.MAINTENANCE
        case RequestTimeoutError():
            # The caller's own deadline.
            return RetryDecision.GIVE_UP
        case ServerError(from_api=True) | TransportError(sent=False):
            return RetryDecision.RETRY
        case ServerError() | TransportError() | ProtocolError() | UnexpectedError():
            return RetryDecision.UNCERTAIN if submit else RetryDecision.RETRY
        case _:
            return RetryDecision.GIVE_UP


def backoff_delays(retry: Retry, random: Random) -> Iterator[float]:
    """Return the seconds before each retry: exponential, capped, with full jitter; endless."""
    # Each new client calls this: a first call may have no free file descriptor for the import.
    import backoff

    ceilings = backoff.expo(base=2, factor=retry.initial_delay, max_value=retry.max_delay)
    # The generator's first item only starts it.
    return (random.uniform(0, ceiling) for ceiling in ceilings if ceiling is not None)
