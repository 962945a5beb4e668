"""Proxies of settings and of the environment, by curl's rules."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mp4gen import Client, ConfigurationError
from mp4gen.secret import Secret
from mp4gen.transport.network import Network
from mp4gen.transport.proxies import Proxy, proxy_from_env, request_options, resolve_proxy
from tests.support_sentinels import PROXY_PASSWORD, traceback_text

API = "https://api.example.com"
PASSWORD = PROXY_PASSWORD
VARIABLES = "http_proxy https_proxy all_proxy no_proxy".split()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def set_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    for assignment in text.split():
        name, _, value = assignment.partition("=")
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ("", API, None),
        ("HTTPS_PROXY=http://up:1", API, "http://up:1"),
        ("https_proxy=http://low:1 HTTPS_PROXY=http://up:1", API, "http://low:1"),
        ("https_proxy= HTTPS_PROXY=http://up:1", API, "http://up:1"),
        ("HTTPS_PROXY=http://up:1", "http://files.example.com", None),
        ("http_proxy=http://low:1", "http://files.example.com", "http://low:1"),
        ("HTTP_PROXY=http://up:1", "http://files.example.com", None),
        ("http_proxy=http://low:1", API, None),
        ("ALL_PROXY=http://all:1", API, "http://all:1"),
        ("all_proxy=http://all:1", "http://files.example.com", "http://all:1"),
        ("HTTPS_PROXY=http://up:1 ALL_PROXY=http://all:1", API, "http://up:1"),
        ("HTTPS_PROXY=proxy.example:3128", API, "http://proxy.example:3128"),
        ("HTTPS_PROXY=me:pw@proxy.example:3128", API, "http://proxy.example:3128"),
        ("HTTPS_PROXY=https://proxy.example", API, "https://proxy.example"),
    ],
)
def test_proxy_from_env_reads_the_variables_of_curl(
    monkeypatch: pytest.MonkeyPatch, environment: str, url: str, expected: str | None
) -> None:
    """Failure mode 51: lower case first, never HTTP_PROXY, then ALL_PROXY; http:// if missing."""
    set_environment(monkeypatch, environment)

    proxy = proxy_from_env(url)
    assert (proxy and proxy.url) == expected


def test_proxies_of_the_environment_need_trust_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a proxy of the settings comes before them."""
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.example:1")
    own = Proxy("http://own.example:1")

    assert Network().proxy_for(API) is None
    assert Network(trust_env=True).proxy_for(API) == Proxy("http://environment.example:1")
    assert Network(own, trust_env=True).proxy_for(API) == own


@pytest.mark.parametrize(
    ("entries", "host", "excluded"),
    [
        ("*", "api.example.com", True),
        ("example.com", "api.example.com", True),
        (".example.com", "api.example.com", True),
        ("*.example.com", "api.example.com", True),
        ("API.Example.COM.", "api.example.com", True),
        ("api.example.com", "api.example.com.", True),
        ("other.test, example.com", "api.example.com", True),
        ("other.test example.com", "api.example.com", True),
        ("ample.com", "api.example.com", False),
        ("www.api.example.com", "api.example.com", False),
        ("api.example.com:443", "api.example.com", True),
        ("api.example.com:8443", "api.example.com", False),
        ("api.example.com:8443", "api.example.com:8443", True),
        ("8.8.8.8", "8.8.8.8", True),
        ("8.8.0.0/16", "8.8.4.4", True),
        ("8.8.4.4/16", "8.8.8.8", True),
        ("8.8.0.0/16", "9.9.9.9", False),
        ("2001:4860::/32", "[2001:4860::1]", True),
        ("[2001:4860::1]", "[2001:4860::1]", True),
        (",,", "api.example.com", False),
        ("nonsense/99", "api.example.com", False),
    ],
)
def test_no_proxy_excludes_hosts(
    monkeypatch: pytest.MonkeyPatch, entries: str, host: str, excluded: bool
) -> None:
    """Failure mode 51: names with their subdomains, addresses, networks, and all with a star."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:1")
    monkeypatch.setenv("NO_PROXY", entries)

    assert (proxy_from_env(f"https://{host}/x") is None) == excluded


