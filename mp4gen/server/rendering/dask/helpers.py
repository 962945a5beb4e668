"""Gives threads that have no render to the long renders that run; starts no render."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import attrs

from mp4gen.server.data_dir import random_token

from .pieces import help_render

if TYPE_CHECKING:
    from .connection import Cluster, ClusterWorker
    from .slot import DaskSlot

log = logging.getLogger("mp4gen.server")

# After every render of any server.
_PRIORITY = -10


@attrs.frozen(eq=False)
class _Helper:
    """One task that encodes pieces on `worker` for the render of `slot`."""

    worker: ClusterWorker
    slot: DaskSlot
    future: Any


class Helpers:
    """The helpers of one server."""

    def __init__(self) -> None:
        self._running: list[_Helper] = []

    def balance(
        self,
        cluster: Cluster,
        workers: Collection[ClusterWorker],
        slots: Collection[DaskSlot],
    ) -> None:
        """Let every unused thread help the render that has the fewest helpers of those it wants."""
        for helper in list(self._running):
            if helper.worker in workers and helper.future.status == "pending":
                continue
            if helper.future.status == "error":
                log.debug("helper on worker=%s failed", helper.worker.name)
                helper.slot.useless_helpers.add(helper.worker.address)
            self._end(helper)
        for worker in workers:
            while worker.unused and (slot := self._most_in_need(worker, slots)):
                self._start(cluster, worker, slot)

    def make_room(self, worker: ClusterWorker) -> None:
        """End one helper on a worker, which gets a render."""
        if helper := next((one for one in self._running if one.worker is worker), None):
            self._end(helper)

    def end_all_of(self, slot: DaskSlot) -> None:
        """End the helpers of a render that has ended."""
        for helper in [one for one in self._running if one.slot is slot]:
            self._end(helper)

    def _most_in_need(self, worker: ClusterWorker, slots: Collection[DaskSlot]) -> DaskSlot | None:
        counts = {slot: sum(one.slot is slot for one in self._running) for slot in slots}
        # Other fonts or packages would draw other pictures within one video.
        candidates = [
            slot
            for slot, count in counts.items()
            if count < slot.wanted_helpers
            and slot.worker.environment == worker.environment
            and worker.address not in slot.useless_helpers
        ]
        return min(candidates, key=lambda slot: counts[slot], default=None)

    def _start(self, cluster: Cluster, worker: ClusterWorker, slot: DaskSlot) -> None:
        token = f"mp4gen-helper-{random_token()}"
        future = cluster.submit(
            help_render,
            token,
            *slot.help_arguments(),
            key=token,
            workers=[worker.address],
            priority=_PRIORITY,
        )
        worker.helpers += 1
        self._running.append(_Helper(worker, slot, future))

    def _end(self, helper: _Helper) -> None:
        self._running.remove(helper)
        helper.worker.helpers -= 1
        # The worker ends a task whose result is not needed any more.
        helper.future.release()
