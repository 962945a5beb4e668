"""Slots that owners share."""

import asyncio
import contextlib

import pytest

from mp4gen.server.callbacks.shared_slots import SharedSlots

pytestmark = pytest.mark.looptime


async def hold(slots: SharedSlots, owner: str, seconds: float, log: list[str]) -> None:
    """Hold a slot for some seconds, and record the owner when it begins."""
    async with slots.hold(owner):
        log.append(owner)
        await asyncio.sleep(seconds)


async def test_free_slot_goes_to_the_owner_that_holds_the_fewest() -> None:
    """An owner with many waiters leaves the next slot to one without any."""
    slots, log = SharedSlots(per_owner=2, total=3), list[str]()
    owners = [*"aaaaa", "b", "b", "c"]

    async with asyncio.TaskGroup() as group:
        for owner in owners:
            group.create_task(hold(slots, owner, 1.0, log))

    assert "".join(log) == "aab" + "cab" + "aa"
    assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.1)


async def test_owner_never_holds_more_than_its_share() -> None:
    """An owner waits for its own slots, even if others are free."""
    slots, log = SharedSlots(per_owner=2), list[str]()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(hold(slots, "a", 1.0, log))
        await asyncio.sleep(0.5)
        assert log == ["a", "a"]

    assert log == ["a"] * 4


@pytest.mark.parametrize("held_by", ["holder", "waiter"])
async def test_cancelled_owner_leaves_its_slot_to_the_next(held_by: str) -> None:
    """A cancel while a slot is held or waited for loses no slot."""
    slots, log = SharedSlots(per_owner=1, total=1), list[str]()
    tasks = {
        name: asyncio.create_task(hold(slots, name, 10.0, log))
        for name in ("holder", "waiter", "last")
    }
    await asyncio.sleep(0.1)

    tasks[held_by].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await tasks[held_by]
    await tasks["last"]

    assert log[-1] == "last"
    assert set(log) == {"holder", "waiter", "last"} - ({"waiter"} if held_by == "waiter" else set())
