"""Shares slots between owners, so that no owner takes them all; no I/O and no clock."""

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator


class SharedSlots:
    """Slots that owners hold for a while.

    A free slot goes to the waiting owner that holds the fewest; among equal ones, to the first.

    Args:
        per_owner: Maximum number of slots of one owner.
        total: Maximum number of slots of all owners; None for no maximum.
    """

    def __init__(self, per_owner: int, total: int | None = None) -> None:
        self._per_owner, self._total = per_owner, total
        self._held = Counter[str]()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @contextlib.asynccontextmanager
    async def hold(self, owner: str) -> AsyncIterator[None]:
        """Hold a slot of this owner while the block runs."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        self._wake_next()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._release(owner)
            else:
                self._forget(owner, turn)
            self._wake_next()

    def _wake_next(self) -> None:
        while self._total is None or self._held.total() < self._total:
            owner = min(self._waiting, key=self._held.__getitem__, default=None)
            if owner is None or self._held[owner] >= self._per_owner:
                return
            turn = self._waiting[owner][0]
            self._forget(owner, turn)
            if not turn.cancelled():
                self._held[owner] += 1
                turn.set_result(None)

    def _release(self, owner: str) -> None:
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]

    def _forget(self, owner: str, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(owner)
        if waiting and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[owner]
