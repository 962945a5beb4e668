"""Authenticates requests by their keys, and limits how fast an address can guess one.

After ten wrong keys within a minute an address gets code 430. The right key still works if it is
too long to be guessed, or if it was used from this address before: a user who shares an address
with an attacker, as behind a proxy, is not kept out. Any other key is refused, even the right one,
so that no guess succeeds.
"""

import asyncio
import logging
import math
from collections import OrderedDict, deque
from typing import TypeVar

import attrs
from aiohttp import hdrs, web

from mp4gen.errors import ApiError, RateLimitError

from .accounts import Accounts, bearer_key
from .client_address import ClientAddresses
from .responses import DEFAULT_MESSAGES

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger("mp4gen.server")

MAX_GUESSES, PERIOD = 10, 60.0
_MAX_ADDRESSES = 10_000


@attrs.define
class _Guesses:
    """The wrong keys of one address: when the last ones arrived."""

    times: deque[float] = attrs.field(factory=lambda: deque(maxlen=MAX_GUESSES))

    def wait(self, now: float) -> float:
        """Return the seconds until the next key is compared; 0 if it is now."""
        is_full = len(self.times) == MAX_GUESSES
        return max(0.0, self.times[0] + PERIOD - now) if is_full else 0.0


class KeyGuard:
    """The check of all keys, those of the API and those that are entered on the page.

    Args:
        accounts: Finds the account of a key.
        addresses: Finds the address of a client.
    """

    def __init__(self, accounts: Accounts, addresses: ClientAddresses) -> None:
        self._accounts, self._addresses = accounts, addresses
        self._guesses: OrderedDict[str, _Guesses] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def authenticate(self, request: web.Request) -> str:
        """Return the account of an `Authorization: Bearer KEY` header.

        Raises:
            ApiError: The key is missing or unknown (code 401), or too many were wrong (code 430).
        """
        return self.check(request, bearer_key(request.headers.get(hdrs.AUTHORIZATION)))

    def check(self, request: web.Request, key: str | None) -> str:
        """Return the account of a key that this request brings.

        Raises:
            ApiError: The key is missing or unknown (code 401), or too many were wrong (code 430).
        """
        if self._accounts.is_open:
            return ""
        account = self._accounts.find_by_key(key)
        address = self._addresses.of(request)
        if key:
            self._refuse_if_guessing(address, account)
        if account is None:
            if key:
                self._record(address)
            raise ApiError(DEFAULT_MESSAGES[401], code=401)
        _remember(self._known, (address, account), None)
        return account

    def _refuse_if_guessing(self, address: str, account: str | None) -> None:
        guesses = self._guesses.get(address)
        wait = guesses.wait(asyncio.get_running_loop().time()) if guesses else 0.0
        if not wait or self._may_pass(address, account):
            return
        seconds = math.ceil(wait)
        message = f"Too many wrong keys from your address. Try again in {seconds} s."
        error = RateLimitError(message, code=430)
        error.retry_after = seconds
        raise error

    def _may_pass(self, address: str, account: str | None) -> bool:
        if account is None:
            return False
        return self._accounts.is_strong(account) or (address, account) in self._known

    def _record(self, address: str) -> None:
        now = asyncio.get_running_loop().time()
        guesses = self._guesses.get(address) or _Guesses()
        _remember(self._guesses, address, guesses)
        guesses.times.append(now)
        log.warning("wrong key from %s", address)
        if wait := guesses.wait(now):
            log.warning("wrong keys from %s: the next are refused for %.0f s", address, wait)


def _remember(recent: OrderedDict[K, V], key: K, value: V) -> None:
    """Set an entry, and forget the one that was not used for the longest time."""
    recent[key] = value
    recent.move_to_end(key)
    if len(recent) > _MAX_ADDRESSES:
        recent.popitem(last=False)
