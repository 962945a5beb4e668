"""When to look at a task next: pure, endless, in seconds; never sleeps and reads no clock."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

from mp4gen.options import Polling


def initial_delay(polling: Polling, random: Random, age: float = 0.0) -> float:
    """Seconds until the first look at a task that is `age` seconds old."""
    return max(0.0, _jittered(polling.initial_delay, polling, random) - age)


def poll_intervals(polling: Polling, random: Random) -> Iterator[float]:
    """Seconds between one look and the next, for every look after the first.

    Looking at ages first, first x factor, first x factor^2, ... means steps that grow by the same
    factor from first x (factor - 1): an exponential backoff, which the cap turns into constant
    steps. Measured on one task, that costs 7.5 looks for a delay of 8 % of its length; doubling
    from one second without a cap costs as many looks for a delay of 50 %.
    """
    import backoff

    step = polling.initial_delay * (polling.multiplier - 1)
    steps = backoff.expo(base=polling.multiplier, factor=step, max_value=polling.max_interval)
    # The generator's first item is None, and only starts it.
    return map(partial(_jittered, polling=polling, random=random), filter(None, steps))


def _jittered(delay: float, polling: Polling, random: Random) -> float:
    return delay * random.uniform(1 - polling.jitter, 1 + polling.jitter)
