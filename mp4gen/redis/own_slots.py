"""The slots of this process, and what Redis does not know of them yet; no I/O, no clock."""

from collections.abc import Mapping

import attrs

from .timing import Timing

# What is reported of a slot: "held", "unused", or the loop time at which it is free.
State = str | float


@attrs.define
class OwnSlots:
    """The slots that this process holds or has used within the last period.

    They are registered again if Redis has lost its data, and counted while it is away.

    Attributes:
        timing: The times of the limiter.
        held: Each held slot, with the loop time at which its lease was last renewed.
    """

    timing: Timing
    held: dict[str, float] = attrs.field(factory=dict)
    _resting: dict[str, float] = attrs.field(factory=dict)
    _unreported: dict[str, State] = attrs.field(factory=dict)

    @property
    def has_news(self) -> bool:
        """Whether Redis does not know the state of some slot."""
        return bool(self._unreported)

    def hold(self, slot: str, now: float, *, reported: bool) -> None:
        """Add a slot that was granted at `now`, by Redis itself if it is `reported`."""
        self.held[slot] = now
        if not reported:
            self._unreported[slot] = "held"

    def rest(self, slot: str, until: float) -> None:
        """Let a held slot rest."""
        if self.held.pop(slot, None) is not None:
            self._resting[slot] = self._unreported[slot] = until

    def give_back(self, slot: str) -> None:
        """Free a slot at once, because nothing was sent with it."""
        self.held.pop(slot, None)
        self._unreported[slot] = "unused"

    def taken(self, now: float) -> int:
        """Return the number of slots that are held or rest."""
        self._resting = {slot: until for slot, until in self._resting.items() if until > now}
        return len(self.held) + len(self._resting)

    def next_free(self) -> float | None:
        """Return when the first resting slot is free."""
        return min(self._resting.values(), default=None)

    def report(self, now: float, *, everything: bool) -> dict[str, State]:
        """Return the states to report in an exchange at `now`.

        Args:
            now: The loop time.
            everything: Whether Redis may know none of the slots.
        """
        due = now - self.timing.heartbeat / 2
        renewed = (one for one, since in self.held.items() if everything or since <= due)
        states: dict[str, State] = dict.fromkeys(renewed, "held")
        if everything:
            self.taken(now)
            states |= self._resting
        return states | self._unreported

    def reported(self, states: Mapping[str, State], now: float) -> None:
        """Forget what Redis knows since an exchange that began at `now`."""
        for slot, state in states.items():
            if self._unreported.get(slot) == state:
                del self._unreported[slot]
            if state == "held" and slot in self.held:
                self.held[slot] = now


def mark(state: State, now: float) -> str:
    """Return a state as the script expects it: a time as the microseconds until then."""
    if isinstance(state, str):
        return state
    return str(int(max(state - now, 0.0) * 1e6) + 1)
