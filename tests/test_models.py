"""The values of the API and the settings are checked when made, and frozen."""

import copy
import math
import pickle
import unicodedata
from enum import IntEnum
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mp4gen
from mp4gen import Polling, RateLimit, Retry, Track, VideoDetails, VideoRequest, VideoStatus


def nested(levels: int) -> list[Any]:
    """Return a list in a list in a list."""
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"task_id": ""}, "Invalid task_id: must not be empty"),
        ({"task_id": "  "}, "Invalid task_id: must not be empty"),
        ({"audio_id": -1}, "Invalid audio_id: must be text, not int"),
        ({"audio_id": 10**5000}, "Invalid audio_id: must be text, not int"),
        ({"audio_id": True}, "Invalid audio_id: must be text, not bool"),
        ({"audio_id": None}, "Invalid audio_id: must be text, not NoneType"),
        (
            {"audio_id": 7.0},
            "Invalid audio_id: must be text, not float; read the column as text (dtype=str).",
        ),
        (
            {"task_id": math.nan},
            "Invalid task_id: must be text, not a missing value (nan); leave the row out.",
        ),
        ({"author": 7}, "Invalid author: must be text, not int"),
        (
            {"author": math.nan},
            (
                "Invalid author: must be text or None, not a missing value (nan); "
                "use frame.astype(object).where(frame.notna(), None)."
            ),
        ),
        ({"audio_id": "a\r\nX: 1"}, "Invalid audio_id: must not contain control characters"),
        ({"author": ""}, "Invalid author: must not be empty"),
        ({"author": "x" * 51}, "Invalid author: must be at most 50 characters, not 51"),
        ({"author": "\ud800"}, "Invalid author: must not contain control characters"),
        ({"domain_name": "a\tb"}, "Invalid domain_name: must not contain control characters"),
        (
            {"callback_url": "ftp://example.com"},
            "Invalid callback_url: must be an http:// or https://",
        ),
        ({"callback_url": "https://"}, "Invalid callback_url: must be an http:// or https://"),
        ({"callback_url": "http://[::1"}, "Invalid callback_url: must be an http:// or https://"),
        ({"extra": [1]}, "Invalid extra: must be a mapping of JSON fields, not list"),
        ({"extra": "{}"}, "Invalid extra: must be a mapping of JSON fields, not str"),
        ({"extra": {"callBackUrl": 1}}, "Invalid extra: must not hold callBackUrl; use the arg"),
        ({"extra": {"callbackURL": 1}}, "Invalid extra: must not hold callbackURL; use the arg"),
        ({"extra": {"task_id": "x"}}, "Invalid extra: must not hold task_id; use the argument"),
        ({"extra": {1: "x"}}, "Invalid extra: must have names that are text"),
        ({"extra": {"x": math.inf}}, "Invalid extra: must not hold inf, which JSON lacks"),
        ({"extra": {"x": [{"y": b""}]}}, "Invalid extra: must hold JSON values, not bytes"),
        ({"extra": {"x": "\ud800"}}, "Invalid extra: must not hold half a character"),
        ({"extra": {"x": 10**5000}}, "Invalid extra: must not hold numbers of more than 64 bits"),
        ({"extra": {"x": nested(5000)}}, "Invalid extra: must not be nested more than 50 levels"),
    ],
)
def test_video_request_refuses_invalid_fields(fields: dict[str, Any], expected: str) -> None:
    """Failure mode 35: line breaks never reach the wire; the text names the field."""
    with pytest.raises(mp4gen.ValidationError) as caught:
        VideoRequest(**{"task_id": "music", "audio_id": "track", **fields})

    assert str(caught.value).startswith(expected)
    assert caught.value.field == next(iter(fields))


@pytest.mark.parametrize("number", [7, IntEnum("Ids", {"SEVEN": 7}).SEVEN], ids=["int", "enum"])
def test_integer_id_becomes_text(number: int) -> None:
    """Tables and databases hold numeric ids as numbers."""
    request = VideoRequest(number, number)

    assert (request.task_id, request.audio_id) == ("7", "7")


