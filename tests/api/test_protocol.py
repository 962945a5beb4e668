"""Both sides of the protocol, against each other and against the vendors' samples."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mp4gen
from mp4gen import Dialect, Track, VideoDetails, VideoRequest, VideoStatus
from mp4gen.api import callbacks, protocol
from mp4gen.api.responses import HttpResponse

Sample = Callable[[str], bytes]
SAMPLES = Path(__file__).parents[1] / "samples"
SUNO, KIE = Dialect.SUNO, Dialect.KIE
REQUEST = VideoRequest("music", "track", author="Ada", domain_name="example.com")


def valid(text: str) -> bool:
    try:
        VideoRequest(text, text, author=text)
    except mp4gen.ValidationError:
        return False
    return True


TEXT = st.text(min_size=1, max_size=50).filter(valid)

READERS: dict[str, Callable[[HttpResponse, Dialect], object]] = {
    "create": protocol.parse_create,
    "details": lambda response, dialect: protocol.parse_details(response, dialect, "t1"),
    "tracks": lambda response, dialect: protocol.parse_tracks(response, dialect, "m1"),
    "credits": protocol.parse_credits,
    "download_url": protocol.parse_download_url,
}


def ok(body: bytes) -> HttpResponse:
    return HttpResponse(200, {}, body)


# --- the vendors' bytes ---------------------------------------------------------------------


def test_submit_matches_the_published_sample(sample: Sample) -> None:
    """The client sends each field that the page shows."""
    published = json.loads(sample("create_request"))
    request = VideoRequest(
        published["taskId"],
        published["audioId"],
        author=published["author"],
        domain_name=published["domainName"],
        callback_url=published["callBackUrl"],
    )

    call = protocol.build_create_request(request)

    assert (call.method, call.path) == ("POST", "/api/v1/mp4/generate")
    assert json.loads(call.body or b"") == published
    assert call.is_submit
    assert protocol.parse_create(ok(sample("create_answer")), SUNO) == published["taskId"]


def test_parse_create_rejects_the_empty_success_of_kie(sample: Sample) -> None:
    """Code 0 without an id cannot be a task."""
    with pytest.raises(mp4gen.ApiError) as caught:
        protocol.parse_create(ok(sample("create_answer_kie")), KIE)

    assert caught.value.code == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("unauthorized_kie", mp4gen.AuthenticationError), ("server_error_kie", mp4gen.ServerError)],
)
def test_parse_response_reads_the_published_refusals(
    sample: Sample, name: str, expected: type[Exception]
) -> None:
    """docs.kie.ai; the first one has no `data`."""
    with pytest.raises(expected):
        protocol.parse_create(ok(sample(name)), KIE)


def test_parsers_read_the_published_responses(sample: Sample) -> None:
    """Credits, a new download link, tracks."""
    assert protocol.parse_credits(ok(sample("credits")), SUNO) == 100.0
    assert protocol.parse_download_url(ok(sample("download_url")), KIE).endswith("/fresh.mp4")
    assert [t.audio_id for t in protocol.parse_tracks(ok(sample("tracks")), SUNO, "m")] == [
        "8551****662c"
    ]


def test_callbacks_match_the_published_samples(sample: Sample) -> None:
    """docs.sunoapi.org: the server side builds what the page shows; the client side reads it."""
    url = "https://example.com/videos/video_847715e66259.mp4"
    success, failure = sample("callback_success"), sample("callback_failure")

    assert callbacks.build_callback("taskId_774b9aa0422f", url) == success
    assert callbacks.build_callback("taskId_774b9aa0422f", None, code=400) == failure
    assert callbacks.parse_callback(success).video_url == url
    assert callbacks.parse_callback(failure).code == 400
    assert callbacks.parse_callback(failure).video_url is None


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("status", [200, 502])
def test_truncated_response_raises_a_typed_error(path: Path, reader: str, status: int) -> None:
    """Failure mode 7: every byte offset of every sample, read by every parser in both dialects."""
    whole = path.read_bytes()
    untyped = []

    for end in range(len(whole)):
        for dialect in (SUNO, KIE):
            try:
                READERS[reader](HttpResponse(status, {}, whole[:end]), dialect)
            except mp4gen.Mp4GenError:
                continue
            except Exception as error:  # noqa: BLE001 - what this test is about
                untyped.append((end, error))

    assert untyped == []


# --- our two ends ---------------------------------------------------------------------------


def test_submit_round_trip() -> None:
    """The server side reads the body of the client side."""
    call = protocol.build_create_request(REQUEST, "https://app.example.com/cb/1")

    arrived = protocol.parse_create_body(call.body or b"")

    assert arrived.callback_url == "https://app.example.com/cb/1"
    assert (arrived.task_id, arrived.author) == (REQUEST.task_id, REQUEST.author)


@given(TEXT, TEXT, TEXT)
def test_submit_round_trip_of_any_valid_request(task: str, audio: str, author: str) -> None:
    """No valid field changes on its way."""
    request = VideoRequest(task, audio, author=author, callback_url="https://e.com/cb")

    assert protocol.parse_create_body(protocol.build_create_request(request).body or b"") == request


def test_build_create_request_uses_a_placeholder_callback() -> None:
    """The required field gets a URL on a reserved host without an owner."""
    body = json.loads(protocol.build_create_request(REQUEST).body or b"")

    assert (urlsplit(body["callBackUrl"]).hostname or "").endswith(".invalid")


def test_build_create_request_prefers_the_callback_of_the_request() -> None:
    """The client's URL is only a default."""
    request = VideoRequest("m", "a", callback_url="https://own.example.com/")
    body = json.loads(
        protocol.build_create_request(request, "https://other.example.com/").body or b""
    )

    assert body["callBackUrl"] == "https://own.example.com/"


