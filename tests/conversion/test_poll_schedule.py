"""Poll ages: late first, then with growing intervals, then with constant ones."""

from itertools import accumulate, chain, islice, pairwise
from random import Random

import backoff
import pytest

from mp4gen import Polling
from mp4gen.conversion.poll_schedule import cap_retry_after, initial_delay, poll_intervals

STEADY = Polling(jitter=0)


def poll_ages(polling: Polling, random: Random, until: float) -> list[float]:
    """Return the ages at which a task is polled, up to the first one at or after `until`."""
    ages = accumulate(chain([initial_delay(polling, random)], poll_intervals(polling, random)))
    found = []
    for age in ages:
        found.append(age)
        if age >= until:
            return found
    raise AssertionError


def test_poll_intervals_are_exponential() -> None:
    """Each interval is that of `backoff.expo` with the same base, factor and cap."""
    steps = backoff.expo(base=1.3, factor=15 * (1.3 - 1), max_value=8)
    next(steps)
    expected = list(islice(steps, 30))

    assert list(islice(poll_intervals(STEADY, Random()), 30)) == pytest.approx(expected)


def test_poll_ages_grow_by_the_multiplier_until_the_cap() -> None:
    """15, x1.3, x1.3, then every eight seconds."""
    ages = poll_ages(STEADY, Random(), 60)

    assert ages[:3] == pytest.approx([15, 19.5, 25.35])
    assert [round(b - a, 2) for a, b in pairwise(ages)][-3:] == [8, 8, 8]


def test_initial_delay_subtracts_the_age() -> None:
    """An older task is polled sooner, never in the past."""
    assert initial_delay(STEADY, Random()) == 15
    assert initial_delay(STEADY, Random(), age=10) == 5
    assert initial_delay(STEADY, Random(), age=100) == 0


def test_jitter_is_a_share_of_each_interval_and_seeded() -> None:
    """Ten percent of the interval, not of the age; the same seed gives the same polls."""
    steady = poll_ages(STEADY, Random(), 200)
    steps = list(islice(poll_intervals(Polling(), Random(3)), 20))
    plain = list(islice(poll_intervals(STEADY, Random()), 20))

    assert all(0.9 <= a / b <= 1.1 for a, b in zip(steps, plain, strict=True))
    assert poll_ages(Polling(), Random(3), 200) == poll_ages(Polling(), Random(3), 200)
    assert poll_ages(Polling(), Random(3), 200) != poll_ages(Polling(), Random(4), 200)
    assert abs(len(poll_ages(Polling(), Random(3), 200)) - len(steady)) <= 2


def test_usual_task_takes_seven_or_eight_polls() -> None:
    """Over 200 seeds of the documented durations: few requests, and a small delay."""
    chance = Random(11)
    lengths = [chance.lognormvariate(3.6889, 0.6679) for _ in range(200)]

    ages = [poll_ages(Polling(), chance, length) for length in lengths]
    mean_polls = sum(len(found) for found in ages) / 200
    delay = sum(found[-1] - length for found, length in zip(ages, lengths, strict=True))

    assert 5.5 <= mean_polls <= 7.5
    assert delay / sum(lengths) <= 0.09


def test_poll_intervals_are_endless_and_capped() -> None:
    """A wait of hours never exhausts the intervals or overflows a number."""
    steps = list(islice(poll_intervals(Polling(multiplier=3.0), Random(1)), 20_000))

    assert max(steps) <= 8 * 1.1
    assert min(steps) > 0


@pytest.mark.parametrize(
    ("retry_after", "age", "expected"),
    [(0, 0, 0), (100, 0, 100), (3600, 0, 120), (3600, 100, 120), (3600, 900, 900), (200, 900, 200)],
)
def test_retry_after_is_capped_by_the_scale_of_the_schedule(
    retry_after: float, age: float, expected: float
) -> None:
    """Eight times the initial delay, later the age of the task."""
    assert cap_retry_after(retry_after, STEADY, age) == expected
