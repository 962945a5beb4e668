"""How long the parts of the limiter wait, from the limit alone; no clock, no I/O."""

import attrs

from mp4gen.options import RateLimit

# Redis measures time with the clock of its host, which NTP speeds up by at most 500 ppm.
_CLOCK_DRIFT = 0.001
_MIN_LEASE, _MAX_LEASE = 2.0, 10.0
# Without Redis, a tenth of the limit is kept for up to ten processes that started meanwhile.
_RESERVE = 0.1
_MAX_NEW_PROCESSES = 10


@attrs.frozen
class Timing:
    """The times of a limiter in seconds.

    Attributes:
        period: How long a slot rests after the response of its call.
        lease: How long a slot stays held, and a process known, without an exchange.
        heartbeat: Longest time between two exchanges of a process that holds a slot.
        timeout: Longest duration of one exchange.
        recheck: Longest time between two exchanges of a process that waits for a slot.
        tolerance: How late a process may come for the slot that is left to it.
        probe_interval: Time between two attempts to reach Redis when it is away.
        settle: Time in which all processes surely come back to Redis.
        grace: Time without Redis after which all slots that it granted are free.
    """

    period: float
    lease: float
    heartbeat: float
    timeout: float
    recheck: float
    tolerance: float
    probe_interval: float
    settle: float
    grace: float

    @classmethod
    def of(cls, limit: RateLimit) -> "Timing":
        """Return the times for a limit."""
        period = limit.per * (1 + _CLOCK_DRIFT)
        lease = min(max(limit.per, _MIN_LEASE), _MAX_LEASE)
        return cls(
            period=period,
            lease=lease,
            heartbeat=lease / 4,
            timeout=lease / 4,
            recheck=min(max(limit.per / 10, 0.05), 1.0),
            tolerance=0.25,
            probe_interval=lease / 10,
            settle=lease * 0.75,
            grace=lease + period,
        )


def share_without_redis(limit: RateLimit, processes: int | None) -> RateLimit:
    """Return the limit of one process while Redis is away.

    The limits of all processes together never exceed `limit`.

    Args:
        limit: The limit of the account.
        processes: The number of processes that used Redis last; None for a process that it did
            not know yet.
    """
    share = _RESERVE / _MAX_NEW_PROCESSES if processes is None else (1 - _RESERVE) / processes
    requests = limit.requests * share
    if requests >= 1:
        return RateLimit(int(requests), per=limit.per)
    return RateLimit(1, per=limit.per / requests)
