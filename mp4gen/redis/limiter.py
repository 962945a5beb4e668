"""The rate limiter that any number of processes share; it sends nothing itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from mp4gen.errors import ConfigurationError, TransportError
from mp4gen.options import RateLimit, invalid_setting
from mp4gen.secret import Secret
from mp4gen.transport.rate_limit import Priority

from .connection import RedisConnection
from .session import Session
from .timing import Timing

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

_MAX_NAME_LENGTH = 200
_KEYS = ("state", "slots", "held", "processes")


class RedisRateLimiter:
    """A `RateLimiter` for all processes and machines that use one account.

    It keeps the limit as exactly as `SlidingWindowLimiter`: a slot is free again one full period
    after the response of its call, interactive calls go before those of bulk runs, and after a
    refusal all processes pause. Processes take turns, so that none starves. If a process is killed,
    its slots are free one period after their leases end. If Redis is away, each process waits until
    the slots that Redis granted are free, and then sends its share of the limit.

    Only the clock of Redis counts, so the clocks of the processes may differ. One limiter belongs
    to one event loop at a time. A client that is the last one to use it closes its connections; a
    later call opens them again.

    Args:
        url_or_client: A URL (`redis://`, `rediss://` or `unix://`), or a client of `redis.asyncio`,
            which you close yourself.
        limit: The limit of the account, the same in all processes.
        name: A name for the account, the same in all processes: not its API key, because Redis
            stores it.

    Raises:
        ConfigurationError: An argument is invalid, redis-py is missing, or a second event loop uses
            the limiter while the first one is open.
    """

    def __init__(
        self,
        url_or_client: str | Redis | RedisCluster,
        limit: RateLimit = RateLimit(20, per=10.0),
        *,
        name: str,
    ) -> None:
        # First: a traceback that shows the variables of this frame must not show a password.
        source = Secret(url_or_client) if isinstance(url_or_client, str) else url_or_client
        del url_or_client
        if not isinstance(limit, RateLimit):
            raise invalid_setting("limit", limit, "a RateLimit such as RateLimit(20, per=10.0)")
        # In braces, so that a cluster keeps all keys of a limiter on one node.
        keys = [f"mp4gen:{{{_checked_name(name)}}}:{key}" for key in _KEYS]
        self.limit, self.name = limit, name
        self._connection = RedisConnection(source, keys)
        self._timing = Timing.of(limit)
        self._session: Session | None = None

    def __repr__(self) -> str:
        if not hasattr(self, "_session"):
            return "RedisRateLimiter(not made)"
        used = f", {self._session}" if self._session is not None else ""
        return f"RedisRateLimiter({self._connection.address}, {self.limit}, {self.name!r}{used})"

    def __eq__(self, other: object) -> bool:
        """Return whether both keep the same limit, each with a session of its own."""
        return isinstance(other, RedisRateLimiter) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str]:
        return self._connection.address, self.name

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def slot(self, priority: Priority = Priority.INTERACTIVE) -> RedisSlot:
        """Hold one slot of the limit."""
        return RedisSlot(self, priority)

    def pause(self, seconds: float) -> None:
        """Hold back the calls of all processes for `seconds`, then let a single one go first.

        The end of a pause only moves forward.
        """
        self.session().pause(seconds)

    async def aclose(self) -> None:
        """Report the last responses and close the connections, except those of your own client.

        A later call opens them again.
        """
        session, self._session = self._session, None
        if session is not None and not session.loop.is_closed():
            await session.aclose()

    def session(self) -> Session:
        """Return the session of the running loop.

        Raises:
            ConfigurationError: The limiter belongs to another loop.
        """
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            if self._session is not None and not self._session.loop.is_closed():
                raise ConfigurationError(
                    "This rate limiter belongs to another event loop. Create one with the same "
                    "name for each loop."
                )
            self._connection.forget()
            self._session = Session(self._connection, self.limit, self._timing)
        return self._session


class RedisSlot:
    """The slot of one call."""

    __slots__ = ("_limiter", "_priority", "_session", "_slot")

    def __init__(self, limiter: RedisRateLimiter, priority: Priority) -> None:
        self._limiter, self._priority = limiter, priority

    async def __aenter__(self) -> None:
        self._session = session = self._limiter.session()
        while True:
            waiter = session.enter(self._priority)
            try:
                grant = await waiter
            except asyncio.CancelledError:
                session.cancel(waiter)
                raise
            if session.loop.time() < grant.use_before:
                self._slot = grant.slot
                return
            # The program has blocked its loop for so long that Redis no longer counts the slot.
            session.give_back(grant.slot)

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        # Nothing is awaited here: a second cancel must not lose the slot.
        self._session.leave(self._slot, error if isinstance(error, TransportError) else None)


def _checked_name(name: object) -> str:
    if (
        not isinstance(name, str)
        or not name.strip()
        or not name.isprintable()
        or len(name) > _MAX_NAME_LENGTH
        or not {"{", "}"}.isdisjoint(name)
    ):
        raise invalid_setting("name", name, "a short printable name without { and }")
    return name
