"""Decides when queued tasks may start, and logs when the queue waits or goes on; starts none."""

import logging
from collections.abc import Callable

from .retries import QueueHold

log = logging.getLogger("mp4gen.server")

# Seconds between two checks of a full disk.
_DISK_CHECK_INTERVAL = 5.0


class StartGate:
    """Holds the whole queue after several failures in a row, and while the disk is nearly full.

    Args:
        space_trouble: Returns why nothing should be written now; None if there is space.
    """

    def __init__(self, space_trouble: Callable[[], str | None]) -> None:
        self._space_trouble = space_trouble
        self._logged_space_trouble: str | None = None
        self._hold = QueueHold()

    @property
    def trouble(self) -> str | None:
        """Why the whole queue waits, as a sentence; None if it does not."""
        return self._space_trouble() or (self._hold.reason if self.is_held else None)

    @property
    def is_held(self) -> bool:
        """Whether only one task at a time may start."""
        return self._hold.is_active

    @property
    def last_failure(self) -> str | None:
        """The text of the last failure since the gate was opened; None if there is none."""
        return self._hold.reason

    def seconds_to_wait(self, now: float) -> float:
        """Return the seconds until the next task may start; 0 if immediately."""
        trouble = self._space_trouble()
        self._log_change(self._logged_space_trouble, trouble)
        self._logged_space_trouble = trouble
        return max(self._hold.until - now, _DISK_CHECK_INTERVAL if trouble else 0.0)

    def record_failure(self, reason: str, now: float) -> None:
        """Count a failure that is not the song's."""
        was_held = self.is_held
        self._hold.record_failure(reason, now)
        if self.is_held and not was_held:
            self._log_change(None, reason)

    def open(self) -> None:
        """Forget all failures: a video was finished, or no task is left."""
        if self.is_held:
            self._log_change(self._hold.reason, None)
        self._hold.record_success()

    def _log_change(self, before: str | None, trouble: str | None) -> None:
        if trouble and not before:
            log.error("the queue waits: %s", trouble)
        elif before and not trouble:
            log.warning("the queue goes on")
