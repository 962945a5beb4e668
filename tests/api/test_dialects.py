"""What differs between hosts is data, chosen by the host's name."""

from datetime import UTC, datetime, timedelta

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
    ],
)
def test_the_host_decides(url: str, name: str, *, dedupes: bool) -> None:
    """Aliases and subdomains are known; a look-alike gets the table without the trust."""
    dialect = Dialect.for_url(url)

    assert (dialect.name, dialect.rejects_duplicates) == (name, dedupes)
    assert (402 in dialect.codes) == (name == "kie")


def test_429_means_opposite_things() -> None:
    """docs.sunoapi.org: no credits, for good; docs.kie.ai: too often, for now."""
    assert Dialect.SUNO.codes[429] is mp4gen.InsufficientCreditsError
    assert Dialect.KIE.codes[429] is mp4gen.RateLimitError
    assert Dialect.KIE.codes[402] is mp4gen.InsufficientCreditsError


def test_retention_is_the_hosts_own() -> None:
    """15 days, 14 on kie, and nothing where the end is not known."""
    end = datetime(2025, 1, 1, tzinfo=UTC)

    assert Dialect.SUNO.expires_at(end) == end + timedelta(days=15)
    assert Dialect.KIE.expires_at(end) == end + timedelta(days=14)
    assert Dialect.KIE.expires_at(None) is None


def test_a_code_table_cannot_be_changed() -> None:
    """One client's table is every client's."""
    with pytest.raises(TypeError):
        Dialect.SUNO.codes[429] = mp4gen.RateLimitError  # type: ignore[index]
