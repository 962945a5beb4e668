"""A stopwatch of loop time, which can be stopped."""

from __future__ import annotations

import asyncio


class Stopwatch:
    """Seconds of loop time since it was made, without the time while it was stopped."""

    __slots__ = ("_before", "_started")

    def __init__(self) -> None:
        self._before = 0.0
        self._started: float | None = asyncio.get_running_loop().time()

    @property
    def elapsed(self) -> float:
        """The seconds so far."""
        if self._started is None:
            return self._before
        return self._before + asyncio.get_running_loop().time() - self._started

    def stop(self) -> None:
        """Stop counting."""
        self._before, self._started = self.elapsed, None

    def start(self) -> None:
        """Count again."""
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
