"""The HTTP proxy of a URL, from a setting or from the environment as curl reads it; sends nothing.

No error shows a proxy's URL: it may contain a password.
"""

import base64
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from mp4gen.addresses import is_loopback, is_public, parse_http_url
from mp4gen.errors import ConfigurationError
from mp4gen.secret import HiddenHeader, Secret

# The first one that is set counts. HTTP_PROXY is not read: a web server sets it from a header of
# the same name (CVE-2016-5385).
_VARIABLES = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HINT = "Use http://host:port"


@attrs.frozen(repr=False)
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: Its URL without the user and the password.
        authorization: The header that contains them, or None.
    """

    url: str
    authorization: Secret | None = None


def request_options(proxy: Proxy | None, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of aiohttp for a request to `url` with `headers` through `proxy`.

    aiohttp would keep a user and a password of the proxy's URL in variables that tracebacks show.
    """
    if proxy is None or proxy.authorization is None:
        return {"headers": headers, "proxy": proxy and proxy.url}
    authorization = {"Proxy-Authorization": HiddenHeader(proxy.authorization.reveal())}
    if urlsplit(url).scheme == "https":
        return {"headers": headers, "proxy": proxy.url, "proxy_headers": authorization}
    return {"headers": {**headers, **authorization}, "proxy": proxy.url}


def resolve_proxy(proxy: str | Secret | None) -> Proxy | None:
    """Return an HTTP proxy, with http:// if its URL has no scheme.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy.
    """
    return None if proxy is None else _parse_proxy(Secret(proxy), "proxy", _HINT)


def proxy_from_env(url: str) -> Proxy | None:
    """Return the proxy that the environment sets for an http(s) URL, or None.

    A call to this machine, or an unencrypted one to a private address, goes through a proxy only if
    the proxy is on this machine or not public, too: another network must not see the key.

    Raises:
        ConfigurationError: The variable is not the URL of an HTTP proxy.
    """
    parts = urlsplit(url)
    variable = next((name for name in _VARIABLES[parts.scheme] if os.environ.get(name)), None)
    if variable is None or _is_excluded(parts):
        return None
    hint = f"{_HINT} in {variable}, or exclude {parts.hostname} with NO_PROXY"
    proxy = _parse_proxy(Secret(os.environ[variable]), variable, hint)
    return None if _is_farther(urlsplit(proxy.url).hostname or "", parts) else proxy


def _parse_proxy(text: Secret, name: str, hint: str) -> Proxy:
    if not text.is_text:
        raise ConfigurationError(f"Invalid {name}: {text.type_name}. {hint}.")
    if text.reveal().lower().startswith("socks"):
        raise ConfigurationError(f"Unsupported {name}: a SOCKS proxy. {hint}.")
    proxy = _split_proxy(text)
    if proxy is None:
        raise ConfigurationError(f"Invalid {name}: not the URL of an HTTP proxy. {hint}.")
    return proxy


def _split_proxy(text: Secret) -> Proxy | None:
    """Return the proxy of a URL, or None if it is invalid; no error leaves this frame."""
    url = text.reveal() if "://" in text.reveal() else f"http://{text.reveal()}"
    parts = parse_http_url(url)
    if parts is None or " " in url:
        return None
    user_info, _, address = parts.netloc.rpartition("@")
    bare_url = parts._replace(netloc=address).geturl()
    if not user_info:
        return Proxy(bare_url)
    user, _, password = user_info.partition(":")
    credentials = f"{unquote(user)}:{unquote(password)}".encode()
    return Proxy(bare_url, Secret(f"Basic {base64.b64encode(credentials).decode()}"))


def _is_excluded(parts: SplitResult) -> bool:
    entries = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return any(_matches(entry.lower(), parts) for entry in re.split(r"[\s,]+", entries) if entry)


def _matches(entry: str, parts: SplitResult) -> bool:
    """Return whether an entry of NO_PROXY is `*`, or the host's name, domain, address or network.

    A port after a name limits it, as in Go and Python.
    """
    name, colon, port = entry.rpartition(":")
    if not colon or ":" in name or not port.isdecimal():
        name = entry.strip("[]")
    elif int(port) != (parts.port or _DEFAULT_PORTS[parts.scheme]):
        return False
    host, domain = (parts.hostname or "").rstrip("."), name.removeprefix("*").strip(".")
    if name == "*" or (is_loopback(name) and is_loopback(host)):
        return True
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        return bool(domain) and f".{host}".endswith(f".{domain}")


def _is_farther(proxy: str, target: SplitResult) -> bool:
    host = target.hostname or ""
    if is_loopback(host):
        return not is_loopback(proxy)
    return target.scheme == "http" and is_public(host) is False and is_public(proxy) is not False
