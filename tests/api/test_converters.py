"""Models to JSON and back: the vendor's names and its four shapes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen import Dialect, Track, VideoDetails, VideoRequest, VideoStatus
from mp4gen.api import converters, protocol
from mp4gen.api.responses import HttpResponse
from mp4gen.conversion.poller import video_from_details

Sample = Callable[[str], bytes]
URL = "https://example.com/videos/video_847715e66259.mp4"
TRACK_ID = "e231****-****-****-****-****8cadc7dc"
NEW_YEAR = datetime(2024, 12, 31, 16, 10, tzinfo=UTC)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def data_of(raw: bytes) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(raw)["data"]
    return value


def test_video_request_matches_the_published_sample(sample: Sample) -> None:
    """docs.sunoapi.org, "Create Music Video", with the capital B of `callBackUrl`."""
    raw = json.loads(sample("create_request"))
    expected = VideoRequest(
        "taskId_774b9aa0422f",
        TRACK_ID,
        author="Suno Artist",
        domain_name="music.example.com",
        callback_url="https://api.example.com/callback",
    )

    assert converters.structure_video_request(raw) == expected
    assert converters.unstructure_video_request(expected) == raw


def test_unstructure_video_request_omits_none() -> None:
    """A field that is None is left out, not sent as null."""
    assert converters.unstructure_video_request(VideoRequest("m", "a")) == {
        "taskId": "m",
        "audioId": "a",
    }


def test_extra_fields_are_sent_and_received_as_they_are() -> None:
    """They lie beside the API's own fields, in any depth."""
    extra = {"look": "ring", "start": 1.5, "none": None, "deep": {"list": [1, {"x": True}]}}
    body = {"taskId": "m", "audioId": "a", **extra}
    del body["none"]

    sent = converters.unstructure_video_request(VideoRequest("m", "a", extra=extra))

    assert sent == body | {"none": None}
    assert json.loads(json.dumps(sent)) == sent
    assert converters.structure_video_request(sent) == VideoRequest(
        "m", "a", extra={name: extra[name] for name in extra if name != "none"}
    )


def test_misspelled_fields_of_the_api_are_ignored() -> None:
    """A client that sends `callbackUrl` is not refused for it."""
    found = converters.structure_video_request(
        {"taskId": "m", "audioId": "a", "callbackUrl": "x", "domain_name": 1, "extra": {"x": 1}}
    )

    assert found == VideoRequest("m", "a", extra={"extra": {"x": 1}})


def test_structure_video_request_rejects_null_ids() -> None:
    """A missing or null id is an error, not an id called "None"."""
    with pytest.raises(cattrs.BaseValidationError):
        converters.structure_video_request({"taskId": None, "audioId": "a"})


@pytest.mark.parametrize(
    ("name", "times", "index"),
    [
        ("details_suno", NEW_YEAR, None),
        ("details_suno_older", None, 0),
        ("details_suno_middle", NEW_YEAR, 0),
    ],
)
def test_structure_video_details_reads_the_sunoapi_shapes(
    sample: Sample, name: str, times: datetime | None, index: int | None
) -> None:
    """The track by id or by number; times in ms, or None for a text without a time zone."""
    details = converters.structure_video_details(data_of(sample(name)), "requested")

    assert (details.task_id, details.audio_id) == ("taskId_774b9aa0422f", TRACK_ID)
    assert (details.status, details.video_url) == (VideoStatus.SUCCESS, URL)
    assert (details.created_at, details.completed_at) == (times, times)
    assert details.music_index == index
    assert details.raw == data_of(sample(name))


def test_structure_video_details_reads_the_kie_shape(sample: Sample) -> None:
    """docs.kie.ai: a track number, and times without a time zone."""
    details = converters.structure_video_details(data_of(sample("details_kie")), "requested")

    assert (details.task_id, details.music_index) == ("988e****c8d3", 0)
    assert details.video_url == "https://example.com/s/04e6****e727.mp4"
    assert details.completed_at is None


