"""Expired videos are deleted, and no others, whatever the machine's clock does."""

import asyncio
import logging
import sqlite3
from pathlib import Path

import attrs
import pytest

from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.queue.retention import Retention, delete_task
from mp4gen.server.queue.store import Store
from mp4gen.server.videos.folder import FolderVideos

from .conftest import FINISHED_TASK, NOW, publish

pytestmark = pytest.mark.looptime

DAY = 86400.0
YEAR = 365 * DAY


class Clock:
    """The machine's clock, which runs with the loop and can be set."""

    def __init__(self) -> None:
        self.offset = NOW - asyncio.get_running_loop().time()

    def __call__(self) -> float:
        return self.offset + asyncio.get_running_loop().time()


async def add_video(data: DataDirectory, store: Store, completed_at: float) -> None:
    """Add a finished task and its video."""
    task = attrs.evolve(FINISHED_TASK, completed_at=completed_at)
    await store.add(task)
    publish(data, task)


async def run_for(retention: Retention, seconds: float) -> None:
    """Let the sweeps run for this time."""
    retention.start()
    await asyncio.sleep(seconds)
    await retention.stop()


async def test_expired_video_is_deleted_and_logged(
    data: DataDirectory, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """The task and its file are gone, and the log says which and why."""
    caplog.set_level(logging.INFO, "mp4gen.server")
    clock = Clock()
    await add_video(data, store, NOW - 15 * DAY + 1000)
    retention = Retention(15, store, data, FolderVideos(data), clock=clock)

    await run_for(retention, 900)
    kept = store.get("1")
    await run_for(retention, 700)

    assert kept is not None
    assert store.get("1") is None
    assert data.video_names() == set()
    line = f"task=1 deleted={FINISHED_TASK.filename} reason='expired after 15 days'"
    assert line in caplog.messages


async def test_retention_of_0_days_keeps_all_videos(data: DataDirectory, store: Store) -> None:
    """`--retention-days 0` deletes nothing, at the start and later."""
    await add_video(data, store, NOW - YEAR)
    retention = Retention(0, store, data, FolderVideos(data), clock=Clock())

    await run_for(retention, 2 * DAY)

    assert data.video_names() == {FINISHED_TASK.filename}


@pytest.mark.parametrize("jump", [YEAR, 30 * DAY, 50 * YEAR])
async def test_clock_set_forward_by_mistake_deletes_nothing(
    data: DataDirectory, store: Store, jump: float
) -> None:
    """A clock that is right again at the next look has deleted nothing."""
    clock = Clock()
    await add_video(data, store, NOW - DAY)
    retention = Retention(15, store, data, FolderVideos(data), clock=clock)
    retention.start()
    await asyncio.sleep(1000)

    clock.offset += jump
    await asyncio.sleep(300)
    deleted = [await retention.sweep() for _ in range(3)]
    clock.offset -= jump
    await asyncio.sleep(10 * DAY)
    await retention.stop()

    assert deleted == [0, 0, 0]
    assert store.get("1") is not None
    assert store.get("1").completed_at <= clock()


async def test_restarts_under_a_wrong_clock_delete_nothing(
    data: DataDirectory, store: Store
) -> None:
    """A server that starts again and again does not count as having seen the clock twice."""
    clock = Clock()
    await add_video(data, store, NOW - DAY)
    await run_for(Retention(15, store, data, FolderVideos(data), clock=clock), 1000)
    clock.offset += YEAR

    for _ in range(5):
        await run_for(Retention(15, store, data, FolderVideos(data), clock=clock), 300)

    assert store.get("1") is not None


async def test_expired_videos_are_deleted_after_a_long_stop(
    data: DataDirectory, store: Store
) -> None:
    """If the time is still the same ten minutes after the start, it is believed."""
    clock = Clock()
    await add_video(data, store, NOW - DAY)
    await run_for(Retention(15, store, data, FolderVideos(data), clock=clock), 1000)
    clock.offset += 20 * DAY
    retention = Retention(15, store, data, FolderVideos(data), clock=clock)

    await run_for(retention, 300)
    kept = store.get("1")
    await run_for(retention, 1000)

    assert kept is not None
    assert store.get("1") is None


async def test_clock_that_starts_in_the_past_deletes_no_new_video(
    data: DataDirectory, store: Store
) -> None:
    """A video that was made before the network corrected the clock is not 50 years old."""
    clock = Clock()
    clock.offset -= 50 * YEAR
    retention = Retention(15, store, data, FolderVideos(data), clock=clock)
    retention.start()
    await asyncio.sleep(100)
    await add_video(data, store, clock())

    clock.offset += 50 * YEAR
    await asyncio.sleep(14 * DAY)
    kept = store.get("1")
    await asyncio.sleep(2 * DAY)
    await retention.stop()

    assert kept is not None
    assert store.get("1") is None


async def test_small_changes_of_the_clock_do_not_delay_a_deletion(
    data: DataDirectory, store: Store
) -> None:
    """Summer time and corrections by the network are not jumps."""
    clock = Clock()
    await add_video(data, store, NOW - 15 * DAY + 1000)
    retention = Retention(15, store, data, FolderVideos(data), clock=clock)
    await run_for(retention, 100)

    clock.offset += 3600
    await retention.sweep()

    assert store.get("1") is None


class FullDisk(Store):
    """A store that cannot write until the video has left the disk."""

    video: Path

    def _commit(self) -> None:
        if self.video.exists():
            raise sqlite3.OperationalError("database or disk is full")
        super()._commit()


async def test_expired_videos_are_deleted_on_a_full_disk(data: DataDirectory) -> None:
    """A deletion makes the space that it needs itself."""
    store = FullDisk(data.database)
    store.video = data.root / "none"
    await add_video(data, store, NOW - 20 * DAY)
    store.video = data.videos / FINISHED_TASK.filename

    await Retention(15, store, data, FolderVideos(data), clock=Clock()).sweep()

    assert store.get("1") is None
    assert store.removed_videos() == []
    assert data.video_names() == set()
    store.close()


async def test_jump_of_the_clock_on_a_full_disk_deletes_nothing(data: DataDirectory) -> None:
    """The sweep goes on, although it cannot correct the times of the videos."""
    store, clock = FullDisk(data.database), Clock()
    store.video = data.root / "none"
    await add_video(data, store, NOW - DAY)
    retention = Retention(15, store, data, FolderVideos(data), clock=clock)
    store.video = data.videos / FINISHED_TASK.filename
    before = await retention.sweep()
    clock.offset += YEAR

    assert (before, await retention.sweep()) == (0, 0)
    assert store.get("1") is not None
    store.close()


async def test_deletion_leaves_nothing(data: DataDirectory, store: Store) -> None:
    """The record, the thumbnail and the note about the deletion are gone, too."""
    await add_video(data, store, NOW)
    data.thumbnail_path(FINISHED_TASK.filename).write_bytes(b"image")

    await delete_task(store, FolderVideos(data), FINISHED_TASK, "by a test")

    assert store.removed_videos() == []
    assert [*data.videos.iterdir(), *data.cache.iterdir()] == []


async def test_stop_of_the_sweeps_can_be_cancelled(data: DataDirectory, store: Store) -> None:
    """Its caller's cancellation is not taken for that of the sweeps."""
    retention = Retention(15, store, data, FolderVideos(data), clock=Clock())
    retention.start()
    await asyncio.sleep(1)
    stopping = asyncio.create_task(retention.stop())
    await asyncio.sleep(0)

    stopping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await stopping


async def test_failed_deletion_is_tried_again_by_a_sweep(
    data: DataDirectory, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note about the video stays until the video is gone."""
    await add_video(data, store, NOW)
    videos = FolderVideos(data)
    with monkeypatch.context() as patch:
        patch.setattr(data, "remove_video", lambda _: False)
        await delete_task(store, videos, FINISHED_TASK, "by a test")
    noted = store.removed_videos()

    await run_for(Retention(15, store, data, videos, clock=Clock()), 1)

    assert noted == [FINISHED_TASK.filename]
    assert store.removed_videos() == []
    assert data.video_names() == set()


async def test_video_that_is_being_made_is_left_to_its_maker(
    data: DataDirectory, store: Store
) -> None:
    """It may appear after the deletion of its task: a kill between must not bring it back."""
    await add_video(data, store, NOW)
    videos = FolderVideos(data)
    videos.in_use.add(FINISHED_TASK.filename)

    await delete_task(store, videos, FINISHED_TASK, "by a test")
    await run_for(Retention(15, store, data, videos, clock=Clock()), 1)

    assert store.removed_videos() == [FINISHED_TASK.filename]
