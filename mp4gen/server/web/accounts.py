"""Who may call how often: accounts by their key, and each account's window; no HTTP, no clock."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Mapping

from mp4gen.options import RateLimit


class Accounts:
    """Finds the account of a key, without keeping any key and in time that tells nothing.

    With no keys at all everybody is one account, whatever key they send.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        # Keys are random text, so one round of a keyed hash is enough; the salt dies with us.
        self._salt = secrets.token_bytes(16)
        self._digests = {name: self._digest(key) for name, key in keys.items()}

    def __repr__(self) -> str:
        return f"Accounts({sorted(self._digests)})"

    @property
    def is_open(self) -> bool:
        """Whether no key is needed."""
        return not self._digests

    def find_by_key(self, key: str | None) -> str | None:
        """The account of `key`; None where it is nobody's."""
        if self.is_open:
            return ""
        candidate = self._digest(key or "")
        found = None
        for name, digest in self._digests.items():
            # Every digest is compared, so that time does not tell which one it was.
            if hmac.compare_digest(candidate, digest):
                found = name
        return found

    def authenticate(self, authorization: str | None) -> str | None:
        """The account of an `Authorization: Bearer KEY` header; None where it is nobody's."""
        scheme, _, key = (authorization or "").partition(" ")
        return self.find_by_key(key.strip() if scheme.lower() == "bearer" else None)

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "replace"), key=self._salt).digest()


class RateLimitWindow:
    """At most `limit.requests` in any window of `limit.per` seconds, for each account.

    What was refused does not count: "will not enter the queue" (docs.kie.ai, "Getting Started").
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._granted: dict[str, deque[float]] = {}

    def try_acquire(self, account: str, now: float) -> float:
        """Take a place at time `now`: 0 where there is one, else the seconds until there is."""
        granted = self._granted.setdefault(account, deque())
        while granted and granted[0] <= now - self._limit.per:
            granted.popleft()
        if len(granted) < self._limit.requests:
            granted.append(now)
            return 0.0
        return granted[0] + self._limit.per - now