@given(st.text(min_size=1, max_size=60))
def test_build_details_request_quotes_any_id(task_id: str) -> None:
    """No id can add a query field."""
    try:
        task_id.encode()
    except UnicodeEncodeError:
        return
    call = protocol.build_details_request(task_id, SUNO)

    assert parse_qs(urlsplit(call.path).query, strict_parsing=True, keep_blank_values=True) == {
        "taskId": [task_id]
    }


def test_details_response_round_trip() -> None:
    """The client side reads what the server side builds."""
    expected = VideoDetails(
        "t1",
        music_task_id="m1",
        audio_id="a1",
        status=VideoStatus.GENERATE_MP4_FAILED,
        created_at=datetime(2025, 1, 1, tzinfo=UTC),
        error_code=500,
        error_message="no picture",
    )

    assert (
        protocol.parse_details(ok(protocol.build_details_response(expected)), SUNO, "t1")
        == expected
    )


def test_tracks_and_create_responses_round_trip() -> None:
    """The client side reads what the server side builds."""
    tracks = [Track("m1", "a1", title="One", duration=1.5), Track("m1", "a2")]

    assert (
        protocol.parse_tracks(ok(protocol.build_tracks_response("m1", tracks)), SUNO, "m1")
        == tracks
    )
    assert protocol.parse_create(ok(protocol.build_create_response("t1")), SUNO) == "t1"


@pytest.mark.parametrize(
    "error",
    [
        mp4gen.RateLimitError("too often", code=430),
        mp4gen.AlreadyExistsError("Mp4 record already exists", code=409, existing_task_id="t0"),
        mp4gen.MaintenanceError("down", code=455),
    ],
)
def test_error_response_round_trip(error: mp4gen.ApiError) -> None:
    """Class, code, text, and the task id of the first submit."""
    with pytest.raises(type(error)) as caught:
        protocol.parse_create(ok(protocol.build_error_response(error)), SUNO)

    assert str(caught.value) == str(error)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body must be a JSON object"),
        (b"[]", "the body must be a JSON object"),
        (b"{}", "callBackUrl is required; taskId is required; audioId is required"),
        (
            b'{"taskId":7,"audioId":"a","callBackUrl":"https://e.com"}',
            "taskId must be text, not int",
        ),
        (
            b'{"taskId":"m","audioId":"a","callBackUrl":"https://e.com","author":"%s"}'
            % (b"x" * 51),
            "author must be at most 50 characters, not 51",
        ),
        (
            b'{"taskId":"m","audioId":"a","callBackUrl":"mailto:me"}',
            "callBackUrl must be an http:// or https:// URL",
        ),
    ],
    ids=["empty", "list", "nothing", "number", "long", "scheme"],
)
def test_parse_create_body_names_every_invalid_field(body: bytes, expected: str) -> None:
    """One sentence, with the names that the sender used."""
    with pytest.raises(mp4gen.InvalidRequestError) as caught:
        protocol.parse_create_body(body)

    assert (caught.value.code, caught.value.message) == (400, expected)


@pytest.mark.parametrize(
    "field", ['"x":"\\ud800"', '"x":' + "9" * 30, '"callbackUrl":7', '"x":' + "[" * 400 + "]" * 400]
)
def test_parse_create_body_ignores_odd_fields(field: str) -> None:
    """A field that no request could have is no reason to refuse this one."""
    body = f'{{"taskId":"m","audioId":"a","callBackUrl":"https://e.com","look":"ring",{field}}}'

    assert protocol.parse_create_body(body.encode()).extra == {"look": "ring"}


