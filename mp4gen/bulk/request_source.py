"""Pull the requests of a bulk run lazily from any iterable, and close it when the run ends."""

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from mp4gen.errors import ConfigurationError
from mp4gen.models import Track, VideoRequest, to_video_request

VideoRequests = Iterable[VideoRequest | Track] | AsyncIterable[VideoRequest | Track]

# Requests of a plain iterable that are pulled at once.
BATCH_SIZE = 10
_END: Any = object()


class RequestSource:
    """The requests of one run. A plain iterable is pulled on the event loop, so it must not block.

    Args:
        requests: The user's iterable.
    """

    def __init__(self, requests: VideoRequests) -> None:
        self._requests = requests
        self._async_iterator: AsyncIterator[VideoRequest | Track] | None = None
        self._batches: Iterator[list[VideoRequest]] | None = None
        self._pulled = 0

    async def next_batch(self, stopping: asyncio.Event) -> list[VideoRequest] | None:
        """Return the next requests; None at their end or if `stopping` is set first.

        An error of the iterable comes after the requests before it.

        Raises:
            ConfigurationError: An item is invalid, or a cancel ended the iterable.
        """
        if isinstance(self._requests, AsyncIterable):
            request = await self._pull(self._requests, stopping)
            return None if request is _END else [self._checked(request)]
        self._batches = self._batches or self._plain_batches(self._requests)
        return next(self._batches, None)

    async def aclose(self) -> None:
        """Close the user's async generator, so that its `finally` blocks run now."""
        generator = self._async_iterator or self._requests
        if inspect.isasyncgen(generator):
            await generator.aclose()

    async def _pull(self, requests: AsyncIterable[Any], stopping: asyncio.Event) -> Any:
        """Return the next item, or `_END` if there is none or `stopping` is set first."""
        self._async_iterator = self._async_iterator or aiter(requests)
        loop = asyncio.get_running_loop()
        pull = loop.create_task(_anext(self._async_iterator))
        stop = loop.create_task(stopping.wait())
        try:
            await asyncio.wait({pull, stop}, return_when=asyncio.FIRST_COMPLETED)
            ended_by_itself = pull.done()
        finally:
            pull.cancel()
            stop.cancel()
            await asyncio.wait({pull, stop})
            if not pull.cancelled():
                # Retrieved, also if this call is cancelled.
                pull.exception()
        if not pull.cancelled():
            return pull.result()
        if ended_by_itself:
            raise self._cancelled_error()
        return _END

    def _plain_batches(self, requests: Iterable[Any]) -> Iterator[list[VideoRequest]]:
        batch: list[VideoRequest] = []
        try:
            for request in requests:
                batch.append(self._checked(request))
                if len(batch) == BATCH_SIZE:
                    full_batch, batch = batch, []
                    yield full_batch
        except asyncio.CancelledError as error:
            # Nothing else can cancel code that does not await.
            raise self._cancelled_error() from error
        finally:
            if batch:
                yield batch

    def _checked(self, request: object) -> VideoRequest:
        if not isinstance(request, VideoRequest | Track):
            raise ConfigurationError(
                f"Invalid request: {type(request).__name__}. Pass VideoRequest values to "
                "convert_many."
            )
        self._pulled += 1
        return to_video_request(request)

    def _cancelled_error(self) -> ConfigurationError:
        return ConfigurationError(
            f"The requests were cancelled after {self._pulled} of them, so that the rest is "
            "missing. Correct what cancels the iterable, then run again."
        )


async def _anext(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator, _END)
