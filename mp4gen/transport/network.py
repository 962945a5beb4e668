"""How a client connects: its proxy and its TLS settings; opens no connection."""

import ssl

import attrs

from .proxies import Proxy, proxy_from_env


@attrs.frozen(eq=False, repr=False)
class Network:
    """The network settings that API calls and downloads share.

    Attributes:
        proxy: The HTTP proxy for all hosts, or None.
        trust_env: Whether to use the proxies of the environment.
        ssl_context: The TLS settings of https:// hosts; None for the system's authorities.
    """

    proxy: Proxy | None = None
    trust_env: bool = False
    ssl_context: ssl.SSLContext | None = None

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy for an http(s) URL, or None.

        Raises:
            ConfigurationError: The environment's proxy is not an HTTP proxy.
        """
        return self.proxy or (proxy_from_env(url) if self.trust_env else None)

    @property
    def tls(self) -> ssl.SSLContext | bool:
        """The `ssl` argument of aiohttp's connectors."""
        return self.ssl_context or True
