"""The connection of a server and a Dask worker for one job: both ends, in one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed.comm import listen

from mp4gen.errors import RenderError
from mp4gen.server.rendering.dask.session import (
    CHUNK_BYTES,
    Session,
    SessionEndedError,
    answer_requests,
    open_session,
)


@asynccontextmanager
async def sessions(handle: Any) -> AsyncIterator[str]:
    """Yield the address of a worker that answers requests with `handle`."""
    ended: list[asyncio.Task[None]] = []

    async def serve(comm: Any) -> None:
        ended.append(asyncio.current_task())
        await comm.read()
        await answer_requests(comm, handle)

    listener = await listen("tcp://127.0.0.1", serve)
    try:
        yield listener.contact_address
    finally:
        listener.stop()
        await asyncio.wait(ended)


def connected(address: str) -> Any:
    """Return a session with a worker."""
    return open_session(address, "job", {}, timeout=5)


async def test_chunk_arrives_as_it_was_sent() -> None:
    """Music and videos are any bytes."""
    chunk = bytes(range(256)) * (CHUNK_BYTES // 256)

    async def echo(request: dict[str, Any]) -> dict[str, Any]:
        return {"data": request["data"]}

    async with sessions(echo) as address, connected(address) as session:
        assert (await session.call("put", data=chunk))["data"] == chunk


async def test_error_of_the_worker_is_raised_by_the_server() -> None:
    """An error keeps its class, so that a song's fault stays one; any other one has its name."""

    class OddError(Exception):
        def __reduce__(self) -> Any:
            raise TypeError

    errors = iter([RenderError("Bad music."), OddError("odd")])

    async def fail(_: dict[str, Any]) -> dict[str, Any]:
        raise next(errors)

    async with sessions(fail) as address, connected(address) as session:
        with pytest.raises(RenderError, match=r"^Bad music\.$"):
            await session.call("render")
        with pytest.raises(RuntimeError, match=r"^OddError: odd$"):
            await session.call("render")


async def test_end_of_the_server_cancels_the_request() -> None:
    """A server that was killed leaves no render behind."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def render(_: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with sessions(render) as address:
        async with connected(address) as session:
            call = asyncio.create_task(session.call("render"))
            await begun.wait()
        await cancelled.wait()
        with pytest.raises(SessionEndedError):
            await call


async def test_end_of_the_worker_ends_the_call() -> None:
    """The server notices at once that the worker is gone."""
    ended: list[Session] = []

    async def die(_: dict[str, Any]) -> dict[str, Any]:
        raise asyncio.CancelledError

    async with sessions(die) as address, connected(address) as session:
        ended.append(session)
        with pytest.raises(SessionEndedError):
            await session.call("render")
