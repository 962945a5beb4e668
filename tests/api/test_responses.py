"""Every response has one meaning: a value or one typed error."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mp4gen
from mp4gen import Dialect
from mp4gen.api.responses import (
    MAX_BODY_BYTES,
    HttpResponse,
    describe_response,
    dump_json,
    load_json,
    load_response_json,
    parse_response,
    parse_submit,
)

SUNO, KIE = Dialect.SUNO, Dialect.KIE


def reply(code: object, msg: str = "", data: Any = None, status: int = 200) -> HttpResponse:
    body = json.dumps({"code": code, "msg": msg, "data": data}).encode()
    return HttpResponse(status, {}, body)


def foreign(status: int, body: bytes = b"<html>Bad Gateway</html>") -> HttpResponse:
    return HttpResponse(status, {"content-type": "text/html"}, body)


def meaning(given: HttpResponse, dialect: Dialect = SUNO) -> mp4gen.Mp4GenError | None:
    try:
        parse_response(given, dialect, "t1")
    except mp4gen.Mp4GenError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("code", "suno", "kie"),
    [
        (400, mp4gen.InvalidRequestError, mp4gen.InvalidRequestError),
        (401, mp4gen.AuthenticationError, mp4gen.AuthenticationError),
        (402, mp4gen.ApiError, mp4gen.InsufficientCreditsError),
        (403, mp4gen.AuthenticationError, mp4gen.AuthenticationError),
        (404, mp4gen.NotFoundError, mp4gen.NotFoundError),
        (405, mp4gen.RateLimitError, mp4gen.ApiError),
        (408, mp4gen.ApiError, mp4gen.ServerError),
        (409, mp4gen.AlreadyExistsError, mp4gen.AlreadyExistsError),
        (413, mp4gen.InvalidRequestError, mp4gen.ApiError),
        (422, mp4gen.InvalidRequestError, mp4gen.InvalidRequestError),
        (429, mp4gen.InsufficientCreditsError, mp4gen.RateLimitError),
        (430, mp4gen.RateLimitError, mp4gen.ApiError),
        (433, mp4gen.ApiError, mp4gen.InsufficientCreditsError),
        (455, mp4gen.MaintenanceError, mp4gen.MaintenanceError),
        (500, mp4gen.ServerError, mp4gen.ServerError),
        (501, mp4gen.ServerError, mp4gen.ServerError),
        (505, mp4gen.ServerError, mp4gen.ServerError),
        (777, mp4gen.ServerError, mp4gen.ServerError),
        (299, mp4gen.ApiError, mp4gen.ApiError),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_body_code_decides_the_error(code: int, suno: type, kie: type, *, as_text: bool) -> None:
    """Both tables; a code may be a number or a text, and an unknown one is kept."""
    given = reply(str(code) if as_text else code, "said")

    for dialect, expected in ((SUNO, suno), (KIE, kie)):
        error = meaning(given, dialect)

        assert type(error) is expected
        assert isinstance(error, mp4gen.ApiError)
        assert (error.code, error.message, error.task_id) == (code, "said", "t1")
        assert error.from_api


@pytest.mark.parametrize(
    ("code", "message", "dialect", "expected"),
    [
        (422, "Mp4 record already exists", KIE, mp4gen.AlreadyExistsError),
        (400, "mp4 RECORD already exists.", SUNO, mp4gen.AlreadyExistsError),
        (422, "recordInfo is null", KIE, mp4gen.NotFoundError),
        (422, "recordInfo is null", SUNO, mp4gen.NotFoundError),
        (500, "record does not exist", SUNO, mp4gen.NotFoundError),
        (500, "Your call frequency is too high", KIE, mp4gen.RateLimitError),
        (200_001, "please try again later", SUNO, mp4gen.ServerError),
        (333, "temporary: try again later", SUNO, mp4gen.ServerError),
        (400, "Failed to add Suno MP4 generation task", SUNO, mp4gen.ServerError),
        (422, "Service is temporarily unavailable.", KIE, mp4gen.ServerError),
        (413, "internal error, please retry", SUNO, mp4gen.ServerError),
        (401, "Authentication is temporarily unavailable", SUNO, mp4gen.ServerError),
        (404, "upstream timeout", SUNO, mp4gen.ServerError),
        (299, "The upstream timed out", KIE, mp4gen.ServerError),
        (429, "The service is busy. Please try again later.", SUNO, mp4gen.ServerError),
        # These pass, too, but not in seconds.
        (
            430,
            "Your call frequency is too high. Please try again later.",
            SUNO,
            mp4gen.RateLimitError,
        ),
        (405, "Please try again later", SUNO, mp4gen.RateLimitError),
        (455, "Down, try again later", SUNO, mp4gen.MaintenanceError),
        (402, "Insufficient Credits", SUNO, mp4gen.InsufficientCreditsError),
        (400, "Account credit balance insufficient", SUNO, mp4gen.InsufficientCreditsError),
        (
            429,
            "The current credits are insufficient. Please top up.",
            KIE,
            mp4gen.InsufficientCreditsError,
        ),
        (429, "Too many requests", SUNO, mp4gen.RateLimitError),
        (500, "Mp4 record already exists", SUNO, mp4gen.AlreadyExistsError),
        (401, "record does not exist", KIE, mp4gen.NotFoundError),
    ],
)
def test_message_decides_if_a_code_has_two_meanings(
    code: int, message: str, dialect: Dialect, expected: type
) -> None:
    """The quirks that clients of these hosts have met."""
    assert type(meaning(reply(code, message), dialect)) is expected


def test_kie_reports_rate_limits_with_http_200() -> None:
    """docs.kie.ai: code 429 under HTTP 200, with a text that names the call frequency."""
    error = meaning(reply(429, "Your call frequency is too high", status=200), KIE)

    assert type(error) is mp4gen.RateLimitError


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"data": {"taskId": "t9"}}, "t9"),
        ({"data": {"task_id": "t9"}}, "t9"),
        ({"data": {"taskId": 9}}, "9"),
        ({"data": {"taskId": "", "task_id": "t9"}}, "t9"),
        ({"taskId": "t9"}, "t9"),
        ({"task_id": "t9", "data": None}, "t9"),
        ({"data": {"taskId": "t9"}, "taskId": "t8"}, "t9"),
        ({"data": [{"taskId": "t9"}]}, "t9"),
        ({"data": {"record": {"taskId": "t9"}}}, "t9"),
        ({"data": {}}, None),
        ({"data": {"taskId": "\ud800"}}, None),
        ({"data": "t9"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize(
    ("code", "message", "status", "shown_code"),
    [
        (409, "Mp4 record already exists", 200, 409),
        (409, "Conflict", 200, 409),
        (422, "Mp4 record already exists", 422, 422),
        (None, "Mp4 record already exists", 400, 400),
        (None, "", 409, 409),
        (200, "success", 409, 409),
        (200, "Mp4 record already exists", 200, 409),
    ],
)
def test_conflict_is_recognised_by_status_code_or_text(
    *,
    fields: dict[str, Any],
    expected: str | None,
    code: int | None,
    message: str,
    status: int,
    shown_code: int,
) -> None:
    """Whichever says so; the existing task's id is found wherever it stands."""
    body = json.dumps({"code": code, "msg": message, **fields}).encode()

    with pytest.raises(mp4gen.AlreadyExistsError) as caught:
        parse_submit(HttpResponse(status, {}, body), SUNO)

    assert (caught.value.existing_task_id, caught.value.code) == (expected, shown_code)


