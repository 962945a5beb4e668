"""Authenticates the page's users by signed cookies and CSRF tokens; stores nothing."""

import hashlib
import hmac
import time
from urllib.parse import urlsplit

from aiohttp import web

from mp4gen.server.config import ServerConfig

from .accounts import Accounts

COOKIE = "mp4gen_session"
TOKEN_HEADER = "X-Mp4gen-Token"  # noqa: S105 - a header's name
_MAX_AGE = 30 * 86400


class Sessions:
    """Sessions that are stored in signed cookies; a new key invalidates them.

    Args:
        config: The server's settings, for the keys.
        accounts: Finds the account of a key.
        secret: The signing key; the same after a restart.
    """

    def __init__(self, config: ServerConfig, accounts: Accounts, secret: bytes) -> None:
        self._keys, self._accounts, self._secret = config.accounts, accounts, secret

    @property
    def is_open(self) -> bool:
        """True if the page requires no key."""
        return self._accounts.is_open

    def account_of(self, request: web.Request) -> str | None:
        """Return the account of the request's cookie, or None if the cookie is not valid."""
        name, _, rest = request.cookies.get(COOKIE, "").partition(".")
        expires, _, signature = rest.partition(".")
        try:
            account = bytes.fromhex(name).decode()
        except ValueError:
            return None
        if not expires.isdecimal() or int(expires[:12]) < time.time():
            return None
        if not self.is_open and account not in self._keys:
            return None
        expected = self._sign("session", account, expires)
        return account if _equal_in_constant_time(signature, expected) else None

    def start(
        self, response: web.StreamResponse, key: str | None, *, secure: bool = False
    ) -> str | None:
        """Set the cookie of a new session; return the account, or None if `key` is unknown.

        The browser sends a `secure` cookie over https only.
        """
        account = self._accounts.find_by_key(key)
        if account is not None:
            expires = str(int(time.time()) + _MAX_AGE)
            signature = self._sign("session", account, expires)
            value = f"{account.encode().hex()}.{expires}.{signature}"
            response.set_cookie(
                COOKIE, value, max_age=_MAX_AGE, httponly=True, samesite="Strict", secure=secure
            )
        return account

    def csrf_token(self, request: web.Request) -> str:
        """Return the token that changes in this session must carry."""
        return self._sign("change", request.cookies.get(COOKIE, ""), "")

    def verify_csrf_token(self, request: web.Request) -> bool:
        """Return True if a change comes from this server's page, in this session."""
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            return False
        return _equal_in_constant_time(
            request.headers.get(TOKEN_HEADER, ""), self.csrf_token(request)
        )

    def _sign(self, purpose: str, account: str, extra: str) -> str:
        key = hashlib.sha256(self._keys.get(account, "").encode()).hexdigest()
        text = "\0".join((purpose, account, extra, key))
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()


def _equal_in_constant_time(actual: str, expected: str) -> bool:
    """Compare two texts; `actual` may contain undecodable bytes."""
    return hmac.compare_digest(actual.encode(errors="surrogateescape"), expected.encode())