@pytest.mark.parametrize(
    ("url", "proxy", "used"),
    [
        ("http://127.0.0.1:8787", "http://proxy.example:1", False),
        ("http://localhost:8787", "http://10.0.0.9:1", False),
        ("https://[::1]:8787", "http://proxy.example:1", False),
        ("http://127.0.0.1:8787", "http://localhost:1", True),
        ("http://192.168.1.5:8787", "http://proxy.example:1", False),
        ("http://192.168.1.5:8787", "http://8.8.8.8:1", False),
        ("http://192.168.1.5:8787", "http://10.0.0.9:1", True),
        ("https://192.168.1.5:8787", "http://proxy.example:1", True),
        ("http://8.8.8.8", "http://proxy.example:1", True),
    ],
)
def test_proxy_is_not_farther_than_a_local_host(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, *, used: bool
) -> None:
    """No other network sees the key of a call that must not leave this one."""
    monkeypatch.setenv("ALL_PROXY", proxy)

    assert (proxy_from_env(url) is not None) == used


@pytest.mark.parametrize("entry", ["localhost", "127.0.0.1", "::1"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_no_proxy_knows_all_names_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, entry: str, host: str
) -> None:
    """Each of them excludes all."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", entry)

    assert proxy_from_env(f"http://{host}:8787") is None


@pytest.mark.parametrize("proxy", ["socks5://h:1", "SOCKS5h://h:1", "socks4a://h:1"])
def test_socks_is_refused_when_the_client_is_made(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """Failure mode 51: the text names the variable and the way out, and shows no password."""
    proxy = proxy.replace("h:1", f"me:{PASSWORD}@h:1")
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises(ConfigurationError) as from_env:
        Client("some-key", base_url=API, trust_env=True)
    with pytest.raises(ConfigurationError) as given:
        Client("some-key", base_url=API, proxy=proxy)

    assert str(from_env.value) == (
        "Unsupported ALL_PROXY: a SOCKS proxy. Use http://host:port in ALL_PROXY, or exclude "
        "api.example.com with NO_PROXY."
    )
    assert str(given.value) == "Unsupported proxy: a SOCKS proxy. Use http://host:port."


@pytest.mark.parametrize(
    "proxy", [f"ftp://me:{PASSWORD}@h", f"http://{PASSWORD}:x", "", "a b", 3, b"http://h:1"]
)
def test_resolve_proxy_refuses_other_values(proxy: Any) -> None:
    """Failure mode 51: at once, and no password is shown."""
    with pytest.raises(
        ConfigurationError, match=r"^Invalid proxy: .* http://host:port\.$"
    ) as caught:
        resolve_proxy(Secret(proxy))

    assert PASSWORD not in traceback_text(caught.value)


@pytest.mark.parametrize(
    ("url", "place"), [("https://api.example.com", "proxy_headers"), ("http://x.test", "headers")]
)
def test_request_options_hide_user_and_password(url: str, place: str) -> None:
    """Failure mode 34: they are sent to the proxy only, in a header that shows as stars."""
    proxy = resolve_proxy(f"http://m%40e:{PASSWORD}@proxy.example:3128/")
    options = request_options(proxy, url, {"Accept": "x"})
    expected = base64.b64encode(f"m@e:{PASSWORD}".encode()).decode()

    assert options["proxy"] == "http://proxy.example:3128/"
    assert options[place]["Proxy-Authorization"] == f"Basic {expected}"
    assert options["headers"]["Accept"] == "x"
    assert not any(text in f"{proxy} {options}" for text in (PASSWORD, expected, "m%40e"))


def test_resolve_proxy_adds_the_scheme() -> None:
    """Failure mode 51: as curl does; None stays None."""
    assert resolve_proxy(" proxy.example:3128 ") == Proxy("http://proxy.example:3128")
    assert resolve_proxy(None) is None
