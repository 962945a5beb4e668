"""Reports failures that are retried, as they happen: what, why, and until when; retries nothing."""

import asyncio
import textwrap
import time
from collections import deque
from collections.abc import Callable

import attrs

from mp4gen.errors import ApiError, MaintenanceError, Mp4GenError, RateLimitError
from mp4gen.events import Event, MaintenanceEvent, PausedEvent, RetryEvent
from mp4gen.options import Retry

from .output import Output
from .run_progress import format_duration

_SILENCE_SECONDS = 2.0
_REPEAT_SECONDS = 60.0
_MAX_LINES = 5
_MAX_REASON = 200


@attrs.define
class FailureReporter:
    """Prints one line for each new failure, again after a minute, and five lines a minute at most.

    Attributes:
        output: Where it prints.
        limit: How long a failed call is retried.
        clock: Returns monotonic seconds.
    """

    output: Output
    limit: str = f"up to {format_duration(Retry().timeout)}"
    clock: Callable[[], float] = time.monotonic
    _has_event: bool = False
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

    async def report_silence(self, host: str) -> None:
        """Say after two seconds what the command waits for, unless an event has come."""
        await asyncio.sleep(_SILENCE_SECONDS)
        if not self._has_event:
            self.output.status(f"No response from {host} yet. Waiting.")

    def _describe(self, event: Event) -> str | None:
        match event:
            case RetryEvent(error=RateLimitError() | MaintenanceError()):
                # Their own events say how long they last.
                return None
            case RetryEvent(error=error):
                return f"{_reason(error)}. Retrying for {self.limit}."
            case PausedEvent(delay=delay):
                return f"The API refused a call by its rate limit. Pausing for {delay:.0f} s."
            case MaintenanceEvent(delay=delay):
                wait = format_duration(delay)
                return f"The API is down for maintenance. The next probe is in {wait}."
        return None


def _reason(error: Mp4GenError) -> str:
    """Return the text of an error without its hint, which is for a final failure."""
    text = str(error)
    if isinstance(error, ApiError):
        text = text.removesuffix(error.hint).rstrip()
    return textwrap.shorten(text.rstrip("."), _MAX_REASON, placeholder="...")
