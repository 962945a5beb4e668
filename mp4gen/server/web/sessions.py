"""Authenticates the page's users by signed cookies and CSRF tokens; stores nothing."""

import hmac
import re
import time
from urllib.parse import urlsplit

from aiohttp import web

from mp4gen.server.config import ServerConfig

from .accounts import Accounts

TOKEN_HEADER = "X-Mp4gen-Token"  # noqa: S105 - a header's name
_MAX_AGE = 30 * 86400


class Sessions:
    """Sessions that are stored in signed cookies; a new key invalidates them.

    Args:
        config: The server's settings, for its public URL.
        accounts: Finds the account of a key.
        secret: The signing key; the same after a restart.
        port: The port of the server.

    Attributes:
        cookie: The name of the cookie. Browsers send a cookie to all ports of a host, so each
            server of a host has a name of its own.
    """

    def __init__(
        self, config: ServerConfig, accounts: Accounts, secret: bytes, *, port: int
    ) -> None:
        self._accounts, self._secret = accounts, secret
        path = urlsplit(config.public_url or "").path
        self.cookie = f"mp4gen_session_{port}{re.sub('[^A-Za-z0-9]', '_', path)}"

    @property
    def is_open(self) -> bool:
        """True if the page requires no key."""
        return self._accounts.is_open

    def account_of(self, request: web.Request) -> str | None:
        """Return the account of the request's cookie, or None if the cookie is not valid."""
        name, _, rest = request.cookies.get(self.cookie, "").partition(".")
        expires, _, signature = rest.partition(".")
        try:
            account = bytes.fromhex(name).decode()
        except ValueError:
            return None
        if not expires.isdecimal() or int(expires[:12]) < time.time():
            return None
        if self._accounts.session_key(account) is None:
            return None
        expected = self._sign("session", account, expires)
        return account if _equal_in_constant_time(signature, expected) else None

    def start(self, response: web.StreamResponse, account: str, *, secure: bool = False) -> None:
        """Set the cookie of a new session; the browser sends a `secure` one over https only."""
        expires = str(int(time.time()) + _MAX_AGE)
        signature = self._sign("session", account, expires)
        value = f"{account.encode().hex()}.{expires}.{signature}"
        response.set_cookie(
            self.cookie, value, max_age=_MAX_AGE, httponly=True, samesite="Strict", secure=secure
        )

    def csrf_token(self, account: str) -> str:
        """Return the token that changes of this account must carry.

        It is the same in all its sessions: a link from another site begins a new one, because
        browsers do not send a strict cookie then, and the open tabs must still work.
        """
        return self._sign("change", account, "")

    def verify_csrf_token(self, request: web.Request, account: str) -> bool:
        """Return True if a change comes from this server's page, used by this account."""
        token = request.headers.get(TOKEN_HEADER, "")
        return _equal_in_constant_time(token, self.csrf_token(account))

    def _sign(self, purpose: str, account: str, extra: str) -> str:
        key = self._accounts.session_key(account) or ""
        text = "\0".join((purpose, account, extra, key))
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()


def _equal_in_constant_time(actual: str, expected: str) -> bool:
    """Compare two texts; `actual` may contain undecodable bytes."""
    return hmac.compare_digest(actual.encode(errors="surrogateescape"), expected.encode())
