"""The counts and the estimate of a bulk run."""

from __future__ import annotations

import math

import pytest

from mp4gen import Conversion, Mp4GenError, RateLimit, Video, VideoRequest
from mp4gen.cli.run_progress import RunProgress, format_duration, min_seconds
from mp4gen.events import CompletedEvent, FailedEvent, PausedEvent, PollEvent, SubmittedEvent


def test_counts_follow_the_events() -> None:
    """A download is in progress; a finished or failed track is not."""
    now = 0.0
    progress = RunProgress(total=10, clock=lambda: now)

    for number in range(5):
        progress.handle_event(SubmittedEvent(f"v{number}", f"a{number}", adopted=False))
    progress.handle_event(PollEvent("v1", "PENDING", 3.0))
    progress.handle_event(CompletedEvent(Video("v0", "https://x.example/v0.mp4"), 4.0))
    progress.handle_event(FailedEvent("v1", Mp4GenError("no")))
    downloading = progress.in_progress
    progress.add_result(Conversion(VideoRequest("m", "a0"), "v0"))
    progress.add_result(Conversion(VideoRequest("m", "a1"), error=Mp4GenError("no")))
    now = 3.0

    assert downloading == 4
    assert str(progress) == "1 done, 1 failed, 3 in progress, 5 remaining, 2.0 requests/s"
    assert progress.fraction == 0.2


def test_stop_says_what_it_waits_for() -> None:
    """A resumed run can wait for downloads alone, of videos that an earlier run has counted."""
    progress = RunProgress(total=3)
    before = progress.waits_for
    for task in ("video_1", "video_2"):
        progress.handle_event(SubmittedEvent(task, "track", adopted=False))

    assert (before, progress.waits_for) == ("responses and downloads", "2 videos")


def test_eta_follows_from_the_finished_videos() -> None:
    """Six a minute leave four minutes for 24; old requests do not count as speed."""
    now = 0.0
    progress = RunProgress(total=30, clock=lambda: now)

    for number in range(6):
        progress.handle_event(SubmittedEvent(f"v{number}", "a", adopted=False))
        progress.handle_event(CompletedEvent(Video(f"v{number}", "https://x.example/"), 4.0))
        progress.add_result(Conversion(VideoRequest("m", "a"), f"v{number}"))
    now = 60.0

    assert str(progress) == "6 done, 0 failed, 0 in progress, 24 remaining, ETA 4 min"


def test_pause_replaces_the_eta() -> None:
    """The pause is shown as long as it lasts."""
    now = 0.0
    progress = RunProgress(total=1, clock=lambda: now)

    progress.handle_event(PausedEvent(10.0))

    assert str(progress).endswith("paused by the API's rate limit")
    now = 11.0
    assert str(progress) == "0 done, 0 failed, 0 in progress, 1 remaining"


@pytest.mark.parametrize(("videos", "expected"), [(0, 0), (1, 0), (9, 0), (10, 10), (1000, 1040)])
def test_min_seconds_counts_requests_at_the_limit(videos: int, expected: float) -> None:
    """20 in 10 seconds, a little more than two for each video."""
    assert min_seconds(videos, RateLimit(20, per=10.0)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3600, "60 min"),
        (20_000, "5 h 33 min"),
        (math.inf, "any time"),
    ],
)
def test_format_duration_picks_the_unit(seconds: float, expected: str) -> None:
    """Seconds, minutes or hours."""
    assert format_duration(seconds) == expected
