"""What a client is told is checked before anything is sent, and refused in one clear sentence."""

from typing import Any

import pytest

from mp4gen import (
    ConfigurationError,
    Dialect,
    RateLimit,
    SlidingWindowLimiter,
    ValidationError,
    settings,
)
from mp4gen.options import positive_int


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "https://api.api.box"),
        ("https://api.kie.ai/", "https://api.kie.ai"),
        (" https://proxy.example/suno/ ", "https://proxy.example/suno"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://b\u00fccher.example", "https://b\u00fccher.example"),
    ],
)
def test_a_base_url_loses_only_its_last_slash(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    """A prefix, a port and a name in any script are kept."""
    monkeypatch.delenv("MP4GEN_BASE_URL", raising=False)

    assert settings.resolve_base_url(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "api.api.box",
        "ftp://api.api.box",
        "https://",
        "https://api.api.box:0",
        "https://api.api.box:99999",
        "https://[::1",
        "https://a b.example",
        "https://a\nb.example",
        f"https://{'a' * 64}.example",
        "https://a..example",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(given: str) -> None:
    """Also names that DNS could not even be asked for: no call would get further."""
    with pytest.raises(
        ConfigurationError,
        match=r"^Invalid base_url: .* Use a URL such as https://api\.api\.box\.$",
    ):
        settings.resolve_base_url(given)


@pytest.mark.parametrize(
    "given", ["https://me:pw@api.api.box", "https://api.api.box?a=b", "https://api.api.box#top"]
)
def test_a_base_url_holds_no_more_than_an_address(given: str) -> None:
    """A password in it would be logged, a query would end up in the middle of paths."""
    with pytest.raises(ConfigurationError, match="it holds a user, a query or a fragment"):
        settings.resolve_base_url(given)


def test_the_key_is_read_from_the_environment_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is given wins; the line break of a file is no part of it."""
    monkeypatch.setenv("MP4GEN_API_KEY", "from-the-environment\n")

    assert settings.resolve_api_key(None, "https://api.api.box")() == "from-the-environment"
    assert settings.resolve_api_key("given", "https://api.api.box")() == "given"


def test_only_a_server_on_this_machine_does_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the first call would be refused; the text says where a key goes."""
    monkeypatch.delenv("MP4GEN_API_KEY", raising=False)

    assert settings.resolve_api_key(None, "http://127.0.0.1:8000")() is None
    with pytest.raises(ConfigurationError, match="Pass api_key or set MP4GEN_API_KEY"):
        settings.resolve_api_key(None, "https://api.api.box")


@pytest.mark.parametrize("key", ["some-key", lambda: "some-key"])
def test_a_key_never_goes_out_unencrypted(key: Any) -> None:
    """Except to this machine."""
    assert settings.resolve_api_key(key, "http://localhost:8000")() == "some-key"
    with pytest.raises(ConfigurationError, match="would be sent unencrypted"):
        settings.resolve_api_key(key, "http://api.example")


def test_row_34_a_key_shows_as_stars() -> None:
    """In every repr that a traceback with variables can hold."""
    assert repr(settings.to_secret("some-key")) == "'***'"


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_a_blank_key_is_none(blank: str | None) -> None:
    """An empty variable is not a key of no letters."""
    assert settings.to_secret(blank) is None


def test_a_key_that_is_no_text_is_refused() -> None:
    """Bytes of a file read the wrong way are the usual case."""
    given: Any = b"some-key"

    with pytest.raises(ConfigurationError, match="Invalid api_key: bytes"):
        settings.to_secret(given)


def test_a_limit_becomes_a_limiter_and_a_limiter_stays() -> None:
    """Anything else is refused."""
    limiter = SlidingWindowLimiter()
    nonsense: Any = 20

    assert settings.resolve_rate_limiter(limiter) is limiter
    made = settings.resolve_rate_limiter(RateLimit(5, per=2))
    assert isinstance(made, SlidingWindowLimiter)
    assert made.limit == RateLimit(5, per=2)
    with pytest.raises(ConfigurationError, match="Invalid rate_limit: 20"):
        settings.resolve_rate_limiter(nonsense)


@pytest.mark.parametrize("value", ["", "  ", "a\nb", None, 7])
def test_an_id_is_a_text_that_can_be_one(value: Any) -> None:
    """The text names the argument."""
    assert settings.validate_id("task_id", "video") == "video"
    with pytest.raises(ValidationError, match="task_id"):
        settings.validate_id("task_id", value)


@pytest.mark.parametrize("seconds", [0, -1, True, "30", None, float("nan")])
def test_a_timeout_is_a_number_above_0(seconds: Any) -> None:
    """For ever is a time, too."""
    assert settings.validate_timeout(float("inf")) == float("inf")
    with pytest.raises(ConfigurationError, match="Use a number of seconds above 0"):
        settings.validate_timeout(seconds)


def test_the_dialect_decides_about_lost_submits_where_nobody_does() -> None:
    """A host that is known to refuse a second submit is asked again."""
    wrong: Any = "perhaps"

    assert settings.resolve_resubmit(None, Dialect.SUNO)
    assert not settings.resolve_resubmit(None, Dialect.KIE)
    assert settings.resolve_resubmit("resubmit", Dialect.KIE)
    assert not settings.resolve_resubmit("raise", Dialect.SUNO)
    with pytest.raises(ConfigurationError, match="Invalid on_uncertain_submit: 'perhaps'"):
        settings.resolve_resubmit(wrong, Dialect.SUNO)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_a_number_of_things_is_whole(value: Any) -> None:
    """The text names the setting."""
    assert positive_int("concurrency", 3) == 3
    with pytest.raises(
        ConfigurationError, match=r"^Invalid concurrency: .* Use a whole number above 0\.$"
    ):
        positive_int("concurrency", value)
