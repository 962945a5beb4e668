"""The slots that the workers of a Dask cluster offer to a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from mp4gen.server.config import ServerConfig
from mp4gen.server.rendering.pool import ProcessExecutor, WorkerSlot
from mp4gen.server.rendering.slots import RenderSlot
from mp4gen.server.troubles import ClusterAwayError
from mp4gen.version import package_version

from .connection import Cluster, ClusterWorker, connected
from .environment import Environment, read_environment
from .helpers import Helpers
from .slot import DaskSlot

log = logging.getLogger("mp4gen.server")
# Seconds between two checks of the cluster.
_CHECK_INTERVAL = 1.0


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
        self._taken: set[DaskSlot] = set()
        self._helpers = Helpers()
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
        free = [worker for worker in self._workers.values() if worker.free]
        worker = max(free, key=lambda one: (one.unused, one.free))
        if self._cluster is None:
            raise RuntimeError("There is no cluster.")
        if not worker.unused:
            self._helpers.make_room(worker)
        worker.renders += 1
        memory_limit = self._config.worker_memory_bytes
        slot = DaskSlot(self._cluster, worker, memory_limit=memory_limit, urgent=urgent)
        self._taken.add(slot)
        return slot

    def give_back(self, slot: RenderSlot) -> None:
        """Make a slot free for the next render."""
        if isinstance(slot, DaskSlot):
            slot.worker.renders -= 1
            self._taken.discard(slot)
            self._helpers.end_all_of(slot)
            if slot.has_lost_worker and self._workers.get(slot.worker.address) is slot.worker:
                # The scheduler may notice later; if it is still there, the next check finds it.
                del self._workers[slot.worker.address]

    def processes_for_one(self) -> int:
        """Return 1: idle workers help a long render by themselves."""
        return 1

    async def close(self) -> None:
        """Leave the cluster."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        while True:
            trouble = (
                f"The server cannot connect to the Dask scheduler {self._url}. Start it, or check "
                "--executor."
            )
            try:
                self._own = self._own or await _own_environment()
                async with connected(self._url) as self._cluster:
                    await self._use(self._cluster)
            except (OSError, TimeoutError) as error:
                log.debug("the Dask scheduler does not answer: %s", error)
            except Exception as error:  # noqa: BLE001 - Dask raises errors of all kinds
                reason = str(error).rstrip(".") or type(error).__name__
                trouble = (
                    f"The server cannot use the Dask cluster {self._url}: {reason}. Check "
                    "--executor and the configuration of Dask."
                )
            self._workers, self._refused, self._helpers = {}, {}, Helpers()
            self._set_trouble(trouble)
            await asyncio.sleep(_CHECK_INTERVAL)

    async def _use(self, cluster: Cluster) -> None:
        """Follow the workers of a cluster until the connection breaks."""
        while cluster.is_connected:
            await self._update(cluster)
            self._helpers.balance(cluster, [*self._workers.values()], self._taken)
            await asyncio.sleep(_CHECK_INTERVAL)

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
        log.info("dask worker=%s threads=%d", name, info["nthreads"])
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


async def _own_environment() -> Environment:
    # The renderer is not loaded into this process.
    slot = WorkerSlot(ProcessExecutor)
    try:
        return await slot.run(read_environment)
    finally:
        await slot.close()
