"""One connection of a server to a Dask scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import attrs
from distributed import Client
from distributed.security import Security

from mp4gen.errors import ConfigurationError
from mp4gen.server.daemon_threads import DaemonThreads

from . import job as worker_side
from .environment import Environment

T = TypeVar("T")

# Seconds to wait for an answer of the scheduler or of a worker.
_TIMEOUT = 10.0
# Files that are read at once from folders that may hang.
_FILE_THREADS = 16


@attrs.define(eq=False)
class ClusterWorker:
    """One worker that can render.

    Attributes:
        address: Where it listens.
        name: Its name in sentences.
        threads: How many jobs it runs at once.
        environment: What it renders with.
        renders: How many renders of this server it has.
        helpers: How many helpers of this server's other renders it has.
    """

    address: str
    name: str
    threads: int
    environment: Environment
    renders: int = 0
    helpers: int = 0

    @property
    def free(self) -> int:
        """How many more renders may start: helpers make room."""
        return max(self.threads - self.renders, 0)

    @property
    def unused(self) -> int:
        """How many threads have neither a render nor a helper."""
        return max(self.threads - self.renders - self.helpers, 0)


class Cluster:
    """One connection to a scheduler, until it breaks.

    Args:
        client: The connected client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._receivers: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._threads = DaemonThreads(_FILE_THREADS, "mp4gen-files")
        client.subscribe_topic(worker_side.TOPIC, self._receive)

    @property
    def connection_args(self) -> dict[str, Any]:
        """What a connection to a worker needs, such as certificates."""
        return dict(self._client.connection_args)

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")

    async def workers(self) -> dict[str, dict[str, Any]]:
        """Return all workers by their addresses, as the scheduler describes them."""
        async with asyncio.timeout(_TIMEOUT):
            identity = await self._client.scheduler.identity(n_workers=-1)
        return dict(identity["workers"])

    async def set_up(self, address: str) -> Environment:
        """Prepare a worker for jobs, and return what it renders with."""
        async with asyncio.timeout(3 * _TIMEOUT):
            answers = await self._client.run(worker_side.set_up, workers=[address])
        return Environment(**answers[address])

    def submit(self, func: Callable[..., object], *args: Any, **options: Any) -> Any:
        """Submit a task that runs once, on the given workers only, and return its future."""
        return self._client.submit(
            func, *args, pure=False, retries=0, allow_other_workers=False, **options
        )

    @contextlib.contextmanager
    def receiving(self, token: str, receive: Callable[[dict[str, Any]], None]) -> Iterator[None]:
        """Call `receive` with each report of a job."""
        self._receivers[token] = receive
        try:
            yield
        finally:
            del self._receivers[token]

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        message = event[1]
        if receive := self._receivers.get(message["token"]):
            receive(message)

    async def in_thread(self, func: Callable[..., T], *args: Any) -> T:
        """Return `func(*args)`, which may hang."""
        return await asyncio.wrap_future(self._threads.submit(func, *args))

    def close_later(self, file: Any) -> None:
        """Close a file, which may hang."""
        self._threads.submit(file.close)

    def end_threads(self) -> None:
        """End the threads that do not hang."""
        self._threads.shutdown()


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Cluster]:
    """Yield a connection to the scheduler that the setting `executor` names.

    Raises:
        OSError: It cannot be reached, as with `TimeoutError`.
    """
    # The server logs what happens to its tasks; Dask would write lines of its own to stderr.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    address = url.replace("dask+tls://", "tls://").replace("dask://", "tcp://")
    client = Client(
        address, asynchronous=True, timeout=_TIMEOUT, set_as_default=False, name="mp4gen"
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(_close, client)
        cluster = Cluster(await client)
        stack.callback(cluster.end_threads)
        yield cluster


async def _close(client: Client) -> None:
    """Close a connection, also one that failed to open; tasks that run are cancelled."""
    with contextlib.suppress(OSError, TimeoutError):
        await client.close(timeout=1)


def check_certificates() -> None:
    """Check that Dask is configured for TLS, as `dask+tls://` needs it.

    Raises:
        ConfigurationError: It is not.
    """
    reason = "there are none"
    try:
        if Security().get_connection_args("client")["ssl_context"] is not None:
            return
    except OSError as error:
        reason = error.strerror or str(error)
    raise ConfigurationError(
        f"The certificates for dask+tls cannot be used: {reason}. Set the variables "
        "DASK_DISTRIBUTED__COMM__TLS__* with CA_FILE, CLIENT__CERT and CLIENT__KEY."
    )
