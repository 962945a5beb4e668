"""The rate limit as a server counts it."""

import pytest

from mp4gen import RateLimit
from mp4gen.api.sliding_window import SlidingWindow, peak_in_window


def test_try_acquire_returns_the_seconds_until_the_next_grant() -> None:
    """The next request is granted as soon as the oldest is a whole window away."""
    window, limit = SlidingWindow(), RateLimit(2, per=10)

    assert [window.try_acquire(limit, now) for now in (0.0, 4.0)] == [0.0, 0.0]
    assert window.try_acquire(limit, 6.0) == 4.0
    assert window.try_acquire(limit, 10.0) == 0.0
    assert window.try_acquire(limit, 10.1) == pytest.approx(3.9)


def test_try_acquire_does_not_count_refused_requests() -> None:
    """A caller that keeps on calling is let in at the same time as one that waits."""
    window, limit = SlidingWindow(), RateLimit(1, per=10)
    window.try_acquire(limit, 0.0)

    assert [window.try_acquire(limit, now) > 0 for now in (1.0, 5.0, 9.9)] == [True] * 3
    assert window.try_acquire(limit, 10.0) == 0.0


def test_peak_in_window_excludes_the_end() -> None:
    """Two times that are exactly one window apart are never in the same one."""
    assert peak_in_window([0.0, 10.0, 20.0], 10.0) == 1
    assert peak_in_window([12.0, 0.0, 9.0, 5.0], 10.0) == 3
    assert peak_in_window([], 10.0) == 0
