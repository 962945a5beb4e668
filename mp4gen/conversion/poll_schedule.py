"""When to look at a task next: pure, endless, in seconds; never sleeps and reads no clock."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from random import Random

from mp4gen.options import Polling


def first_wait(polling: Polling, random: Random, age: float = 0.0) -> float:
    """Seconds until the first look at a task that is `age` seconds old."""
    return max(0.0, _jittered(polling.first, polling, random) - age)


def next_waits(polling: Polling, random: Random) -> Iterator[float]:
    """Seconds between one look and the next, for every look after the first.

    Looking at ages first, first x factor, first x factor^2, ... means steps that grow by the same
    factor from first x (factor - 1): an exponential backoff, which the cap turns into constant
    steps. Measured on one task, that costs 7.5 looks for a delay of 8 % of its length; doubling
    from one second without a cap costs as many looks for a delay of 50 %.
    """
    import backoff

    step = polling.first * (polling.factor - 1)
    steps = backoff.expo(base=polling.factor, factor=step, max_value=polling.longest)
    # The generator's first item is None, and only starts it.
    return map(partial(_jittered, polling=polling, random=random), filter(None, steps))


def _jittered(wait: float, polling: Polling, random: Random) -> float:
    return wait * random.uniform(1 - polling.jitter, 1 + polling.jitter)
