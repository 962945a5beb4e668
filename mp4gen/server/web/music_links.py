"""Signs links to music files and covers, and verifies them; no HTTP, no files.

Anyone who has a link can open it until it expires, as on the vendors' hosts: players and browsers
send no key. It is made for a caller whose key may list the track, and a new key of that account
ends it.
"""

import hmac
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote, urlencode

from .accounts import Accounts

Kind = Literal["music", "covers"]
_DAY = 86400
# The vendors keep files for 15 days, too.
_MIN_DAYS = 15


class MusicLinks:
    """The links of one server.

    Args:
        accounts: Their keys are part of the signatures.
        secret: The signing key; the same after a restart.
    """

    def __init__(self, accounts: Accounts, secret: bytes) -> None:
        self._accounts, self._secret = accounts, secret

    def path(self, kind: Kind, name: str, account: str, ids: tuple[str, str], now: float) -> str:
        """Return the path and the query of a link.

        Args:
            kind: What it leads to.
            name: The file name that it shows; it is not signed.
            account: The account whose key signs it.
            ids: The ids of the music task and the track.
            now: Seconds since 1970.
        """
        # The same for a whole day, so that clients can cache what it leads to.
        expires = str((int(now) // _DAY + 1 + _MIN_DAYS) * _DAY)
        query = {"taskId": ids[0], "audioId": ids[1], "expires": expires}
        query["signature"] = self._sign(kind, account, *ids, expires)
        return f"/{kind}/{quote(name, safe='')}?{urlencode(query)}"

    def verify(self, kind: Kind, query: Mapping[str, str], now: float) -> tuple[str, str] | None:
        """Return the ids of the music task and the track of a link; None if it is not valid."""
        names = ("taskId", "audioId", "expires", "signature")
        task_id, audio_id, expires, signature = (query.get(name, "") for name in names)
        if not (expires.isascii() and expires.isdecimal()) or int(expires[:12]) < now:
            return None
        # All are compared, so that the time does not reveal whose it is.
        valid = [
            hmac.compare_digest(
                self._sign(kind, account, task_id, audio_id, expires).encode(),
                signature.encode(errors="replace"),
            )
            for account in self._accounts.names()
        ]
        return (task_id, audio_id) if any(valid) else None

    def _sign(self, kind: Kind, account: str, *parts: str) -> str:
        key = self._accounts.session_key(account) or ""
        text = "\0".join(("link", kind, account, key, *parts))
        return hmac.new(self._secret, text.encode(errors="replace"), "sha256").hexdigest()
