"""One attempt to send a request: past the breakers, through a slot, to the API; never retries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import HttpResponse

from .http import Delivery
from .retry_loop import RetryLoop

if TYPE_CHECKING:
    from .caller import ApiCaller, CallOptions
    from .circuit_breaker import CircuitBreaker
    from .slots import CallSlot

T = TypeVar("T")


@attrs.define(eq=False, repr=False)
class Attempt(Generic[T]):
    """One attempt of a call; the arguments are those of `ApiCaller.send`."""

    caller: ApiCaller
    request: ApiRequest
    parse: Callable[[HttpResponse], T]
    call_options: CallOptions
    retry_loop: RetryLoop | None
    timeout: float | None
    on_start: Callable[[], Awaitable[None] | None] | None
    delivery: Delivery
    polite: bool

    async def run(self) -> tuple[T, float | None]:
        """Send the request once; returns and raises as `ApiCaller.send`.

        While it waits for its slot, only this frame is suspended: 10,000 may wait.
        """
        while True:
            if self.call_options.retry_forever:
                await self.caller.confirm_outage()
            async with self.caller.breakers.permit(
                self._blocking_breaker(), self.call_options, self.retry_loop
            ) as probe:
                if probe and not await self._may_probe():
                    continue
                slot = self._slot()
                try:
                    if (granted := slot.enter()) is not None:
                        await granted
                    slot.end_turn()
                    if probe or not self._is_held_back():
                        if self.on_start is not None and (started := self.on_start()) is not None:
                            await started
                        return await self._exchange(is_probe=probe)
                finally:
                    if (left := slot.leave()) is not None:
                        await left

    def _blocking_breaker(self) -> CircuitBreaker | None:
        return self.caller.breakers.blocking(self.request, self.call_options, self.retry_loop)

    async def _may_probe(self) -> bool:
        return not self.call_options.retry_forever or await self.caller.may_probe(self.request)

    def _slot(self) -> CallSlot:
        loop = self.retry_loop
        # A call that fails again and again must not take the slots of those that succeed.
        polite = self.polite or (loop is not None and loop.failures > 1)
        return self.caller.slots.slot(
            self.call_options.priority,
            self.delivery,
            limited=self.request.rate_limited,
            polite=polite,
            max_wait=loop.remaining if polite and loop is not None else None,
        )

    def _is_held_back(self) -> bool:
        """Return whether a breaker has opened, or is about to, while the call had to wait."""
        if self._blocking_breaker() is not None:
            return True
        breaker = self.caller.circuit_breaker
        return self.call_options.retry_forever and breaker.has_common_failures

    def _exchange(self, *, is_probe: bool) -> Coroutine[Any, Any, tuple[T, float | None]]:
        return self.caller.exchange(
            self.request,
            self.parse,
            self.timeout,
            self.delivery,
            is_probe=is_probe,
            may_trip=not self.call_options.retry_forever,
        )
