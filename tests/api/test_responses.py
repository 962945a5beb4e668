"""Every answer has one meaning: a value, or one typed error; no bytes whatever raise another."""

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
    load_json,
    parse_response,
)

SUNO, KIE = Dialect.SUNO, Dialect.KIE


def answer(code: object, msg: str = "", data: Any = None, status: int = 200) -> HttpResponse:
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
def test_a_body_code_has_one_meaning_in_each_dialect(
    code: int, suno: type, kie: type, *, as_text: bool
) -> None:
    """The two tables, whole; a code may be a number or a text; an unknown one is kept."""
    given = answer(str(code) if as_text else code, "said")

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
    ],
)
def test_the_text_decides_where_a_code_is_shared(
    code: int, message: str, dialect: Dialect, expected: type
) -> None:
    """The quirks that clients of the family have met."""
    assert type(meaning(answer(code, message), dialect)) is expected


def test_kie_says_too_often_with_a_success_code() -> None:
    """HTTP 200 and the text alone: seen on kie; a refusal all the same where the code is one."""
    error = meaning(answer(429, "Your call frequency is too high", status=200), KIE)

    assert type(error) is mp4gen.RateLimitError


@pytest.mark.parametrize(
    ("data", "expected"),
    [({"taskId": "t9"}, "t9"), ({"task_id": "t9"}, "t9"), ({}, None), (None, None), ([], None)],
)
def test_a_conflict_carries_the_first_id_where_it_was_told(data: Any, expected: str | None) -> None:
    """`data.taskId` of a 409, in either spelling."""
    error = meaning(answer(409, "Mp4 record already exists", data))

    assert isinstance(error, mp4gen.AlreadyExistsError)
    assert error.existing_task_id == expected


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
def test_zero_is_a_success_only_where_there_is_something(code: int, data: Any, *, ok: bool) -> None:
    """docs.kie.ai shows code 0 beside a success, and beside an empty one."""
    assert (meaning(answer(code, data=data)) is None) == ok


@pytest.mark.parametrize("status", [200, 400, 404, 405, 429, 500, 502])
def test_row_06_the_body_wins_over_the_status(status: int) -> None:
    """A valid body code decides, whatever HTTP status came with it."""
    assert meaning(answer(200, data={"taskId": "t"}, status=status)) is None
    assert type(meaning(answer(430, status=status))) is mp4gen.RateLimitError


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
def test_a_page_that_is_not_the_apis_is_judged_by_its_status(
    status: int, expected: type, body: bytes
) -> None:
    """404 and 405 without the API's JSON are a wrong base_url, not a missing task or a limit."""
    for dialect in (SUNO, KIE):
        error = meaning(foreign(status, body), dialect)

        assert type(error) is expected


def test_a_gateways_5xx_is_told_from_the_apis_own() -> None:
    """Row 3: what became of the call is not known where a gateway answered."""
    gateway, own = meaning(foreign(502)), meaning(answer(500))

    assert isinstance(gateway, mp4gen.ServerError)
    assert isinstance(own, mp4gen.ServerError)
    assert (gateway.from_api, own.from_api) == (False, True)


def test_a_blocked_client_is_told_so() -> None:
    """The firewall of kie answers a bare 403: the key is not at fault."""
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
def test_row_36_odd_json_is_a_protocol_error(body: bytes) -> None:
    """Deep, infinite, wrong: one typed error with the first bytes."""
    error = meaning(HttpResponse(200, {}, body))

    assert type(error) is mp4gen.ProtocolError
    assert "HTTP 200" in str(error)


def test_row_36_a_byte_order_mark_is_no_fault() -> None:
    """Some gateways put one there."""
    assert meaning(HttpResponse(200, {}, b'\xef\xbb\xbf{"code":200,"data":1}')) is None


@given(st.binary(max_size=200), st.sampled_from([200, 302, 404, 429, 500]))
@example(b'{"code": 1e999}', 200)
@example(b'{"code": 200, "msg": {"a": 1}, "data": 5}', 200)
def test_row_36_no_bytes_raise_an_untyped_error(body: bytes, status: int) -> None:
    """Any body with any status is a value or one of ours."""
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
def test_row_36_no_json_raises_an_untyped_error(body: dict[str, Any]) -> None:
    """Any object in the API's own fields is a value or one of ours."""
    given = HttpResponse(200, {}, json.dumps(body).encode())

    assert meaning(given, KIE) is None or isinstance(meaning(given, KIE), mp4gen.Mp4GenError)


def test_an_excerpt_is_one_safe_line() -> None:
    """The first 200 bytes, without anything that a terminal would obey."""
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
        ({"retry-after": "1.5"}, None),
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
def test_row_18_retry_after_needs_no_clock_of_ours(
    headers: dict[str, str], expected: float | None
) -> None:
    """Seconds, or a date counted from the answer's own date; all else asks for nothing."""
    assert HttpResponse(200, headers, b"").retry_after == expected


def test_a_body_at_the_cap_is_still_read() -> None:
    """The cap is the transport's business, not the reader's."""
    body = b'{"code":200,"data":"' + b"x" * (MAX_BODY_BYTES - 22) + b'"}'

    assert load_json(body)["code"] == 200
