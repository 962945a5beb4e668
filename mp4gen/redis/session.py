"""The session of one process and event loop with Redis: one task makes all exchanges.

Calls queue here, in order. The task ends when no call needs it; then the process costs Redis
nothing. All waiting is loop time.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from mp4gen.errors import ConfigurationError, TransportError
from mp4gen.options import RateLimit
from mp4gen.transport.rate_limit import Priority
from mp4gen.transport.sleeper import WakeableSleep
from mp4gen.transport.unexpected import unexpected_error

from .connection import RedisAwayError, RedisConnection
from .exchange import Reply, Request
from .outage import Outage
from .own_slots import OwnSlots
from .timing import Timing
from .waiting_calls import Grant, Waiter, WaitingCalls

_log = logging.getLogger("mp4gen.redis")

# Redis forgets an unused limiter after ten minutes. That is no loss of data.
_REMEMBER_EPOCH = 300.0
_CLOSE_TIMEOUT = 1.0
_MARGIN = 0.0005


class Session:
    """The slots and the waiting calls of one process.

    Args:
        connection: Runs the script.
        limit: The limit of the account.
        timing: The times of the limiter.
    """

    def __init__(self, connection: RedisConnection, limit: RateLimit, timing: Timing) -> None:
        self._connection, self._limit, self._timing = connection, limit, timing
        self._loop = asyncio.get_running_loop()
        self._id = secrets.token_hex(6)
        self._waiting = WaitingCalls()
        self._slots = OwnSlots(timing)
        self._exchanges, self._granted_alone = 0, 0
        self._epoch, self._processes = 0, 1
        self._joined_at, self._last_exchange = 0.0, float("-inf")
        self._next_exchange = 0.0
        # What Redis knows of the waiting calls: whether there are some of each priority.
        self._known_queues = (False, False)
        self._paused_until, self._unsent_pause = float("-inf"), False
        self._single_flight, self._is_out_of_date, self._must_register = False, True, False
        self._outage: Outage | None = None
        self._task: asyncio.Task[None] | None = None
        self._sleep: WakeableSleep | None = None
        self._is_closing = self._is_closed = False

    def __repr__(self) -> str:
        return f"{len(self._slots.held)} held, {sum(self._waiting.lengths)} waiting"

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the session."""
        return self._loop

    def enter(self, priority: Priority) -> Waiter:
        """Queue for a slot."""
        waiter: Waiter = self._loop.create_future()
        # If others wait already, Redis has said when to ask again.
        self._wake(is_urgent=self._waiting.add(priority, waiter))
        return waiter

    def cancel(self, waiter: Waiter) -> None:
        """Stop waiting; a slot that was granted meanwhile is free again."""
        if not waiter.cancel() and not waiter.cancelled() and waiter.exception() is None:
            self.give_back(waiter.result().slot)
        else:
            self._wake(is_urgent=False)

    def give_back(self, slot: str) -> None:
        """Free a slot with which nothing was sent."""
        self._slots.give_back(slot)
        self._wake(is_urgent=True)

    def leave(self, slot: str, error: TransportError | None) -> None:
        """Let a slot rest after the response of its call; `error` is that of one without."""
        if error is not None and not error.sent:
            self.give_back(slot)
            return
        now = self._loop.time()
        pending = error.pending if error is not None else 0.0
        period = self._timing.period
        if self._outage is not None and self._outage.shares(now):
            period = max(period, self._outage.share.per)
        self._slots.rest(slot, now + pending + period)
        if now >= self._paused_until:
            self._single_flight = False
        self._wake(is_urgent=True)

    def pause(self, seconds: float) -> None:
        """Hold back the calls of all processes; the end only moves forward."""
        self._paused_until = max(self._paused_until, self._loop.time() + seconds)
        self._single_flight = self._unsent_pause = True
        self._wake(is_urgent=True)

    async def aclose(self) -> None:
        """Report what Redis does not know, leave the limiter and close the connections.

        Calls that still wait fail.
        """
        self._is_closing = True
        if self._task is not None:
            self._wake(is_urgent=True)
            await asyncio.wait([self._task], timeout=_CLOSE_TIMEOUT)
            self._task.cancel()
            await asyncio.wait([self._task])
        self._is_closed = True
        self._waiting.fail(_closed_error())
        await self._connection.aclose()

    def _wake(self, *, is_urgent: bool) -> None:
        """Let the task look again; make it exchange at once if `is_urgent`."""
        if is_urgent and self._outage is None:
            self._is_out_of_date = True
        if self._is_closed:
            self._waiting.fail(_closed_error())
        elif self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run(), name="mp4gen-redis")
        elif self._sleep is not None:
            self._sleep.wake()

    async def _run(self) -> None:
        try:
            while self._has_work():
                await self._exchange_if_due()
                self._grant_own_share()
                delay = self._next_step() - self._loop.time()
                if delay > 0 and self._has_work():
                    self._sleep = WakeableSleep(delay)
                    await self._sleep
                    self._sleep = None
        except Exception as error:  # noqa: BLE001 - the calls would wait for ever
            self._waiting.fail(unexpected_error(error))

    def _has_work(self) -> bool:
        self._waiting.drop_cancelled()
        if self._waiting or self._slots.held:
            return True
        if self._outage is not None:
            # The share counts from the beginning of the outage, also for later calls.
            return not self._is_closing
        news = self._slots.has_news or self._unsent_pause or any(self._known_queues)
        return news or (self._is_closing and self._last_exchange > float("-inf"))

    def _next_step(self) -> float:
        """Return the loop time at which there is something to do, if nothing happens before."""
        now = self._loop.time()
        if self._outage is None:
            return now if self._is_out_of_date else self._next_exchange
        if not self._waiting:
            return self._next_exchange
        if not self._outage.shares(now):
            return min(self._next_exchange, self._outage.shares_at)
        if now < self._paused_until:
            return min(self._next_exchange, self._paused_until)
        return min(self._next_exchange, self._slots.next_free() or self._next_exchange)

    async def _exchange_if_due(self) -> None:
        is_urgent = self._is_out_of_date and self._outage is None
        if not is_urgent and self._loop.time() < self._next_exchange:
            return
        self._is_out_of_date = False
        try:
            await self._exchange()
        except RedisAwayError as error:
            self._go_on_alone(str(error))
        except ConfigurationError as error:
            if self._last_exchange == float("-inf") and self._outage is None:
                self._waiting.fail(error)
            else:
                self._go_on_alone(str(error))

    async def _exchange(self) -> None:
        request = self._request()
        values = await self._connection.run(request.arguments(), self._timing.timeout)
        self._apply(request, Reply.of(values))

    def _request(self) -> Request:
        now = self._loop.time()
        unknown_since = now - self._last_exchange
        if unknown_since > self._timing.lease:
            self._joined_at = now
        if unknown_since > _REMEMBER_EPOCH:
            self._epoch = 0
        joins = self._outage is not None or unknown_since > self._timing.lease / 2
        self._exchanges += 1
        interactive, bulk = self._waiting.lengths
        is_idle = not (interactive or bulk or self._slots.held)
        return Request(
            sent_at=now,
            process=self._id,
            number=self._exchanges,
            epoch=self._epoch,
            joins=joins,
            returns=self._outage is not None and self._outage.shares(now),
            leaves=self._is_closing and is_idle,
            limit=self._limit,
            timing=self._timing,
            paused_until=self._paused_until if self._unsent_pause else float("-inf"),
            waiting=(interactive, bulk),
            states=self._slots.report(now, everything=joins or self._must_register),
        )

    def _apply(self, request: Request, reply: Reply) -> None:
        now = self._loop.time()
        self._slots.reported(request.states, request.sent_at)
        # A longer pause may have begun meanwhile.
        self._unsent_pause = self._unsent_pause and self._paused_until > request.paused_until
        self._must_register = request.epoch not in {0, reply.epoch} and not request.joins
        self._epoch, self._processes = reply.epoch, reply.processes
        self._last_exchange = float("-inf") if request.leaves else request.sent_at
        # As long after this request as the reply says: both take the same time to arrive. A little
        # later, because a request that comes too early is made twice.
        margin = (now - request.sent_at) / 10 + _MARGIN
        self._next_exchange = request.sent_at + reply.wait + margin
        self._end_outage()
        self._grant(request.slots(reply.granted), request.sent_at)
        self._known_queues = request.still_waiting(reply.granted)
        is_unknown = self._known_queues != tuple(map(bool, self._waiting.lengths))
        if self._must_register or (self._waiting and is_unknown):
            self._is_out_of_date = True

    def _grant(self, slots: list[str], since: float) -> None:
        """Give slots whose lease began at `since` to the calls that wait."""
        is_paused = self._loop.time() < self._paused_until
        for slot in slots:
            waiter = None if is_paused else self._waiting.pop()
            if waiter is None:
                self.give_back(slot)
            else:
                self._slots.hold(slot, since, reported=True)
                waiter.set_result(Grant(slot, since + self._timing.lease))

    def _grant_own_share(self) -> None:
        """Without Redis, let calls go within the share of this process."""
        now, outage = self._loop.time(), self._outage
        if outage is None or not outage.shares(now) or now < self._paused_until:
            return
        while self._slots.taken(now) < outage.share.requests:
            if self._single_flight and self._slots.held:
                return
            if (waiter := self._waiting.pop()) is None:
                return
            self._granted_alone += 1
            slot = f"{self._id}:alone:{self._granted_alone}"
            self._slots.hold(slot, now, reported=False)
            waiter.set_result(Grant(slot, now + self._timing.lease))

    def _go_on_alone(self, reason: str) -> None:
        now, timing = self._loop.time(), self._timing
        self._next_exchange = now + timing.probe_interval
        if self._outage is not None:
            return
        # All others have noticed this process since it joined, and it them.
        is_known = (
            self._last_exchange - self._joined_at >= 2 * timing.heartbeat
            and now - self._last_exchange <= timing.lease
        )
        self._outage = Outage.begin(now, timing, self._limit, self._processes if is_known else None)
        _log.warning(
            "No rate limit from Redis at %s: %s %s",
            self._connection.address,
            reason,
            self._outage.describe(),
        )

    def _end_outage(self) -> None:
        if self._outage is not None:
            self._outage = None
            _log.info("Redis at %s is back.", self._connection.address)


def _closed_error() -> ConfigurationError:
    return ConfigurationError(
        "This rate limiter was closed while a call waited. Close it after its clients."
    )
