"""The settings of a client are checked before any request."""

from typing import Any

import pytest

from mp4gen import ConfigurationError
from mp4gen.options import positive_int
from mp4gen.secret import Secret
from mp4gen.settings import account


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "https://api.api.box"),
        ("https://api.kie.ai/", "https://api.kie.ai"),
        (" https://proxy.example/suno/ ", "https://proxy.example/suno"),
        ("https://api.kie.ai/api/v1", "https://api.kie.ai"),
        ("https://api.kie.ai/api/v1/", "https://api.kie.ai"),
        ("https://api.api.box//api/V1//", "https://api.api.box"),
        ("https://api.api.box/api/v1/mp4/generate", "https://api.api.box"),
        ("https://proxy.example/suno/api/v1", "https://proxy.example/suno"),
        ("https://proxy.example/api/v10", "https://proxy.example/api/v10"),
        ("https://proxy.example/myapi/v1", "https://proxy.example/myapi/v1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://b\u00fccher.example", "https://b\u00fccher.example"),
    ],
)
def test_resolve_base_url_removes_what_the_client_adds(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    """Failure mode 58: the API's own path goes; a prefix, a port and a foreign name are kept."""
    monkeypatch.delenv("MP4GEN_BASE_URL", raising=False)

    assert account.resolve_base_url(given) == expected


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
def test_resolve_base_url_refuses_other_texts(given: str) -> None:
    """Host names that DNS cannot contain are refused, too."""
    with pytest.raises(
        ConfigurationError,
        match=r"^Invalid base_url: .* Use a URL such as https://api\.api\.box\.$",
    ):
        account.resolve_base_url(given)


@pytest.mark.parametrize(
    "given", ["https://me:pw@api.api.box", "https://api.api.box?a=b", "https://api.api.box#top"]
)
def test_resolve_base_url_refuses_user_query_and_fragment(given: str) -> None:
    """A password would be logged, and a query would end up in the middle of paths."""
    with pytest.raises(ConfigurationError, match="it holds a user, a query or a fragment"):
        account.resolve_base_url(given)


def test_resolve_api_key_reads_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The argument wins; the line break at the end of a file is removed."""
    monkeypatch.setenv("MP4GEN_API_KEY", "from-the-environment\n")

    assert account.resolve_api_key(None, "https://api.api.box")() == Secret("from-the-environment")
    assert account.resolve_api_key("given", "https://api.api.box")() == Secret("given")


def test_resolve_api_key_requires_a_key_except_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says where a key goes."""
    monkeypatch.delenv("MP4GEN_API_KEY", raising=False)

    assert account.resolve_api_key(None, "http://127.0.0.1:8000")() is None
    with pytest.raises(ConfigurationError, match="Pass api_key or set MP4GEN_API_KEY"):
        account.resolve_api_key(None, "https://api.api.box")


@pytest.mark.parametrize("key", ["some-key", lambda: "some-key"])
@pytest.mark.parametrize("host", ["api.example", "192.168.1.5:8787", "[fd12::1]", "8.8.8.8"])
def test_resolve_api_key_refuses_unencrypted_http(key: Any, host: str) -> None:
    """Loopback is the exception."""
    assert account.resolve_api_key(key, "http://localhost:8000")() == Secret("some-key")
    with pytest.raises(ConfigurationError, match="would be sent unencrypted"):
        account.resolve_api_key(key, f"http://{host}")


@pytest.mark.parametrize("host", ["studio.local:8787", "192.168.1.5", "10.0.0.1", "[fd12::1]:1"])
def test_allow_http_accepts_private_networks(caplog: pytest.LogCaptureFixture, host: str) -> None:
    """The log says what that means; a name is checked when it is resolved."""
    get_key = account.resolve_api_key("some-key", f"http://{host}", allow_http=True)

    assert get_key() == Secret("some-key")
    assert "The key and the videos travel unencrypted to" in caplog.text


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]:8787", "134744072"])
def test_allow_http_refuses_public_addresses(host: str) -> None:
    """On the internet there is always https."""
    with pytest.raises(ConfigurationError, match=r"would be sent unencrypted: .* Use https://"):
        account.resolve_api_key("some-key", f"http://{host}", allow_http=True)


@pytest.mark.parametrize("url", ["https://api.example", "http://127.0.0.1:8787"])
def test_allow_http_changes_nothing_elsewhere(caplog: pytest.LogCaptureFixture, url: str) -> None:
    """Encrypted hosts and this machine need no warning."""
    account.resolve_api_key("some-key", url, allow_http=True)

    assert caplog.text == ""


def test_to_secret_hides_the_key() -> None:
    """Failure mode 34: every repr in a traceback with locals shows stars."""
    assert repr(account.to_secret("some-key")) == "'***'"


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_to_secret_returns_none_for_blank_text(blank: str | None) -> None:
    """An empty environment variable is no key."""
    assert account.to_secret(blank) is None


def test_to_secret_refuses_other_types() -> None:
    """A common mistake is to pass the bytes of a file."""
    given: Any = b"some-key"

    with pytest.raises(ConfigurationError, match="Invalid api_key: bytes"):
        account.to_secret(given)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_positive_int_refuses_other_values(value: Any) -> None:
    """The text names the setting."""
    assert positive_int("concurrency", 3) == 3
    with pytest.raises(
        ConfigurationError, match=r"^Invalid concurrency: .* Use a whole number above 0\.$"
    ):
        positive_int("concurrency", value)
