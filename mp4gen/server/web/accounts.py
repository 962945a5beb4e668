"""Authenticates accounts by their keys; no HTTP."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping


class Accounts:
    """Finds the account of a key, in constant time and without storing any key.

    Without keys all callers share one account, whatever key they send.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        # Keys are random text, so one round of a keyed hash is enough.
        self._salt = secrets.token_bytes(16)
        self._digests = {name: self._digest(key) for name, key in keys.items()}

    def __repr__(self) -> str:
        return f"Accounts({sorted(self._digests)})"

    @property
    def is_open(self) -> bool:
        """True if no key is required."""
        return not self._digests

    def find_by_key(self, key: str | None) -> str | None:
        """Return the account of `key`, or None if the key is unknown."""
        if self.is_open:
            return ""
        digest = self._digest(key or "")
        # All are compared, so that the time does not reveal which one matches.
        found = [one for one, own in self._digests.items() if hmac.compare_digest(digest, own)]
        return found[0] if found else None

    def authenticate(self, authorization: str | None) -> str | None:
        """Return the account of an `Authorization: Bearer KEY` header, or None."""
        scheme, _, key = (authorization or "").partition(" ")
        return self.find_by_key(key.strip() if scheme.lower() == "bearer" else None)

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "replace"), key=self._salt).digest()
