"""The counts and the estimate of `mp4gen render`."""

from __future__ import annotations

from pathlib import Path

from mp4gen.cli.render_progress import RenderProgress


def test_counts_and_fraction() -> None:
    """Parts of videos in progress count, skipped ones do not."""
    progress = RenderProgress(total=10, clock=lambda: 0.0)
    progress.succeeded, progress.failed, progress.skipped = 2, 1, 2
    progress.running |= {Path("a.mp4"): 0.5, Path("b.mp4"): 0.5}

    assert str(progress) == "2 done, 1 failed, 2 in progress, 3 remaining"
    assert progress.fraction == 0.5
    assert progress.summary() == {"succeeded": 2, "skipped": 2, "failed": 1, "remaining": 5}


def test_estimate_follows_from_the_fraction() -> None:
    """A quarter in a minute leaves three minutes; there is no estimate in the first seconds."""
    now = 0.0
    progress = RenderProgress(total=4, clock=lambda: now)
    progress.succeeded = 1

    now = 4.0
    first = str(progress)
    now = 60.0

    assert first == "1 done, 0 failed, 0 in progress, 3 remaining"
    assert str(progress) == f"{first}, ETA 3 min"


def test_fraction_of_nothing_is_unknown() -> None:
    """If all videos exist, there is nothing to show."""
    assert RenderProgress(total=3, skipped=3).fraction is None
