"""The connection of a server to a Dask cluster, and the slots that its workers offer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import attrs
from distributed import Client

from mp4gen.server.config import ServerConfig
from mp4gen.server.daemon_threads import DaemonThreads
from mp4gen.server.rendering.pool import ProcessExecutor, WorkerSlot
from mp4gen.server.rendering.slots import RenderSlot
from mp4gen.server.troubles import ClusterAwayError
from mp4gen.version import package_version

from . import job as worker_side
from .environment import Environment, read_environment
from .slot import DaskSlot

log = logging.getLogger("mp4gen.server")
T = TypeVar("T")

# Seconds between two checks of the cluster, and to wait for an answer of it.
_CHECK_INTERVAL, _TIMEOUT = 1.0, 10.0
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
    """

    address: str
    name: str
    threads: int
    environment: Environment
    renders: int = 0

    @property
    def free(self) -> int:
        """How many more renders may start."""
        return max(self.threads - self.renders, 0)


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

    async def close(self) -> None:
        """Close the connection; tasks that run are cancelled."""
        self._threads.shutdown()
        with contextlib.suppress(OSError, TimeoutError):
            await self._client.close(timeout=1)


class DaskSlots:
    """The threads of all workers of a cluster that have this version of mp4gen.

    Args:
        config: The settings.
    """

    def __init__(self, config: ServerConfig) -> None:
        # The workers are not processes of this server.
        self.pids: list[int] = []
        self._config = config
        self._url = str(config.executor)
        self._cluster: Cluster | None = None
        self._own: Environment | None = None
        self._workers: dict[str, ClusterWorker] = {}
        # Why each other worker is not used.
        self._refused: dict[str, str] = {}
        self._trouble: str | None = None
        self._is_examined = asyncio.Event()
        self._on_change: Callable[[], None] = lambda: None
        self._watching: asyncio.Task[None] | None = None

    @property
    def total(self) -> int:
        """How many renders may run at once now."""
        return sum(worker.threads for worker in self._workers.values())

    @property
    def free(self) -> int:
        """How many more may start now."""
        return sum(worker.free for worker in self._workers.values())

    @property
    def trouble(self) -> str | None:
        """Why no render can start, as a sentence; None if that is not known to be so."""
        return None if self._workers else self._trouble

    def start(self, on_change: Callable[[], None]) -> None:
        """Connect, now and after each loss, and call `on_change` when workers join or leave."""
        self._on_change = on_change
        self._watching = asyncio.create_task(self._watch())

    async def wait_until_ready(self) -> None:
        """Wait until the workers of the cluster are known.

        Raises:
            ClusterAwayError: There are none that can render, or the scheduler does not answer.
        """
        await self._is_examined.wait()
        if self.trouble is not None:
            raise ClusterAwayError(self.trouble)

    def take(self, *, urgent: bool) -> DaskSlot:
        """Return a slot of the worker with the most free threads."""
        worker = max(self._workers.values(), key=lambda one: one.free)
        if self._cluster is None:
            raise RuntimeError("There is no cluster.")
        worker.renders += 1
        memory_limit = self._config.worker_memory_bytes
        return DaskSlot(self._cluster, worker, memory_limit=memory_limit, urgent=urgent)

    def give_back(self, slot: RenderSlot) -> None:
        """Make a slot free for the next render."""
        if isinstance(slot, DaskSlot):
            slot.worker.renders -= 1

    def processes_for_one(self) -> int:
        """Return 1: other workers help a long render as long as they have nothing else to do."""
        return 1

    async def close(self) -> None:
        """Leave the cluster."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        slot = WorkerSlot(ProcessExecutor)
        try:
            # The renderer is not loaded into this process.
            self._own = await slot.run(read_environment)
        finally:
            await slot.close()
        while True:
            try:
                async with self._connected() as cluster:
                    while cluster.is_connected:
                        await self._update(cluster)
                        await asyncio.sleep(_CHECK_INTERVAL)
            except (OSError, TimeoutError) as error:
                log.debug("the Dask scheduler does not answer: %s", error)
            self._set_trouble(
                f"The server cannot connect to the Dask scheduler {self._url}. Start it, or check "
                "--executor."
            )
            await asyncio.sleep(_CHECK_INTERVAL)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Cluster]:
        address = self._url.replace("dask+tls://", "tls://").replace("dask://", "tcp://")
        client = await Client(
            address, asynchronous=True, timeout=_TIMEOUT, set_as_default=False, name="mp4gen"
        )
        self._cluster = Cluster(client)
        try:
            yield self._cluster
        finally:
            self._workers, self._refused = {}, {}
            await self._cluster.close()

    async def _update(self, cluster: Cluster) -> None:
        """Take on workers that have joined, and forget those that have left."""
        found = await cluster.workers()
        left = (self._workers.keys() | self._refused) - found.keys()
        for address in left:
            self._workers.pop(address, None)
            self._refused.pop(address, None)
        joined = [one for one in found if one not in self._workers and one not in self._refused]
        await asyncio.gather(*(self._take_on(cluster, one, found[one]) for one in joined))
        if left or joined:
            self._on_change()
        refused = next(iter(self._refused.values()), None)
        self._set_trouble(refused or f"The Dask cluster {self._url} has no workers. Start one.")

    async def _take_on(self, cluster: Cluster, address: str, info: dict[str, Any]) -> None:
        """Examine a worker, and use it or say why not."""
        name = str(info.get("name") or address)
        try:
            environment = await cluster.set_up(address)
        except (OSError, TimeoutError) as error:
            # It has left, or is busy: the next check asks again.
            log.debug("the Dask worker %s does not answer: %s", name, error)
            return
        except Exception as error:  # noqa: BLE001 - whatever its environment lacks
            self._refuse(
                address,
                f"The Dask worker {name} cannot render: {error}. Install mp4gen[server,dask] "
                f"{package_version()} there.",
            )
            return
        own = self._own
        if own is None or environment.version != own.version:
            self._refuse(
                address,
                f"The Dask worker {name} has mp4gen {environment.version}, and the server has "
                f"{package_version()}. Install the same version on both.",
            )
            return
        self._workers[address] = ClusterWorker(address, name, info["nthreads"], environment)
        log.info("dask worker=%s threads=%d renders", name, info["nthreads"])
        for difference in environment.differences(own):
            log.warning("The Dask worker %s %s", name, difference)

    def _refuse(self, address: str, reason: str) -> None:
        self._refused[address] = reason
        log.warning("%s", reason)

    def _set_trouble(self, trouble: str) -> None:
        was, self._trouble = self.trouble, trouble
        self._is_examined.set()
        if self.trouble != was:
            if self.trouble is not None:
                log.error("%s", trouble)
            self._on_change()
