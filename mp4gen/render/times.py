"""Parse and format times: seconds, minutes and seconds, or hours, minutes and seconds."""

import math
import re

from mp4gen.errors import RenderError

_CLOCK = re.compile(r"(?:(?:(\d+):)?([0-5]?\d):)?([0-5]?\d(?:\.\d+)?)")
_SECONDS = re.compile(r"\d+(?:\.\d*)?|\.\d+")


def parse_time(value: float | str, name: str) -> float:
    """Return a time in seconds.

    Args:
        value: seconds, as a number or a text, "1:15" or "1:02:03.5".
        name: the argument's name for the error.

    Raises:
        RenderError: not a time, negative, or not finite.
    """
    seconds = _parsed(value) if isinstance(value, str) else _number(value)
    if not (math.isfinite(seconds) and seconds >= 0):
        raise RenderError(f"Invalid {name}: {value!r:.60}. Use seconds, 1:15 or 1:02:03.5.")
    return seconds


def clock(seconds: float) -> str:
    """Return a time to the second: "1:15" or "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def exact_clock(seconds: float) -> str:
    """Return a time to the millisecond as `parse_time` reads it: "1:15.25" or "1:02:03.5"."""
    minutes, rest = divmod(math.floor(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else str(minutes)
    return f"{start}:{rest / 1000:06.3f}".rstrip("0").rstrip(".")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _parsed(text: str) -> float:
    plain = text.strip()
    if _SECONDS.fullmatch(plain):
        return float(plain)
    match = _CLOCK.fullmatch(plain)
    if match is None:
        return math.nan
    hours, minutes, seconds = match.groups(default="0")
    # An `int` may have too many digits.
    return float(hours) * 3600 + float(minutes) * 60 + float(seconds)
