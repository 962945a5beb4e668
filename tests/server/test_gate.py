"""When the whole queue waits, for how long, and what the log says about it."""

import asyncio
import logging

import pytest

from mp4gen.server.queue.gate import StartGate
from mp4gen.server.queue.postponed import PostponedTasks
from mp4gen.server.queue.task import UnfinishedTask

FULL = "The disk is full."
LOST = "The music folder is away."


class Disk:
    """A disk that has space or not."""

    def __init__(self, trouble: str | None = None) -> None:
        self.trouble = trouble

    def __call__(self) -> str | None:
        return self.trouble


def held_gate(disk: Disk) -> StartGate:
    """Return a gate after three failures at 10 s, which hold the queue until 12 s."""
    gate = StartGate(disk)
    for _ in range(3):
        gate.record_failure(LOST, 10.0)
    return gate


def test_gate_without_trouble_lets_tasks_start() -> None:
    """Two failures hold no queue; the last one is known until a video was finished."""
    gate = StartGate(Disk())
    gate.record_failure(FULL, 5.0)
    gate.record_failure(LOST, 5.0)

    assert (gate.seconds_to_wait(5.0), gate.trouble, gate.is_held) == (0.0, None, False)
    assert gate.last_failure == LOST
    gate.open()
    assert gate.last_failure is None


def test_held_queue_waits_for_its_next_try() -> None:
    """The pause ends at a moment, however often it is asked for."""
    gate = held_gate(Disk())

    assert [gate.seconds_to_wait(now) for now in (10.0, 11.5, 12.0, 99.0)] == [2.0, 0.5, 0.0, 0.0]
    assert (gate.trouble, gate.is_held) == (LOST, True)
    gate.open()
    assert (gate.seconds_to_wait(10.0), gate.trouble, gate.is_held) == (0.0, None, False)


def test_full_disk_is_checked_every_five_seconds() -> None:
    """The longer of two pauses counts, and the disk is the trouble that is reported."""
    disk = Disk(FULL)
    gate = held_gate(disk)

    assert (gate.seconds_to_wait(0.0), gate.seconds_to_wait(10.0)) == (12.0, 5.0)
    assert gate.trouble == FULL
    disk.trouble = None
    assert gate.seconds_to_wait(12.0) == 0.0
    assert gate.trouble == LOST


def test_each_wait_of_the_queue_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the begin, as an error, and the end, as a warning, of both troubles."""
    disk = Disk()
    gate = StartGate(disk)
    gate.open()
    for disk.trouble in (None, FULL, FULL, None, None):
        gate.seconds_to_wait(0.0)
    for _ in range(4):
        gate.record_failure(LOST, 0.0)
    gate.open()
    gate.open()

    goes_on = (logging.WARNING, "the queue goes on")
    assert [(line.levelno, line.getMessage()) for line in caplog.records] == [
        (logging.ERROR, f"the queue waits: {FULL}"),
        goes_on,
        (logging.ERROR, f"the queue waits: {LOST}"),
        goes_on,
    ]


@pytest.mark.looptime
async def test_postponed_task_is_due_after_its_pause() -> None:
    """A removed task never is; the rest of a pause is never negative."""
    due: list[str] = []
    postponed = PostponedTasks(lambda task: due.append(task.task_id))
    now = asyncio.get_running_loop().time()
    for number in range(4):
        postponed.add(UnfinishedTask(f"{number}", "", "", None, None), 10.0 * number)
    postponed.remove("2")
    postponed.remove("unknown")

    left = [postponed.seconds_left(name, now + 4.0) for name in ("0", "1", "2")]
    assert left == [0.0, pytest.approx(6.0), None]
    await asyncio.sleep(11.0)
    assert (due, len(postponed)) == (["0", "1"], 1)
    postponed.clear()
    await asyncio.sleep(100.0)
    assert (due, len(postponed)) == (["0", "1"], 0)
