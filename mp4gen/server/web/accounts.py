"""Accounts by their key; no HTTP."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping


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
