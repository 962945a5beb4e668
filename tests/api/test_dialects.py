"""The dialect of a host follows from its name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import mp4gen
from mp4gen import Dialect


@pytest.mark.parametrize(
    ("url", "name", "dedupes"),
    [
        ("https://api.api.box", "suno", True),
        ("https://API.SUNOAPI.ORG/v1", "suno", True),
        ("https://apibox.erweima.ai", "suno", True),
        ("https://api.kie.ai", "kie", False),
        ("https://kie.ai.example.com", "unknown", False),
        ("https://notkie.ai", "unknown", False),
        ("http://127.0.0.1:8080", "unknown", False),
        ("http://[", "unknown", False),
        ("kie.ai", "unknown", False),
    ],
)
def test_for_url_chooses_by_host(url: str, name: str, *, dedupes: bool) -> None:
    """Aliases and subdomains are known; a look-alike does not get `rejects_duplicates`."""
    dialect = Dialect.for_url(url)

    assert (dialect.name, dialect.rejects_duplicates) == (name, dedupes)
    assert (402 in dialect.codes) == (name != "suno")


def test_code_429_differs_between_dialects() -> None:
    """docs.sunoapi.org: no credits; docs.kie.ai: too many calls."""
    assert Dialect.SUNO.codes[429] is mp4gen.InsufficientCreditsError
    assert Dialect.KIE.codes[429] is mp4gen.RateLimitError
    assert Dialect.KIE.codes[402] is mp4gen.InsufficientCreditsError


def test_expires_at_uses_the_retention_of_the_host() -> None:
    """15 days, 14 on kie, and None if the end is unknown."""
    end = datetime(2025, 1, 1, tzinfo=UTC)

    assert Dialect.SUNO.expires_at(end) == end + timedelta(days=15)
    assert Dialect.KIE.expires_at(end) == end + timedelta(days=14)
    assert Dialect.KIE.expires_at(None) is None


def test_expires_at_is_unknown_for_the_last_day_of_the_calendar() -> None:
    """Some hosts write 9999-12-31 for a time that they do not know."""
    assert Dialect.SUNO.expires_at(datetime(9999, 12, 31, tzinfo=UTC)) is None


def test_unknown_host_has_the_codes_of_both_tables() -> None:
    """SUNO's meaning wins; codes that only KIE's table has keep their meaning."""
    codes = Dialect.for_url("https://reseller.example.com").codes

    assert codes[429] is mp4gen.InsufficientCreditsError
    assert codes[402] is mp4gen.InsufficientCreditsError
    assert codes[408] is mp4gen.ServerError


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": None}, "Invalid name: None. Use a string."),
        ({"codes": 5}, "Invalid codes: 5. Use a mapping of body codes to"),
        ({"codes": {429: "later"}}, "Invalid codes: mappingproxy({429: 'later'}). Use a mapping"),
        ({"codes": {429: ValueError}}, "Invalid codes: mappingproxy"),
        ({"credits_path": "api/credit"}, "Invalid credits_path: 'api/credit'. Use a path that"),
        ({"retention_days": "15"}, "Invalid retention_days: '15'. Use a number above 0."),
        ({"retention_days": 10**400}, "Invalid retention_days: 1000"),
        ({"rejects_duplicates": 1}, "Invalid rejects_duplicates: 1. Use True or False."),
        ({"download_url_path": b"/x"}, "Invalid download_url_path: b'/x'. Use a path that"),
    ],
)
def test_dialect_refuses_invalid_fields(fields: dict[str, Any], expected: str) -> None:
    """A dialect of the user's own is checked when it is made."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        Dialect(**{"name": "own", "codes": {}, **fields})

    assert str(caught.value).startswith(expected)


def test_codes_are_read_only() -> None:
    """All clients share one table."""
    with pytest.raises(TypeError):
        Dialect.SUNO.codes[429] = mp4gen.RateLimitError  # type: ignore[index]
