"""Counts the videos of `mp4gen render` and estimates its end; shows nothing."""

import time
from collections.abc import Callable
from pathlib import Path

import attrs

from .run_progress import counts_text, format_duration

_MIN_ELAPSED = 5.0


@attrs.define
class RenderProgress:
    """The counts of one run.

    Attributes:
        total: Number of files.
        clock: Returns monotonic seconds.
        succeeded: Videos that are rendered.
        skipped: Videos that existed before.
        failed: Files that ended with an error.
        running: The finished part of each video in progress, 0 to 1, by its path.
    """

    total: int = 0
    clock: Callable[[], float] = time.monotonic
    succeeded: int = 0
    skipped: int = 0
    failed: int = 0
    running: dict[Path, float] = attrs.field(factory=dict)
    _started: float = attrs.field(
        default=attrs.Factory(lambda self: self.clock(), takes_self=True), init=False
    )

    @property
    def remaining(self) -> int:
        """Number of files that have no video yet and did not fail."""
        return self.total - self.succeeded - self.skipped - self.failed

    @property
    def fraction(self) -> float | None:
        """The finished part of the work, 0 to 1; None if there is nothing to render."""
        to_render = self.total - self.skipped
        finished = self.succeeded + self.failed + sum(list(self.running.values()))
        return finished / to_render if to_render else None

    def summary(self) -> dict[str, int]:
        """Return the counts by name."""
        names = ("succeeded", "skipped", "failed", "remaining")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        in_progress = len(self.running)
        waiting = max(0, self.remaining - in_progress)
        text = counts_text(self.succeeded, self.failed, in_progress, waiting)
        elapsed, fraction = self.clock() - self._started, self.fraction
        if fraction and elapsed >= _MIN_ELAPSED:
            text += f", ETA {format_duration(elapsed / fraction - elapsed)}"
        return text
