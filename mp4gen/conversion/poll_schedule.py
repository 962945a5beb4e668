"""Compute when to poll a task: pure arithmetic in seconds; never sleeps and reads no clock."""

from collections.abc import Iterator
from functools import partial
from random import Random
from typing import Final

from mp4gen.options import Polling

# The longest `Retry-After` of a new task, as a multiple of the schedule's initial delay.
_MAX_RETRY_AFTER: Final = 8


def initial_delay(polling: Polling, random: Random, age: float = 0.0) -> float:
    """Return the seconds until the first poll of a task that is `age` seconds old."""
    return max(0.0, _jittered(polling.initial_delay, polling, random) - age)


def poll_intervals(polling: Polling, random: Random) -> Iterator[float]:
    """Return the endless intervals between polls, in seconds.

    The poll ages are d, d x m, d x m^2, ... (initial delay d, multiplier m). Their intervals grow
    from d x (m - 1) by the factor m: an exponential backoff with `max_interval` as its cap. On
    average a task takes 7.5 polls and is found 8 % of its duration late. Doubling from one second
    without a cap takes as many polls for a delay of 50 %.
    """
    # The retries of each new client have loaded it.
    import backoff

    step = polling.initial_delay * (polling.multiplier - 1)
    steps = backoff.expo(base=polling.multiplier, factor=step, max_value=polling.max_interval)
    # The first item of the generator is None and only starts it.
    return map(partial(_jittered, polling=polling, random=random), filter(None, steps))


def cap_retry_after(retry_after: float, polling: Polling, age: float = 0.0) -> float:
    """Return the seconds to wait for a task that is `age` seconds old.

    A server that asks to wait for an hour does not hold up a task of a minute: the cap follows the
    schedule's own scale, and later the age of the task.
    """
    return min(retry_after, max(_MAX_RETRY_AFTER * polling.initial_delay, age))


def _jittered(delay: float, polling: Polling, random: Random) -> float:
    return delay * random.uniform(1 - polling.jitter, 1 + polling.jitter)
