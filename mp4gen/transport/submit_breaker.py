"""Hold back the submits of bulk runs while none gets through, although other calls do."""

from typing import Final

from mp4gen.errors import Mp4GenError

from .circuit_breaker import CircuitBreaker
from .sleeper import Sleeper

# Different submits that fail, with none accepted in between, before the cause is not one of them.
_MANY_SUBMITS: Final = 20
# After an hour without an accepted submit, the submits fail, and with them the run.
SUBMIT_OUTAGE_TIMEOUT: Final = 3600.0


class SubmitBreaker:
    """The circuit breaker of submits: it opens after many different ones have failed in a row.

    Attributes:
        breaker: Open while one submit at a time is sent, as a probe.
        accepted: Submits that were accepted so far.
    """

    def __init__(self, sleeper: Sleeper) -> None:
        self.breaker = CircuitBreaker(sleeper, outage="The API accepts no submits")
        self.accepted = 0
        self._failing = 0

    def record_response(self) -> None:
        """Let all submits pass after one that was accepted, or refused for good."""
        self._failing = 0
        self.breaker.reset()

    def record_first_failure(self, error: Mp4GenError, probe_interval: float) -> None:
        """Count the first failure of a submit; the later ones of the same submit do not count."""
        self._failing += 1
        if self._failing >= _MANY_SUBMITS and not self.breaker.is_open:
            self.breaker.trip(error, probe_interval)
