"""Authenticates accounts by their keys; no HTTP."""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping

# No one guesses a key of this length, however many guesses a second.
_STRONG_LENGTH = 20


class Accounts:
    """Finds the account of a key, in constant time and without storing any key.

    Without keys all callers share one account, whatever key they send.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        # Keys are random text, so one round of a keyed hash is enough.
        self._salt = secrets.token_bytes(16)
        self.replace(keys)

    def __repr__(self) -> str:
        return f"Accounts({sorted(self._digests)})"

    def replace(self, keys: Mapping[str, str]) -> None:
        """Replace all accounts and their keys."""
        self._digests = {name: self._digest(key) for name, key in keys.items()}
        self._strong = {name for name, key in keys.items() if len(key) >= _STRONG_LENGTH}
        self._session_keys = {
            name: hashlib.sha256(key.encode()).hexdigest() for name, key in keys.items()
        }

    @property
    def is_open(self) -> bool:
        """True if no key is required."""
        return not self._digests

    def names(self) -> Collection[str]:
        """Return the names of all accounts; without keys, that of the shared one."""
        return self._digests or ("",)

    def is_strong(self, name: str) -> bool:
        """Return whether an account's key is too long to be guessed."""
        return name in self._strong

    def session_key(self, name: str) -> str | None:
        """Return what signs an account's sessions; None if there is no such account."""
        return hashlib.sha256().hexdigest() if self.is_open else self._session_keys.get(name)

    def find_by_key(self, key: str | None) -> str | None:
        """Return the account of `key`, or None if the key is unknown."""
        if self.is_open:
            return ""
        digest = self._digest(key or "")
        # All are compared, so that the time does not reveal which one matches.
        found = [one for one, own in self._digests.items() if hmac.compare_digest(digest, own)]
        return found[0] if found else None

    def _digest(self, key: str) -> bytes:
        return hashlib.blake2b(key.encode("utf-8", "replace"), key=self._salt).digest()


def bearer_key(authorization: str | None) -> str | None:
    """Return the key in an `Authorization: Bearer KEY` header, or None."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None
