"""One call that costs nothing: sent until it succeeds, gives up or passes its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import HttpResponse
from mp4gen.errors import Mp4GenError, RequestTimeoutError

from .http import Delivery
from .retry_loop import RetryLoop
from .unexpected import unexpected_error

if TYPE_CHECKING:
    from .caller import ApiCaller, CallOptions

T = TypeVar("T")


class RetriedCall(Generic[T]):
    """A call and its retries; the arguments are those of `ApiCaller.send_with_retries`."""

    __slots__ = ("_call_options", "_caller", "_delivery", "_parse", "_request", "_retry_loop")

    def __init__(
        self,
        caller: ApiCaller,
        request: ApiRequest,
        parse: Callable[[HttpResponse], T],
        call_options: CallOptions,
    ) -> None:
        self._caller, self._request, self._parse = caller, request, parse
        self._call_options = call_options
        self._retry_loop: RetryLoop | None = None
        self._delivery: Delivery | None = None

    async def run(self) -> T:
        """Send the request until it succeeds; raise the last failure."""
        try:
            while True:
                self._delivery = Delivery()
                try:
                    value, _ = await self._caller.send(
                        self._request,
                        self._parse,
                        self._call_options,
                        retry_loop=self._retry_loop,
                        delivery=self._delivery,
                    )
                except Mp4GenError as error:
                    if self._retry_loop is None:
                        self._retry_loop = RetryLoop(
                            self._caller, self._request, self._call_options
                        )
                    await self._retry_loop.wait(error)
                else:
                    return value
        except Mp4GenError:
            raise
        except Exception as error:
            raise unexpected_error(error) from error

    def run_within(self, seconds: float) -> Coroutine[Any, Any, T]:
        """Run until a deadline.

        Raises:
            RequestTimeoutError: The deadline passed.
            Mp4GenError: The last failure before it.
        """
        return before_deadline(seconds, self.run(), lambda: self._late_error(seconds))

    def _late_error(self, seconds: float) -> RequestTimeoutError:
        sent = self._delivery is not None and self._delivery.head_sent
        return late_error(seconds, self._retry_loop, sent=sent)


async def before_deadline(
    seconds: float, work: Coroutine[Any, Any, T], error: Callable[[], Mp4GenError]
) -> T:
    """Return the result of `work`; after `seconds`, cancel it and raise `error()`."""
    until = asyncio.timeout(seconds)
    try:
        async with until:
            return await work
    except TimeoutError:
        if not until.expired():
            raise
    # Raised here, so that the context is the last failure and not the cancel.
    raise error()


def late_error(seconds: float, retry_loop: RetryLoop | None, *, sent: bool) -> RequestTimeoutError:
    """Return the error of a call whose deadline passed.

    Args:
        seconds: The time that the call had.
        retry_loop: The retries of the call, or None before its first failure.
        sent: Whether its last attempt may have reached the server.
    """
    failure = retry_loop.last_error if retry_loop is not None else None
    if failure is not None:
        reason = f"the last attempt failed. {failure}"
    elif sent:
        reason = "the server has not responded. Call again, or allow more time."
    else:
        reason = "the call was not sent yet. Wait for the rate limit, or check the connection."
    error = RequestTimeoutError(f"No result within {seconds:g} s: {reason}", sent=sent)
    error.__cause__ = failure
    return error
