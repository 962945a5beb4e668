"""The HTTP proxy of a URL, from a setting or from the environment as curl reads it; sends nothing.

No error shows a proxy's URL: it may contain a password.
"""

import os
import re
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from .addresses import is_loopback, is_public, parse_http_url
from .errors import ConfigurationError

# The first one that is set counts. HTTP_PROXY is not read: a web server sets it from a header of
# the same name (CVE-2016-5385).
_VARIABLES = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HINT = "Use http://host:port"


def resolve_proxy(proxy: str | None) -> str | None:
    """Return the URL of an HTTP proxy, with http:// if it has no scheme.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy.
    """
    return None if proxy is None else _parse_proxy(proxy, "proxy", _HINT)


def proxy_from_env(url: str) -> str | None:
    """Return the proxy that the environment sets for an http(s) URL, or None.

    A call to this machine, or an unencrypted one to a private address, goes through a proxy only if
    the proxy is as near. Otherwise another network would see the key.

    Raises:
        ConfigurationError: The variable is not the URL of an HTTP proxy.
    """
    parts = urlsplit(url)
    variable = next((name for name in _VARIABLES[parts.scheme] if os.environ.get(name)), None)
    if variable is None or _is_excluded(parts):
        return None
    hint = f"{_HINT} in {variable}, or exclude {parts.hostname} with NO_PROXY"
    proxy = _parse_proxy(os.environ[variable], variable, hint)
    return None if _is_farther(urlsplit(proxy).hostname or "", parts) else proxy


def _parse_proxy(text: object, name: str, hint: str) -> str:
    if not isinstance(text, str):
        raise ConfigurationError(f"Invalid {name}: {type(text).__name__}. {hint}.")
    proxy = text.strip() if "://" in text else f"http://{text.strip()}"
    if proxy.lower().startswith("socks"):
        raise ConfigurationError(f"Unsupported {name}: a SOCKS proxy. {hint}.")
    if parse_http_url(proxy) is None or " " in proxy:
        raise ConfigurationError(f"Invalid {name}: not the URL of an HTTP proxy. {hint}.")
    return proxy


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