@pytest.mark.parametrize("body", [b"", b"<html>Conflict</html>"])
def test_conflict_without_json_has_no_task_id(body: bytes) -> None:
    """The HTTP status alone says that the track has a video."""
    error = meaning(foreign(409, body))

    assert isinstance(error, mp4gen.AlreadyExistsError)
    assert error.existing_task_id is None


@pytest.mark.parametrize(
    ("message", "status", "expected"),
    [
        ("Insufficient credits", 400, mp4gen.InsufficientCreditsError),
        ("", 402, mp4gen.InsufficientCreditsError),
        ("temporarily unavailable", 404, mp4gen.ServerError),
        ("Too many requests", 403, mp4gen.RateLimitError),
    ],
)
def test_text_decides_in_json_without_a_code(message: str, status: int, expected: type) -> None:
    """A reseller's JSON has a text under another name, and no code of the API."""
    error = meaning(HttpResponse(status, {}, json.dumps({"error": message}).encode()))

    assert type(error) is expected
    assert isinstance(error, mp4gen.ApiError)
    assert not error.from_api


@pytest.mark.parametrize(
    ("code", "data", "ok"),
    [
        (200, None, True),
        (200, {"taskId": "t"}, True),
        (0, {"taskId": "t"}, True),
        (0, {"taskId": ""}, False),
        (0, None, False),
        (0, 100, True),
    ],
)
def test_code_0_is_a_success_only_with_a_payload(code: int, data: Any, *, ok: bool) -> None:
    """docs.kie.ai shows code 0 both for a success and for a response without data."""
    assert (meaning(reply(code, data=data)) is None) == ok


