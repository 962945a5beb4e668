"""What a process may send by itself while Redis is away; no I/O, no clock."""

import attrs

from mp4gen.options import RateLimit

from .timing import Timing, share_without_redis


@attrs.define
class Outage:
    """One time without Redis, from its first failed exchange to the next one that succeeds.

    At first the process sends nothing: others may use all slots that Redis has granted. After
    `Timing.grace` these are free, and it sends its share of the limit.

    Attributes:
        since: The loop time of the first failed exchange.
        timing: The times of the limiter.
        share: The limit of this process.
    """

    since: float
    timing: Timing
    share: RateLimit

    @classmethod
    def begin(cls, now: float, timing: Timing, limit: RateLimit, processes: int | None) -> "Outage":
        """Return an outage that begins `now`; the arguments are those of `share_without_redis`."""
        return cls(now, timing, share_without_redis(limit, processes))

    @property
    def shares_at(self) -> float:
        """The loop time from which the process sends its share."""
        return self.since + self.timing.grace

    def shares(self, now: float) -> bool:
        """Return whether the process sends its share."""
        return now >= self.shares_at

    def describe(self) -> str:
        """Return what the process does meanwhile."""
        share = f"{self.share.requests} calls in {self.share.per:g} s"
        return (
            f"Calls wait for {self.timing.grace:.0f} s. Then this process sends at most {share}, "
            "until Redis is back."
        )