@pytest.mark.slow
def test_values_of_pandas_are_taken_or_refused_with_a_hint() -> None:
    """Its integers are ids; each of its kinds of missing values is named as such."""
    pd = pytest.importorskip("pandas", reason="the dev extra installs it")
    frame = pd.DataFrame({"task_id": [774, 775], "audio_id": ["a", None]})
    ids = frame["task_id"].to_list() + list(frame["task_id"].to_numpy())

    assert [VideoRequest(one, "a").task_id for one in ids] == ["774", "775"] * 2
    for missing in (float("nan"), pd.NA, pd.NaT):
        with pytest.raises(mp4gen.ValidationError, match=r"not a missing value .*; leave the row"):
            VideoRequest("m", missing)
        with pytest.raises(mp4gen.ValidationError, match=r"use frame\.astype"):
            VideoRequest("m", "a", author=missing)


def test_rate_limit_takes_both_numbers_by_position() -> None:
    """`RateLimit(1000, 10)` takes both numbers by position."""
    assert RateLimit(1000, 10) == RateLimit(1000, per=10)


def test_video_request_reports_all_problems() -> None:
    """A user can correct all problems of a file at once."""
    with pytest.raises(mp4gen.ValidationError) as caught:
        VideoRequest("", "", author="x" * 60)

    assert list(caught.value.problems) == ["task_id", "audio_id", "author"]


def test_author_length_is_counted_after_nfc() -> None:
    """Fifty letters with accents are fifty characters in every encoding of them."""
    expected = "é" * 50

    request = VideoRequest("music", "track", author=unicodedata.normalize("NFD", expected))

    assert request.author == expected


@given(st.text(max_size=60), st.text(max_size=60))
def test_video_request_accepts_or_refuses_any_text(author: str, task_id: str) -> None:
    """No text raises anything but `ValidationError`."""
    problems: set[str] = set()
    try:
        kept = VideoRequest(task_id, "track", author=author).author or ""
    except mp4gen.ValidationError as error:
        problems, kept = set(error.problems), ""

    assert problems <= {"task_id", "author"}
    assert len(kept) <= 50


@pytest.mark.parametrize(
    "value",
    [
        VideoRequest("music", "track"),
        VideoDetails("t"),
        mp4gen.Video("t", "https://example.com/v.mp4"),
        Track("music", "track"),
        RateLimit(),
        Polling(),
        Retry(),
    ],
)
def test_values_are_frozen_and_slotted(value: Any) -> None:
    """A value cannot change while others hold it, and has no `__dict__`."""
    field = attrs.fields(type(value))[0].name

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, field, "other")
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            mp4gen.RunSummary(2, failed=1),
            "RunSummary(succeeded=2, failed=1, remaining=0, stop_reason=None)",
        ),
        (RateLimit(), "RateLimit(requests=20, per=10.0)"),
        (mp4gen.PausedEvent(10.0), "PausedEvent(delay=10.0)"),
    ],
)
def test_repr_shows_the_fields(value: Any, expected: str) -> None:
    """A value is shown as the call that makes it."""
    assert repr(value) == expected


def test_repr_of_details_shows_no_secret() -> None:
    """The callback URL and the raw data hold the secret of the callback."""
    url = "https://bot.example.com/s3cret"
    details = VideoDetails("video", callback_url=url, raw={"callbackUrl": url})

    assert "s3cret" not in repr(details)
    assert repr(details).startswith("VideoDetails(task_id='video', music_task_id=None,")


def test_values_are_equal_if_their_class_and_fields_are() -> None:
    """Equal values have one hash; the raw data of a response and the order of names count not."""
    request = VideoRequest("music", "track", extra={"a": 1, "b": [2]})
    other = VideoRequest("music", "track", extra={"b": [2], "a": 1})

    assert {request, other} == {request}
    assert request != VideoRequest("music", "track", extra={"a": 1, "b": [3]})
    assert VideoDetails("video", raw={"taskId": "video"}) == VideoDetails("video")
    assert {RateLimit(), RateLimit(20, per=10.0), RateLimit(21)} == {RateLimit(21), RateLimit()}
    assert mp4gen.PausedEvent(10.0) != mp4gen.MaintenanceEvent(10.0)
    assert RateLimit() != "RateLimit(requests=20, per=10.0)"


def test_extra_fields_are_a_read_only_copy() -> None:
    """A request with further fields cannot change, not even deep inside, and can be a key."""
    source = {"look": "ring", "deep": {"list": [1, {"x": 2}]}}
    request = VideoRequest("m", "a", extra=source)
    same = VideoRequest("m", "a", extra={"deep": {"list": (1, {"x": 2})}, "look": "ring"})
    source["look"] = "wave"

    assert request.extra == {"look": "ring", "deep": {"list": (1, {"x": 2})}}
    with pytest.raises(TypeError):
        request.extra["deep"]["list"][1]["x"] = 3  # type: ignore[index]
    assert {request: 1}[same] == 1
    assert request != VideoRequest("m", "a", extra={"look": "wave"})
    assert request != VideoRequest("m", "a")