@pytest.mark.parametrize("status", [200, 400, 404, 405, 429, 500, 502])
def test_body_code_wins_over_http_status(status: int) -> None:
    """Failure mode 6: a valid body code decides, whatever the HTTP status is."""
    assert meaning(reply(200, data={"taskId": "t"}, status=status)) is None
    assert type(meaning(reply(430, status=status))) is mp4gen.RateLimitError


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, mp4gen.ProtocolError),
        (201, mp4gen.ProtocolError),
        (301, mp4gen.ConfigurationError),
        (302, mp4gen.ConfigurationError),
        (400, mp4gen.InvalidRequestError),
        (401, mp4gen.AuthenticationError),
        (403, mp4gen.AuthenticationError),
        (404, mp4gen.ConfigurationError),
        (405, mp4gen.ConfigurationError),
        # A web server that knows no POST at all; the API's own 501 is JSON.
        (501, mp4gen.ConfigurationError),
        (413, mp4gen.InvalidRequestError),
        (429, mp4gen.RateLimitError),
        (500, mp4gen.ServerError),
        (502, mp4gen.ServerError),
        (503, mp4gen.ServerError),
        (504, mp4gen.ServerError),
        (520, mp4gen.ServerError),
    ],
)
@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b'{"detail":"Not Found"}', b"[1]"])
def test_http_status_decides_without_api_json(status: int, expected: type, body: bytes) -> None:
    """404 and 405 without the API's JSON mean a wrong base_url."""
    for dialect in (SUNO, KIE):
        error = meaning(foreign(status, body), dialect)

        assert type(error) is expected


def test_server_error_of_a_gateway_is_not_from_api() -> None:
    """Failure mode 3: after the response of a gateway the result of the call is unknown."""
    gateway, own = meaning(foreign(502)), meaning(reply(500))

    assert isinstance(gateway, mp4gen.ServerError)
    assert isinstance(own, mp4gen.ServerError)
    assert (gateway.from_api, own.from_api) == (False, True)


def test_firewall_page_says_that_the_client_is_blocked() -> None:
    """The firewall of kie sends a bare 403: the key is not the reason."""
    error = meaning(foreign(403, b"error code: 1010"), KIE)

    assert "firewall blocked this client" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b'{"code":NaN}',
        b'{"code":Infinity}',
        b'{"code":true}',
        b'{"code":null}',
        b'{"code":"--2"}',
        b'{"code":[200]}',
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"code":' + b"9" * 5_000 + b"}",
        b"\xff\xfe\x00",
        b"null",
        b'"code"',
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_odd_json_is_a_protocol_error(body: bytes) -> None:
    """Failure mode 36: deep, infinite or wrong values are one typed error with the first bytes."""
    error = meaning(HttpResponse(200, {}, body))

    assert type(error) is mp4gen.ProtocolError
    assert "HTTP 200" in str(error)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"NaN", None),
        (b"-Infinity", None),
        (b"9" * 5_000, None),
        (b"1e999", float("inf")),
        (b'"\\ud800 and \\ud83d\\ude00"', "\ufffd and \U0001f600"),
        (b'"\xe9"', "\ufffd"),
        (b'"line\nbreak"', "line\nbreak"),
    ],
    ids=lambda field: str(field)[:12],
)
def test_unreadable_field_does_not_cost_the_response(field: bytes, expected: object) -> None:
    """Lone surrogates, broken UTF-8, NaN and absurd numbers spoil their own field only."""
    body = b'{"code":200,"data":{"odd":' + field + b',"taskId":"t"}}'

    assert load_response_json(body) == {"code": 200, "data": {"odd": expected, "taskId": "t"}}