@given(st.binary(max_size=300))
def test_parse_create_body_accepts_or_refuses_any_bytes(body: bytes) -> None:
    """Any bytes are a request or an `InvalidRequestError`."""
    try:
        protocol.parse_create_body(body)
    except mp4gen.InvalidRequestError as error:
        assert error.code == 400  # noqa: PT017 - both ways are right


# --- responses that the pages do not describe -------------------------------------------------


@pytest.mark.parametrize("data", [None, {}, {"taskId": ""}, {"taskId": 0}, "t1", 7, ["t1"]])
def test_parse_create_rejects_a_success_without_id(data: Any) -> None:
    """The submit was accepted, but its task is unknown."""
    with pytest.raises(mp4gen.ProtocolError):
        protocol.parse_create(ok(protocol.build_data_response(data)), SUNO)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"taskId": 7}}, "7"),
        ({"data": {"task_id": "t1"}}, "t1"),
        ({"data": None, "taskId": "t1"}, "t1"),
    ],
)
def test_parse_create_finds_the_task_id_in_other_places(body: Any, expected: str) -> None:
    """An accepted submit is not uncertain because of the place or the type of its id."""
    raw = json.dumps({"code": 200, **body}).encode()

    assert protocol.parse_create(ok(raw), SUNO) == expected


def test_odd_tracks_cost_themselves_only() -> None:
    """A track without an id is skipped; a number is an id; a blank link is none."""
    items = [
        {"id": None, "title": "unfinished"},
        {"id": " ", "title": "blank"},
        {"title": "nameless"},
        "odd",
        {"id": 7, "audioUrl": "", "imageUrl": " ", "title": "\ud800", "createTime": "9999-12-31"},
        {"id": "a2", "audioUrl": "https://e.com/a.mp3", "duration": {}},
    ]
    body = json.dumps({"code": 200, "data": {"response": {"sunoData": items}}})

    assert protocol.parse_tracks(ok(body.encode()), SUNO, "m") == [
        Track("m", "7", title="\ufffd"),
        Track("m", "a2", audio_url="https://e.com/a.mp3"),
    ]


def test_parse_details_without_record_raises_not_found() -> None:
    """`data: null`, and kie's "recordInfo is null"."""
    null = protocol.build_error_response(mp4gen.ApiError("recordInfo is null", code=422))

    for body in (protocol.build_data_response(None), null):
        with pytest.raises(mp4gen.NotFoundError) as caught:
            protocol.parse_details(ok(body), KIE, "t1")
        assert caught.value.task_id == "t1"


@pytest.mark.parametrize(
    "data",
    ["many", None, {}, [], True, "nan", "inf", 10**400, -(10**400), {"credits": 5}],
    ids=lambda data: str(data)[:9],
)
def test_parse_credits_rejects_other_values(data: Any) -> None:
    """Every other value is a `ProtocolError`."""
    with pytest.raises(mp4gen.ProtocolError, match=r"^Credits are not a number: "):
        protocol.parse_credits(ok(protocol.build_data_response(data)), SUNO)


@pytest.mark.parametrize(("data", "expected"), [(812.5, 812.5), ("100", 100.0), (0, 0.0)])
def test_parse_credits_reads_fractions_and_texts(data: Any, expected: float) -> None:
    """Fractions are seen on kie."""
    assert protocol.parse_credits(ok(protocol.build_data_response(data)), KIE) == expected


# --- callbacks ------------------------------------------------------------------------------

KNOWN = [
    (
        "ee9c2715375b7837f8bb51d641ff5863",
        1769670760,
        "test-webhook-hmac-key",
        "xG6/yOyrMyJtUdc1yjmHpKLHSHF3MpzOPa6uxSj3qb4=",
    ),
    (
        "taskId_774b9aa0422f",
        1735661400,
        "k" * 32,
        "3Yzs9OUzsEpAcJE3EjdbyHmcqR2cnW1zW6f5qv9UbXo=",
    ),
]


@pytest.mark.parametrize(("task_id", "stamp", "secret", "signature"), KNOWN)
def test_sign_callback_matches_known_signatures(
    task_id: str, stamp: int, secret: str, signature: str
) -> None:
    """The expected values were computed without this package."""
    headers = callbacks.sign_callback(task_id, secret, stamp)

    assert headers["X-Webhook-Signature"] == signature
    lower = {name.lower(): value for name, value in headers.items()}
    assert callbacks.verify_signature(lower, task_id, secret, now=stamp + 300)
    assert not callbacks.verify_signature(lower, task_id, secret, now=stamp + 301)
    assert not callbacks.verify_signature(lower, task_id, secret, now=stamp - 301)
    assert not callbacks.verify_signature(lower, task_id + "x", secret, now=stamp)
    assert not callbacks.verify_signature(lower, task_id, secret + "x", now=stamp)


