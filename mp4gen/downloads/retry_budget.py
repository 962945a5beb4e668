"""Decide how long one download is retried; sleeps for nothing and sends nothing."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Final

import attrs

from mp4gen.options import Retry
from mp4gen.transport.retry import backoff_delays

# An attempt that got this much further than any before is progress, however it ended.
MIN_PROGRESS_BYTES: Final = 1 << 16
_MAX_CORRUPT_ATTEMPTS: Final = 3


class RetryableError(Exception):
    """A temporary failure of an attempt.

    Attributes:
        retry_after: The seconds that the host asks to wait; None if it does not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CorruptFileError(RetryableError):
    """The host sent something else than the file; no byte of it is kept."""


class NotThereYetError(RetryableError):
    """The host does not have the file of a new link, which may follow in a moment."""


class HostDownError(RetryableError):
    """The host was down for as long as a download waits; the text is the last failure."""


@attrs.define(eq=False)
class RetryBudget:
    """The retries of one download: limited in time, and in number for corrupt files.

    Attributes:
        retry: The delays and the time limit.
        random: The jitter of the delays.
        attempts: Failed attempts in a row; 0 after progress, which starts the time anew.
    """

    retry: Retry
    random: Random
    attempts: int = 0
    _corrupt_attempts: int = 0
    _most_received: int = 0
    _failing_since: float | None = None
    _delays: Iterator[float] | None = None

    @property
    def elapsed(self) -> float:
        """The seconds without progress. The first use starts to count."""
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since, self._delays = now, None
        return now - self._failing_since

    @property
    def remaining(self) -> float:
        """The seconds until the download gives up."""
        return self.retry.timeout - self.elapsed

    def add_failure(self, error: RetryableError, received: int) -> None:
        """Count a failed attempt that ended with `received` bytes of the file."""
        # Only growth beyond the best attempt: a host that always breaks would never end.
        if received - self._most_received >= MIN_PROGRESS_BYTES:
            self._failing_since, self.attempts = None, 0
        self._most_received = max(self._most_received, received)
        self._corrupt_attempts += isinstance(error, CorruptFileError)
        self.attempts += 1

    def next_delay(self, error: RetryableError) -> float | None:
        """Return the seconds until the next attempt, at least `retry_after`; None to give up."""
        remaining = self.remaining
        self._delays = self._delays or backoff_delays(self.retry, self.random)
        delay = max(next(self._delays), error.retry_after or 0.0)
        exhausted = delay > remaining or self._corrupt_attempts > _MAX_CORRUPT_ATTEMPTS
        return None if exhausted else delay
