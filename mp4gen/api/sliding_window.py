"""The rate limit as a server counts it: by arrival, in any window; no clock, no I/O."""

from collections import deque
from collections.abc import Iterable

import attrs

from mp4gen.options import RateLimit

# Loop times are sums of fractions: rounding can make a full window seem slightly shorter.
_ROUNDING = 1e-9


@attrs.define
class SlidingWindow:
    """The requests of one account that were granted within the last window.

    A refused request does not count: "will not enter the queue" (docs.kie.ai, "Getting Started").
    """

    _granted: deque[float] = attrs.field(factory=deque, init=False)

    def try_acquire(self, limit: RateLimit, now: float) -> float:
        """Count a request that arrives at `now`, in seconds, if `limit` allows it.

        Returns:
            0 if the request is granted, else the seconds until one can be.
        """
        while self._granted and self._granted[0] <= now - limit.per + _ROUNDING:
            self._granted.popleft()
        if len(self._granted) >= limit.requests:
            return self._granted[0] + limit.per - now
        self._granted.append(now)
        return 0.0


def peak_in_window(times: Iterable[float], window: float) -> int:
    """Return the maximum number of `times` in any `window` seconds, excluding the window's end."""
    peak, recent = 0, deque[float]()
    for time in sorted(times):
        recent.append(time)
        while recent[0] <= time - window + _ROUNDING:
            recent.popleft()
        peak = max(peak, len(recent))
    return peak