def test_dump_json_escapes_lone_surrogates() -> None:
    """A file name that is not UTF-8 does not make a response impossible."""
    body = dump_json({"title": "caf\udce9 \u00e9"})

    assert body == b'{"title":"caf\\udce9 \xc3\xa9"}'
    assert json.loads(body) == {"title": "caf\udce9 \u00e9"}


def test_load_json_ignores_a_byte_order_mark() -> None:
    """Failure mode 36: some gateways send one."""
    assert meaning(HttpResponse(200, {}, b'\xef\xbb\xbf{"code":200,"data":1}')) is None


@given(st.binary(max_size=200), st.sampled_from([200, 302, 404, 429, 500]))
@example(b'{"code": 1e999}', 200)
@example(b'{"code": 200, "msg": {"a": 1}, "data": 5}', 200)
def test_parse_response_of_any_bytes_is_typed(body: bytes, status: int) -> None:
    """Failure mode 36: any body with any status is a value or one of our errors."""
    given = HttpResponse(status, {}, body)

    assert meaning(given) is None or isinstance(meaning(given), mp4gen.Mp4GenError)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "code": st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.booleans()),
            "msg": st.one_of(st.text(), st.integers(), st.lists(st.text())),
            "data": st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.integers())),
        },
    )
)
def test_parse_response_of_any_json_is_typed(body: dict[str, Any]) -> None:
    """Failure mode 36: any object in the API's fields is a value or one of our errors."""
    given = HttpResponse(200, {}, json.dumps(body).encode())

    assert meaning(given, KIE) is None or isinstance(meaning(given, KIE), mp4gen.Mp4GenError)


def test_parse_response_caps_the_message() -> None:
    """A faulty host cannot fill a log with one text."""
    error = meaning(reply(500, "x" * 10_000))

    assert isinstance(error, mp4gen.ServerError)
    assert error.message == "x" * 500


def test_describe_response_is_one_printable_line() -> None:
    """The first 200 bytes, without terminal control sequences."""
    shown = describe_response(HttpResponse(200, {}, b"\x1b[31mred\r\n" + b"x" * 500))

    assert shown.startswith("HTTP 200, 510 bytes: ' [31mred  xxx")
    assert len(shown) < 240
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "3.5"}, 3.5),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": ".5"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 12}, None),
        ({"retry-after": "soon"}, None),
        (
            {
                "retry-after": "Wed, 01 Jan 2025 00:00:30 GMT",
                "date": "Wed, 01 Jan 2025 00:00:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Wed, 01 Jan 2025 00:00:00 GMT",
                "date": "Wed, 01 Jan 2025 00:00:30 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:30 GMT"}, None),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:30", "date": "Wed, 01 Jan 2025 00:00 GMT"}, None),
    ],
)
def test_retry_after_does_not_use_the_local_clock(
    headers: dict[str, str], expected: float | None
) -> None:
    """Failure modes 18 and 59: seconds, or a date counted from the `Date` header, else None."""
    assert HttpResponse(200, headers, b"").retry_after == expected


def test_parse_response_reads_a_body_of_the_maximum_size() -> None:
    """The transport enforces the maximum, not the parser."""
    body = b'{"code":200,"data":"' + b"x" * (MAX_BODY_BYTES - 22) + b'"}'

    assert load_json(body)["code"] == 200
