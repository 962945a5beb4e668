"""Worker slots: the end of one worker does not affect others."""

import asyncio
import errno
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from mp4gen.server.rendering import pool, worker
from mp4gen.server.rendering.pool import (
    NoWorkerError,
    ProcessExecutor,
    WorkerDiedError,
    WorkerSlot,
)
from mp4gen.signals import STOP_SIGNALS

MIB = 1 << 20


@pytest.fixture
async def slot() -> AsyncIterator[WorkerSlot]:
    slot = WorkerSlot(lambda: ProcessExecutor(memory_limit=900 * MIB))
    yield slot
    await slot.close()


@pytest.mark.slow
async def test_slot_survives_crashes_and_memory_limits(slot: WorkerSlot) -> None:
    """A worker that dies or exceeds its memory limit costs one job; the next job runs."""
    with pytest.raises(WorkerDiedError):
        await slot.run(os._exit, 3)
    first = await slot.run(os.getpid)
    with pytest.raises(MemoryError):
        await slot.run(bytearray, 2000 * MIB)
    second = await slot.run(os.getpid)

    assert first == second != os.getpid()


async def test_worker_has_low_priority_and_ignores_signals(slot: WorkerSlot) -> None:
    """It runs at low priority, leaves signals to the server, and inherits no file or socket."""
    nice = os.nice(0)
    mine = os.open(__file__, os.O_RDONLY)
    others = await slot.run(os.listdir, "/proc/self/fd")
    links = [await slot.run(os.path.realpath, f"/proc/self/fd/{fd}") for fd in others]
    os.close(mine)

    assert await slot.run(os.nice, 0) == min(19, nice + 10)
    for number in STOP_SIGNALS:
        assert await slot.run(signal.getsignal, number) == signal.SIG_IGN
    assert __file__ not in links
    assert not [link for link in links if "socket:" in link]


@pytest.mark.slow
async def test_kill_frees_the_slot(slot: WorkerSlot) -> None:
    """An endless job and its process end when the slot is killed."""
    pid = await slot.run(os.getpid)
    hanging = asyncio.ensure_future(slot.run(time.sleep, 1000))
    await asyncio.sleep(0.05)

    slot.kill()

    with pytest.raises(WorkerDiedError):
        await hanging
    assert await slot.run(os.getpid) != pid
    assert slot.pids != [pid]


async def test_idle_worker_ends_and_a_new_one_starts(
    slot: WorkerSlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without a job ends, but not while it works."""
    monkeypatch.setattr(pool, "IDLE_SECONDS", 0.0)
    pid = await slot.run(os.getpid)
    working = await slot.run(os.getpid)
    while slot.pids:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0)

    assert working == pid
    assert await slot.run(os.getpid) != pid


async def test_worker_loads_nothing_of_the_server(slot: WorkerSlot) -> None:
    """A start takes 0.1 s of processor time, not 0.3 s."""
    modules = set(await slot.run(eval, "[*__import__('sys').modules]"))

    assert "mp4gen.server.rendering.worker" in modules
    assert not modules & {"aiohttp", "asyncio", "mp4gen.server.app", "mp4gen.client"}


async def test_close_leaves_no_process() -> None:
    """After `close`, no worker is left."""
    slot = WorkerSlot(ProcessExecutor)
    pid = await slot.run(os.getpid)

    await slot.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert slot.pids == []


@pytest.mark.slow
async def test_job_ends_at_its_processor_limit(slot: WorkerSlot) -> None:
    """A file that keeps a decoder busy for ever costs one job of the page's reader."""
    with pytest.raises(WorkerDiedError):
        await slot.run(worker.run_limited, 0.0, sum, range(10**12))

    assert await slot.run(worker.run_limited, 60.0, sum, range(4)) == 6


async def test_failing_start_is_reported_as_such() -> None:
    """Failure mode 60: without memory or processes there is no worker, for now."""

    def fail() -> ProcessExecutor:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    slot = WorkerSlot(fail)

    with pytest.raises(NoWorkerError, match="No worker can be started"):
        await slot.run(os.getpid)
