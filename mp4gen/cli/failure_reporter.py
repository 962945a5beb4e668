"""Reports failures that are retried, as they happen: what, why, and until when; retries nothing."""

import asyncio
import textwrap
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from mp4gen.errors import ApiError, MaintenanceError, Mp4GenError, RateLimitError
from mp4gen.events import (
    CompletedEvent,
    Event,
    MaintenanceEvent,
    PausedEvent,
    PollEvent,
    RetryEvent,
    SubmittedEvent,
)
from mp4gen.options import Retry

from .output import Output
from .run_progress import format_duration

# Python needs up to a second to start, so the first line appears within two.
_SILENCE_SECONDS = 1.0
_REPEAT_SECONDS = 60.0
_MAX_LINES = 5
_MAX_REASON = 200


@attrs.define
class RetryLimit:
    """How long a command retries.

    Attributes:
        seconds: Seconds from the first failure.
        text: What the command reports; `{until}` stands for the time of day at which the
            retries end.
    """

    seconds: float = Retry().timeout
    text: str = "Retrying until {until}."


@attrs.define
class FailureReporter:
    """Prints one line for each new failure, again after a minute, and five lines a minute at most.

    Attributes:
        output: Where it prints.
        limit: How long failed calls are retried.
        clock: Returns monotonic seconds.
        now: Returns the local time.
    """

    output: Output
    limit: RetryLimit = attrs.field(factory=RetryLimit)
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    _has_event: bool = False
    _failing_since: datetime | None = None
    _printed: deque[tuple[float, str]] = attrs.field(factory=lambda: deque(maxlen=_MAX_LINES))

    def handle_event(self, event: Event) -> None:
        """Report an event of the client if it is a new failure."""
        self._has_event = True
        text = self._describe(event)
        now = self.clock()
        recent = [printed for at, printed in self._printed if now - at < _REPEAT_SECONDS]
        if text is not None and text not in recent and len(recent) < _MAX_LINES:
            self._printed.append((now, text))
            self.output.status(text)

    def report(self, text: str) -> None:
        """Report what the command waits for, which is not the API."""
        self._has_event = True
        self.output.status(text)

    async def report_silence(self, host: str, *, is_shared: bool = False) -> None:
        """Report after a second what the command waits for, unless an event has arrived.

        Args:
            host: The address of the API.
            is_shared: Whether other processes can use up the rate limit.
        """
        await asyncio.sleep(_SILENCE_SECONDS)
        if not self._has_event:
            others = "Other processes may be using the rate limit. " if is_shared else ""
            self.output.status(
                f"No response from {host} yet. {others}Check the server, the network and the "
                f"firewall. {self._limit_text(self.now())}"
            )

    def _describe(self, event: Event) -> str | None:
        match event:
            case SubmittedEvent() | PollEvent() | CompletedEvent():
                self._failing_since = None
            case RetryEvent(error=RateLimitError() | MaintenanceError()):
                # Their own events say how long they last.
                return None
            case RetryEvent(error=error):
                self._failing_since = self._failing_since or self.now()
                return f"{_reason(error)}. {self._limit_text(self._failing_since)}"
            case PausedEvent(delay=delay):
                return f"The API refused a call by its rate limit. Pausing for {delay:.0f} s."
            case MaintenanceEvent(delay=delay):
                wait = format_duration(delay)
                return f"The API is down for maintenance. The next probe is in {wait}."
        return None

    def _limit_text(self, since: datetime) -> str:
        until = since + timedelta(seconds=self.limit.seconds)
        # Seconds would be more precise than the delays between the attempts.
        return self.limit.text.format(until=f"{until:%H:%M}")


def _reason(error: Mp4GenError) -> str:
    """Return the text of an error without its hint, which is for a final failure."""
    text = str(error)
    if isinstance(error, ApiError):
        text = text.removesuffix(error.hint).rstrip()
        if not error.from_api:
            text = (
                f"A server answered {error.code}, but not as the API does: a gateway, or another "
                "server. Check --base-url"
            )
    return textwrap.shorten(text.rstrip("."), _MAX_REASON, placeholder="...")
