"""How far a run is, in numbers."""

from __future__ import annotations

import pytest

from mp4gen import Conversion, Mp4GenError, RateLimit, Video, VideoRequest
from mp4gen.cli.run_progress import RunProgress, format_duration, min_seconds
from mp4gen.events import CompletedEvent, FailedEvent, PausedEvent, PollEvent, SubmittedEvent


def test_the_counts_follow_the_events() -> None:
    """Submitted is under way, and so is a download; done and failed are not any more."""
    now = 0.0
    outlook = RunProgress(total=10, clock=lambda: now)

    for number in range(5):
        outlook.handle_event(SubmittedEvent(f"v{number}", f"a{number}", adopted=False))
    outlook.handle_event(PollEvent("v1", "PENDING", 3.0))
    outlook.handle_event(CompletedEvent(Video("v0", "https://x.example/v0.mp4"), 4.0))
    outlook.handle_event(FailedEvent("v1", Mp4GenError("no")))
    downloading = outlook.in_progress
    outlook.add_result(Conversion(VideoRequest("m", "a0"), "v0"))
    outlook.add_result(Conversion(VideoRequest("m", "a1"), error=Mp4GenError("no")))
    now = 3.0

    assert downloading == 4
    assert str(outlook) == "1 done, 1 failed, 3 in progress, 5 remaining, 2.0 calls/s"
    assert outlook.fraction == 0.2


def test_the_time_left_comes_from_what_was_finished() -> None:
    """Six in a minute leave 24 four minutes more; old calls do not count as speed."""
    now = 0.0
    outlook = RunProgress(total=30, clock=lambda: now)

    for number in range(6):
        outlook.handle_event(SubmittedEvent(f"v{number}", "a", adopted=False))
        outlook.handle_event(CompletedEvent(Video(f"v{number}", "https://x.example/"), 4.0))
        outlook.add_result(Conversion(VideoRequest("m", "a"), f"v{number}"))
    now = 60.0

    assert str(outlook) == "6 done, 0 failed, 0 in progress, 24 remaining, ETA 4 min"


def test_a_pause_is_told_in_place_of_the_time_left() -> None:
    """For as long as it lasts."""
    now = 0.0
    outlook = RunProgress(total=1, clock=lambda: now)

    outlook.handle_event(PausedEvent(10.0))

    assert str(outlook).endswith("pausing: the API said too many calls")
    now = 11.0
    assert str(outlook) == "0 done, 0 failed, 0 in progress, 1 remaining"


@pytest.mark.parametrize(("videos", "expected"), [(0, 0), (1, 0), (9, 0), (10, 10), (1000, 1040)])
def test_the_calls_of_a_run_take_their_time(videos: int, expected: float) -> None:
    """20 in 10 seconds, a little more than two a video."""
    assert min_seconds(videos, RateLimit(20, per=10.0)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (20_000, "5 h 33 min")],
)
def test_a_duration_is_said_as_people_do(seconds: float, expected: str) -> None:
    """Seconds, minutes, hours."""
    assert format_duration(seconds) == expected
