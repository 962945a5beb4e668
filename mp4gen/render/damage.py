"""Describe what is missing or damaged in an audio file. Reads nothing."""

from collections.abc import Iterator

from .analysis import Features
from .times import clock

# A file with less of the length that its header states gives a warning.
PROMISE_SHARE = 0.95


def warnings_of(name: str, features: Features) -> Iterator[str]:
    """Yield one sentence for each fault that the analysis found."""
    if features.damaged_packets:
        yield f"Damaged packets of {name} were left out: {features.damaged_packets}."
    promised, decoded = features.header.promised, features.track_seconds
    if decoded < PROMISE_SHARE * min(promised, features.clip.stop) - 0.5:
        yield (
            f"The audio file is not complete: {name} has {clock(decoded)} of the "
            f"{clock(promised)} that its header states. Check its download."
        )