def test_structure_video_details_reads_the_empty_kie_shape(sample: Sample) -> None:
    """All values are empty: the requested task, not finished, no error."""
    details = converters.structure_video_details(data_of(sample("details_kie_empty")), "requested")

    assert details.task_id == "requested"
    assert (details.video_url, details.error_code, details.error_message) == (None, None, None)
    assert not details.ready
    assert not details.failed


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("SUCCESS", VideoStatus.SUCCESS),
        ("success", VideoStatus.SUCCESS),
        ("SUCCESS-Success", VideoStatus.SUCCESS),
        (" PENDING ", VideoStatus.PENDING),
        ("RENDERING", "RENDERING"),
        ("", ""),
        (None, ""),
        (1, "1"),
        (True, "True"),
        ({"odd": 1}, "{'odd': 1}"),
    ],
)
def test_structure_video_details_keeps_an_unknown_status(flag: object, expected: str) -> None:
    """No status raises, and an unknown one means "not finished"."""
    details = converters.structure_video_details({"successFlag": flag}, "t")

    assert details.status == expected
    assert isinstance(details.status, VideoStatus) == isinstance(expected, VideoStatus)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1735661400000, NEW_YEAR),
        (1735661400000.0, NEW_YEAR),
        ("1735661400000", NEW_YEAR),
        ("2024-12-31T16:10:00Z", NEW_YEAR),
        ("2025-01-01T00:10:00+08:00", NEW_YEAR),
        ("2025-01-01 00:10:00", None),
        ("", None),
        (None, None),
        ("soon", None),
        (10**400, None),
        (-(10**17), None),
        ("9" * 19, None),
        (True, None),
        ([1], None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_structure_video_details_parses_times_or_returns_none(
    value: object, expected: datetime | None
) -> None:
    """Failure mode 16: milliseconds or text with a time zone; None for all other values."""
    details = converters.structure_video_details({"completeTime": value}, "t")

    assert details.completed_at == expected


@pytest.mark.parametrize(("value", "expected"), [(0, None), ("", None), ("451", 451), (500, 500)])
def test_structure_video_details_reads_no_error_from_zero_and_empty(
    value: object, expected: int | None
) -> None:
    """Older pages show 0 and "" if there is no error."""
    assert converters.structure_video_details({"errorCode": value}, "t").error_code == expected


@pytest.mark.parametrize("task_id", [None, "", " ", 0, True, 7.5, "a\nb", "\ud800", ["t"], {}])
def test_structure_video_details_tolerates_unreadable_fields(task_id: object) -> None:
    """The requested id replaces one that cannot be read."""
    data = {"taskId": task_id, "successFlag": "SUCCESS", "response": {"videoUrl": URL}}

    assert converters.structure_video_details(data, "requested").task_id == "requested"


@given(
    st.dictionaries(st.sampled_from(sorted({*converters.VIDEO_DETAILS.values(), "response"})), JSON)
)
def test_structure_video_details_accepts_any_record(data: dict[str, Any]) -> None:
    """Failure mode 16: any JSON is accepted as a record."""
    details = converters.structure_video_details(data, "requested")

    assert isinstance(details.task_id, str)
    assert details.video_url is None or isinstance(details.video_url, str)


ODD = (
    JSON
    | st.integers(10**15, 10**30)
    | st.sampled_from(["9999-12-31", "9999-12-31T23:59:59Z", 253402300799999, "\ud800", " ", "0"])
    | st.text(st.characters(categories=["Cs", "Cc", "L"]))
)
SIDE_FIELDS = sorted({*converters.VIDEO_DETAILS.values(), "more"} - {"videoUrl", "successFlag"})


@given(
    st.dictionaries(st.sampled_from(SIDE_FIELDS), ODD),
    st.dictionaries(st.text().filter(lambda name: name != "videoUrl"), ODD, max_size=2),
    st.sampled_from([Dialect.SUNO, Dialect.KIE]),
)
def test_side_fields_never_cost_a_video(
    fields: dict[str, Any], response: dict[str, Any], dialect: Dialect
) -> None:
    """SUCCESS with a valid link is a video, whatever stands beside it."""
    record = {**fields, "successFlag": "SUCCESS", "response": {**response, "videoUrl": URL}}
    body = json.dumps({"code": 200, "data": record}).encode()

    details = protocol.parse_details(HttpResponse(200, {}, body), dialect, "requested")
    video = video_from_details(details, dialect)

    assert (details.ready, video.url) == (True, URL)
    assert all(text.isprintable() for text in (video.task_id, video.audio_id or ""))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (URL, URL),
        (f" {URL}\n", URL),
        ("", None),
        (" ", None),
        ("null", None),
        ("/files/v.mp4", None),
        ("https://e.com/\ufffd.mp4", None),
        (7, None),
        ([URL], None),
    ],
)
def test_video_link_that_is_no_link_counts_as_none(value: object, expected: str | None) -> None:
    """A blank link, a word or a path cannot be fetched: the task is not finished."""
    data = {"successFlag": "SUCCESS", "response": {"videoUrl": value}}

    assert converters.structure_video_details(data, "t").video_url == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"audioId": 7}, "7"),
        ({"audioId": None, "musicId": 8}, "8"),
        ({"audioId": {}, "musicId": "m"}, "m"),
        ({"audioId": " a "}, "a"),
        ({"audioId": True}, None),
        ({"audioId": 10**400}, None),
    ],
)
def test_audio_id_may_be_a_number(fields: dict[str, Any], expected: str | None) -> None:
    """Ids of other types do not hide the id that older pages show."""
    assert converters.structure_video_details(fields, "t").audio_id == expected


def test_video_details_round_trip() -> None:
    """The client side reads what the server side writes."""
    expected = VideoDetails(
        "t1",
        music_task_id="m1",
        audio_id="a1",
        callback_url="https://example.com/cb",
        status=VideoStatus.SUCCESS,
        video_url=URL,
        created_at=NEW_YEAR,
        completed_at=NEW_YEAR,
    )

    assert (
        converters.structure_video_details(converters.unstructure_video_details(expected), "t1")
        == expected
    )


def test_tracks_match_the_published_sample(sample: Sample) -> None:
    """docs.sunoapi.org, "Get Music Generation Details"."""
    item = data_of(sample("tracks"))["response"]["sunoData"][0]
    expected = Track(
        "5c79****be8e",
        "8551****662c",
        title="...",
        duration=198.44,
        audio_url="https://example.cn/****.mp3",
        image_url="https://example.cn/****.jpeg",
        tags="electrifying, rock",
    )

    assert converters.structure_track(item, "5c79****be8e") == expected


@pytest.mark.parametrize("duration", [None, "long", True, "nan", float("inf"), [], 10**400])
def test_structure_track_ignores_an_invalid_duration(duration: object) -> None:
    """A track is useful without its duration."""
    track = converters.structure_track({"id": "a", "duration": duration}, "m")

    assert track == Track("m", "a")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (200, 200),
        ("200", 200),
        (" 200 ", 200),
        ("-1", -1),
        (200.0, 200),
        (200.5, None),
        (True, None),
        (None, None),
        ("", None),
        ("--5", None),
        ("5-", None),
        ("²", None),
        ("1" * 30, None),
        (float("inf"), None),
        ([200], None),
    ],
)
def test_parse_int_reads_numbers_and_texts(value: object, expected: int | None) -> None:
    """Hosts send both; other values are read as None."""
    assert converters.parse_int(value) == expected
