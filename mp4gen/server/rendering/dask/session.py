"""The connection of a server and a Dask worker for one job: both ends of its protocol.

The server connects to the worker directly, so that no file goes through the scheduler, and sends
one request at a time. A file moves in chunks, each of which waits for the answer to the one before
it: neither end holds more than one in memory. The end of the connection ends the job.

    {"do": "begin"}                        answered when the job has a thread of the worker
    {"do": "put", "name": ..., "data": ...}    appends to a file of the job
    {"do": "render", "job": ...}           answered with the pickled result, or the error
    {"do": "get", "offset": ...}           a chunk of the video; empty at its end
"""

import asyncio
import contextlib
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from distributed.comm import CommClosedError
from distributed.core import connect

CHUNK_BYTES = 1 << 20
# The name of the handler of a worker.
OPERATION = "mp4gen-session"

Answer = dict[str, Any]
Handler = Callable[[dict[str, Any]], Awaitable[Answer]]


class SessionEndedError(OSError):
    """The other end of the connection is gone."""


class Session:
    """The server's end.

    Args:
        comm: The connection.
    """

    def __init__(self, comm: Any) -> None:
        self._comm = comm

    async def call(self, do: str, **values: Any) -> Answer:
        """Send one request, and return its answer.

        Raises:
            SessionEndedError: The worker is gone.
        """
        try:
            await self._comm.write({"do": do, **values})
            answer: Answer = await self._comm.read()
        except CommClosedError as error:
            raise SessionEndedError(str(error)) from error
        if "error" in answer:
            raise pickle.loads(answer["error"])  # noqa: S301 - as Dask does with all results
        return answer


@contextlib.asynccontextmanager
async def open_session(
    address: str, token: str, connection_args: dict[str, Any], timeout: float
) -> AsyncIterator[Session]:
    """Connect to the worker at `address` for the job `token`.

    Raises:
        OSError: The worker cannot be reached within `timeout` seconds.
    """
    comm = await connect(address, timeout=timeout, **connection_args)
    try:
        await comm.write({"op": OPERATION, "token": token, "reply": False})
        yield Session(comm)
    finally:
        comm.abort()


async def answer_requests(comm: Any, handle: Handler) -> None:
    """Answer all requests of a server until it closes the connection: the worker's end.

    A request is cancelled when the connection ends.
    """
    reading = asyncio.ensure_future(comm.read())
    try:
        while True:
            request = await reading
            reading = asyncio.ensure_future(comm.read())
            handling = asyncio.ensure_future(_answer(handle, request))
            try:
                await asyncio.wait({handling, reading}, return_when=asyncio.FIRST_COMPLETED)
                if not handling.done():
                    return
                await comm.write(handling.result())
            finally:
                await _end(handling)
    except CommClosedError:
        # The server is gone, or has what it wants.
        return
    finally:
        comm.abort()
        await _end(reading)


async def _answer(handle: Handler, request: dict[str, Any]) -> Answer:
    try:
        return await handle(request)
    except Exception as error:  # noqa: BLE001 - the server raises it
        return {"error": pickled(error)}


async def _end(future: asyncio.Future[Any]) -> None:
    future.cancel()
    await asyncio.wait({future})
    if not future.cancelled():
        future.exception()


def pickled(error: Exception) -> bytes:
    """Return an error as bytes, in a form that the server can read."""
    try:
        return pickle.dumps(error)
    except Exception:  # noqa: BLE001 - any error of a third party's class
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
