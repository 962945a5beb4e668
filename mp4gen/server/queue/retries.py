"""Decides when a task is tried again, and when the whole queue waits; pure, without a clock.

A failure of a song is final. All other failures are temporary: the task is tried again after a
delay that grows with each failure. After several in a row, of any tasks, the whole queue waits, and
one task at a time is the probe that finds out whether renders work again.
"""

import attrs

# How often a render may crash, or its server die, before its task fails.
MAX_ATTEMPTS = 3
# Seconds before the first retry, and their maximum; each delay is twice the one before it.
INITIAL_DELAY, MAX_DELAY = 2.0, 60.0
HOLD_AFTER = 3


def retry_delay(failures: int) -> float:
    """Return the seconds to wait after this many failures in a row."""
    return float(min(MAX_DELAY, INITIAL_DELAY * 2 ** min(failures - 1, 30)))


@attrs.define
class QueueHold:
    """Counts failures in a row that are not the song's, and holds the queue after several.

    Attributes:
        failures: How many there were since the last finished video.
        reason: The text of the last one; None if there is none.
        until: The loop time at which the next task may find out whether it has passed.
    """

    failures: int = 0
    reason: str | None = None
    until: float = 0.0

    @property
    def is_active(self) -> bool:
        """Whether only one task at a time may start."""
        return self.failures >= HOLD_AFTER

    def record_failure(self, reason: str, now: float) -> None:
        """Count one failure."""
        self.failures += 1
        self.reason = reason
        if self.is_active:
            self.until = now + retry_delay(self.failures - HOLD_AFTER + 1)

    def record_success(self) -> None:
        """Forget all failures: a video was finished."""
        self.failures, self.reason, self.until = 0, None, 0.0
