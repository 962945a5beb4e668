"""Lets idle workers of a cluster help with a long render: they encode pieces of its video.

A helper is a Dask task of the server. Its process and the one of the render speak as two processes
of one machine do, by messages that the two workers pass on:

    render <- socket -> its worker <- Dask connection -> helper's worker <- socket -> helper
"""

import asyncio
import contextlib
import shutil
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

from distributed import get_worker
from distributed.comm import CommClosedError
from distributed.core import Status, connect

from mp4gen.render.socket_path import short_path
from mp4gen.server.rendering import worker
from mp4gen.server.rendering.pool import WorkerSlot

from .idle_slots import idle_slot
from .tasks import until_cancelled

# The name of the handler of a worker.
OPERATION = "mp4gen-pieces"
_CONNECT_TIMEOUT = 10.0
# The length of a message, as `multiprocessing.connection` writes it: a negative one, and a longer
# number, if it has more than 2 GB, which no piece has.
_LENGTH = struct.Struct("!i")


async def help_render(
    token: str, address: str, job: str, memory_limit: int, cpu_seconds: float
) -> None:
    """Encode pieces for a job of another worker until it needs no more: a Dask task."""
    dask_worker = get_worker()
    comm = await connect(address, timeout=_CONNECT_TIMEOUT, **dask_worker.connection_args)
    folder = await asyncio.to_thread(new_folder, dask_worker.local_directory)
    try:
        await comm.write({"op": OPERATION, "token": job, "reply": False})
        with idle_slot(memory_limit) as slot:
            helping = asyncio.create_task(_encode(comm, folder / "socket", slot, cpu_seconds))
            await until_cancelled(dask_worker, token, helping)
            if not helping.done():
                slot.kill()
                helping.cancel()
                await asyncio.wait({helping})
    finally:
        comm.abort()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def new_folder(parent: str) -> Path:
    """Make a folder for one task below the folder of a worker."""
    return Path(tempfile.mkdtemp(prefix="mp4gen-", dir=parent)).resolve()


async def _encode(comm: Any, address: Path, slot: WorkerSlot, cpu_seconds: float) -> None:
    """Let a process encode, and pass its messages on, until either end is gone."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _relay(comm, reader, writer)

    # Windows has no such sockets, and so its renders ask for no help.
    if sys.platform != "win32":
        with short_path(address) as path:
            server = await asyncio.start_unix_server(pass_on, path)
        async with server:
            await slot.run(worker.encode_pieces, address, cpu_seconds)


async def serve_helper(comm: Any, address: Path) -> Status:
    """Connect a helper with the render whose socket is at `address`."""
    if sys.platform != "win32":
        # The render may have ended.
        with contextlib.suppress(OSError):
            with short_path(address) as path:
                reader, writer = await asyncio.open_unix_connection(path)
            await _relay(comm, reader, writer)
    comm.abort()
    return Status.dont_reply


async def _relay(comm: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass messages on in both directions until one end is gone.

    Only whole messages are written, so that the process here never waits in the middle of one.
    """
    directions = [
        asyncio.ensure_future(_send(comm, reader)),
        asyncio.ensure_future(_receive(comm, writer)),
    ]
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in directions:
            one.cancel()
        await asyncio.wait(directions)
        writer.close()
        comm.abort()


async def _send(comm: Any, reader: asyncio.StreamReader) -> None:
    try:
        while True:
            length = await reader.readexactly(_LENGTH.size)
            await comm.write(length + await reader.readexactly(_LENGTH.unpack(length)[0]))
    except (asyncio.IncompleteReadError, OSError):
        return


async def _receive(comm: Any, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            writer.write(await comm.read())
            await writer.drain()
    except (CommClosedError, OSError):
        return