@given(st.text(max_size=60), st.text(max_size=30))
def test_verify_signature_accepts_any_header_text(signature: str, stamp: str) -> None:
    """Failure mode 28: any text is refused; none raises."""
    headers = {"x-webhook-signature": signature, "x-webhook-timestamp": stamp}

    assert not callbacks.verify_signature(headers, "t1", "secret", now=0.0)


def test_verify_signature_refuses_a_timestamp_of_thousands_of_digits() -> None:
    """Python refuses to convert such a text, with an error of its own."""
    headers = {"x-webhook-signature": "", "x-webhook-timestamp": "9" * 5000}

    assert not callbacks.verify_signature(headers, "t1", "secret", now=0.0)


def test_parse_callback_caps_the_message() -> None:
    """A sender cannot fill a log with one text."""
    body = json.dumps({"code": 501, "msg": "x" * 10_000, "data": {"task_id": "t1"}})

    assert callbacks.parse_callback(body.encode()).message == "x" * 500


@pytest.mark.parametrize(
    "body",
    [
        {"code": 200, "data": {"task_id": "t1"}},
        {"code": 200, "data": {"taskId": "t1"}},
        {"code": "200", "taskId": "t1"},
        {"task_id": "t1", "data": None},
    ],
)
def test_parse_callback_reads_four_spellings_of_the_id(body: dict[str, Any]) -> None:
    """Other receivers have met each of them."""
    notice = callbacks.parse_callback(json.dumps(body).encode())

    assert (notice.task_id, notice.code) == ("t1", 200)


@pytest.mark.parametrize(
    ("code", "failed"), [(200, False), (0, False), ("0", False), (None, False), (400, True)]
)
def test_callback_of_either_success_code_has_not_failed(code: object, *, failed: bool) -> None:
    """docs.kie.ai documents 200 and says in the same place that 0 is a success."""
    body = json.dumps({"code": code, "data": {"task_id": "t1"}}).encode()

    assert callbacks.parse_callback(body).failed == failed


@given(st.binary(max_size=200))
def test_parse_callback_reads_any_bytes(body: bytes) -> None:
    """Any bytes are a callback or a `ValidationError`."""
    try:
        callbacks.parse_callback(body)
    except mp4gen.ValidationError as error:
        assert error.field == "body"  # noqa: PT017 - both ways are right


@pytest.mark.parametrize("body", [None, 7, [], "", "{", "\ud800", {}, {"data": "taskId"}])
def test_parse_callback_refuses_other_bodies(body: Any) -> None:
    """One kind of error for every body, whatever its type."""
    with pytest.raises(mp4gen.ValidationError, match="Invalid body: must be the JSON"):
        mp4gen.parse_callback(body)


@pytest.mark.parametrize("kind", [str, bytes, bytearray, "object"])
def test_parse_callback_reads_each_form_of_a_body(kind: Any) -> None:
    """Frameworks hand over bytes, text (API gateways) or the decoded object."""
    body = callbacks.build_callback("task", "https://x.example/v.mp4")
    form = json.loads(body) if kind == "object" else body.decode() if kind is str else kind(body)

    found = mp4gen.parse_callback(form)

    assert found == mp4gen.VideoCallback(
        "task", 200, "MP4 generated successfully.", "https://x.example/v.mp4"
    )


@pytest.mark.parametrize(
    ("secret", "age", "accepted"),
    [("key", 299, True), ("key", 301, False), ("other", 0, False), ("key", None, False)],
)
def test_parse_callback_checks_the_signature(secret: str, age: int | None, accepted: bool) -> None:
    """Of docs.kie.ai: a missing, wrong or old signature is refused, without naming the key."""
    body = callbacks.build_callback("task", None)
    headers = {} if age is None else callbacks.sign_callback("task", "key", 1_700_000_000)
    settings: Any = {"headers": headers, "secret": secret, "now": 1_700_000_000.0 + (age or 0)}

    if accepted:
        assert mp4gen.parse_callback(body, **settings).task_id == "task"
        return
    with pytest.raises(mp4gen.ValidationError) as caught:
        mp4gen.parse_callback(body, **settings)
    assert caught.value.field == "headers"
    assert secret not in str(caught.value).split()
