"""Describe what is missing or damaged in an audio file. Reads nothing."""

from collections.abc import Iterator

from .analysis import Features

# A file with less of the length that its header states gives a warning.
PROMISE_SHARE = 0.95


def warnings_of(name: str, features: Features) -> Iterator[str]:
    """Yield one sentence for each fault that the analysis found."""
    if features.damaged_packets:
        yield f"{features.damaged_packets} damaged packets of {name} were left out."
    promised = features.header.promised
    if features.duration < PROMISE_SHARE * promised - 0.5:
        yield (
            f"The audio file is not complete: {name} has {_clock(features.duration)} of the "
            f"{_clock(promised)} that its header states. Check its download."
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