def test_no_extra_fields_are_none() -> None:
    """Both ways to say it make equal requests."""
    assert VideoRequest("m", "a", extra={}) == VideoRequest("m", "a")
    assert VideoRequest("m", "a", extra={}).extra is None


@pytest.mark.parametrize("extra", [None, {"look": "ring", "deep": [{"x": None}]}])
def test_video_request_can_be_pickled_and_copied(extra: Any) -> None:
    """Errors that carry a request are pickled, too."""
    request = VideoRequest("m", "a", author="Ada", callback_url="https://x.example", extra=extra)

    assert pickle.loads(pickle.dumps(request)) == request  # noqa: S301 - our own
    assert copy.deepcopy(request) == request
    assert attrs.evolve(request, author="Bob").extra == request.extra


def test_raw_details_are_read_only() -> None:
    """The response stays as it was received."""
    source = {"successFlag": "PENDING"}
    details = VideoDetails("t", raw=source)
    source["successFlag"] = "SUCCESS"

    assert details.raw == {"successFlag": "PENDING"}
    with pytest.raises(TypeError):
        details.raw["successFlag"] = "SUCCESS"  # type: ignore[index]


@pytest.mark.parametrize(
    ("status", "url", "ready", "failed"),
    [
        (VideoStatus.PENDING, None, False, False),
        (VideoStatus.SUCCESS, "https://e.com/v", True, False),
        (VideoStatus.SUCCESS, None, False, False),
        (VideoStatus.CALLBACK_EXCEPTION, "https://e.com/v", True, False),
        (VideoStatus.CALLBACK_EXCEPTION, None, False, False),
        (VideoStatus.CREATE_TASK_FAILED, None, False, True),
        (VideoStatus.GENERATE_MP4_FAILED, "https://e.com/v", False, True),
        ("SOMETHING_NEW", None, False, False),
    ],
)
def test_status_decides_ready_and_failed(
    status: str, url: str | None, *, ready: bool, failed: bool
) -> None:
    """Failure mode 17: a lost callback does not matter; an unknown status means "not finished"."""
    details = VideoDetails("t", status=status, video_url=url)

    assert (details.ready, details.failed) == (ready, failed)


def test_track_video_request_carries_both_ids() -> None:
    """`Track.video_request` passes its arguments on."""
    expected = VideoRequest(
        "music", "a1", author="Ada", domain_name="example.com", extra={"look": "ring"}
    )

    request = Track("music", "a1").video_request(
        author="Ada", domain_name="example.com", extra={"look": "ring"}
    )

    assert request == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: RateLimit(0), "Invalid requests: 0. Use a whole number above 0."),
        (lambda: RateLimit(True), "Invalid requests: True. Use a whole number above 0."),
        (lambda: RateLimit(10**400), "Invalid requests: 1000000"),
        (lambda: Retry(timeout=10**400), "Invalid timeout: 1000000"),
        (
            lambda: Polling(max_interval=10**5000),
            "Invalid max_interval: int. Use a number",
        ),
        (lambda: RateLimit(20, per=0), "Invalid per: 0. Use a number above 0."),
        (lambda: RateLimit(20, per=float("inf")), "Invalid per: inf. Use a number above 0."),
        (lambda: Polling(initial_delay=0), "Invalid initial_delay: 0. Use a number above 0."),
        (lambda: Polling(multiplier=1), "Invalid multiplier: 1. Use a number above 1."),
        (lambda: Polling(jitter=1), "Invalid jitter: 1. Use a number of at least 0 and below 1."),
        (lambda: Polling(max_interval=float("nan")), "Invalid max_interval: nan. Use a number"),
        (lambda: Polling(max_interval="8"), "Invalid max_interval: '8'. Use a number above 0."),  # type: ignore[arg-type]
        (lambda: Retry(timeout=-1), "Invalid timeout: -1. Use a number of at least 0."),
        (lambda: Retry(maintenance_timeout=-1), "Invalid maintenance_timeout: -1. Use"),
    ],
)
def test_options_refuse_invalid_values(make: Any, expected: str) -> None:
    """One sentence names the setting and the value."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        make()

    assert str(caught.value).startswith(expected)
