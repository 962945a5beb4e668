"""Videos outlive the database: a lost one, an older one, and deletions that were interrupted."""

import shutil
from pathlib import Path

import attrs
import pytest

from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.queue.recovery import encode_record, recover
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState
from mp4gen.server.videos.folder import FolderVideos

from .conftest import FINISHED_TASK as TASK
from .conftest import Serve, publish, read_tasks


async def test_lost_database_loses_no_video(data: DataDirectory, store: Store) -> None:
    """A task is found again by the record of its video; its callback is not sent again."""
    waited = {"attempts": 1, "troubles": 2, "lease_until": 9.0, "not_before": 9.0}
    publish(data, attrs.evolve(TASK, state="rendering", last_trouble="Full.", **waited))

    await recover(store, data, FolderVideos(data))

    assert store.get("1") == attrs.evolve(TASK, callback=CallbackState.NONE)
    assert data.video_names() == {TASK.filename}


BROKEN_RECORDS = {
    "none": None,
    "empty": b"",
    "half": b'{"task_id": "1", "acc',
    "not an object": b"[1]",
    "without an id": b'{"account": ""}',
    "wrong types": b'{"task_id": "1", "account": "", "music_task_id": "a", "audio_id": "b", '
    b'"created_at": "yesterday"}',
}


@pytest.mark.parametrize("name", BROKEN_RECORDS)
async def test_video_without_a_valid_record_is_kept_and_listed(
    data: DataDirectory, store: Store, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The log names the file, at each start."""
    (data.videos / TASK.filename).write_bytes(b"video")
    if BROKEN_RECORDS[name] is not None:
        data.record_path(TASK.filename).write_bytes(BROKEN_RECORDS[name])

    await recover(store, data, FolderVideos(data))
    await recover(store, data, FolderVideos(data))

    assert data.video_names() == {TASK.filename}
    assert store.filenames() == set()
    assert caplog.messages == [f"videos without a task are kept: 1 ({TASK.filename})"] * 2


async def test_log_lists_ten_of_many_videos_without_a_task(
    data: DataDirectory, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says how many there are, and begins to name them."""
    names = [letter * 24 + ".mp4" for letter in "ABCDEFGHIJKL"]
    for name in names:
        (data.videos / name).write_bytes(b"video")

    await recover(store, data, FolderVideos(data))

    listed = ", ".join(names[:10])
    assert caplog.messages == [f"videos without a task are kept: 12 ({listed}, ...)"]


async def test_copy_of_a_video_is_kept_and_listed(
    data: DataDirectory, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A second file with the record of a known task is not another task."""
    await store.add(TASK)
    publish(data, TASK)
    copy = "B" * 24 + ".mp4"
    shutil.copy(data.videos / TASK.filename, data.videos / copy)
    shutil.copy(data.record_path(TASK.filename), data.record_path(copy))

    await recover(store, data, FolderVideos(data))

    assert store.filenames() == {TASK.filename}
    assert data.video_names() == {TASK.filename, copy}
    assert copy in caplog.text


async def test_found_twin_of_a_known_task_is_added(data: DataDirectory, store: Store) -> None:
    """Two videos of the same content both have a task; a submit is told of the known one."""
    await store.add(attrs.evolve(TASK, task_id="2", filename="B" * 24 + ".mp4"))
    publish(data, TASK)

    await recover(store, data, FolderVideos(data))

    assert store.get("1").filename == TASK.filename
    assert (store.get("1").fingerprint, store.get("2").fingerprint) == ("f 1", "f")


async def test_videos_of_old_versions_get_a_record(data: DataDirectory, store: Store) -> None:
    """The start writes the records that are missing."""
    await store.add(TASK)
    (data.videos / TASK.filename).write_bytes(b"video")

    await recover(store, data, FolderVideos(data))

    assert data.record_path(TASK.filename).read_bytes() == encode_record(TASK)


def test_record_can_be_read_by_a_person() -> None:
    """It is text with one value on each line, in every script."""
    lines = encode_record(TASK, author="夜の窓", size=7).decode().splitlines()

    assert ' "author": "夜の窓",' in lines
    assert ' "size": 7,' in lines


async def test_interrupted_deletion_is_finished(data: DataDirectory, store: Store) -> None:
    """A deleted video whose file was still there does not come back."""
    await store.add(TASK)
    publish(data, TASK)
    await store.remove("1")

    await recover(store, data, FolderVideos(data))

    assert store.filenames() == set()
    assert store.removed_videos() == []
    assert list(data.videos.iterdir()) == []


async def test_start_on_a_full_disk_loses_no_video(data: DataDirectory, store: Store) -> None:
    """Failure mode 60: what cannot be recorded now is found again by the next start."""
    await store.add(TASK)
    publish(data, TASK)
    await store.remove("1")
    found = attrs.evolve(TASK, task_id="2", filename="B" * 24 + ".mp4")
    publish(data, found)

    store._write_connection.execute("PRAGMA query_only = 1")
    await recover(store, data, FolderVideos(data))
    kept = data.video_names()
    store._write_connection.execute("PRAGMA query_only = 0")
    await recover(store, data, FolderVideos(data))

    assert kept == data.video_names() == {found.filename} == store.filenames()
    assert store.removed_videos() == []


async def test_leftovers_of_a_kill_are_deleted(data: DataDirectory, store: Store) -> None:
    """Renders, partial files, and images and records of no video; not those of a kept video."""
    orphan, kept = "B" * 24, "C" * 24
    (data.videos / f"{kept}.mp4").write_bytes(b"video")
    deleted = [
        data.render_folder(f"{orphan}.mp4") / "video.mp4",
        data.videos / ".mp4gen-0123456789ab.part",
        data.cache / ".mp4gen-0123456789ab.part",
        data.record_path(f"{orphan}.mp4"),
        data.thumbnail_path(f"{orphan}.mp4"),
    ]
    stay = [
        data.record_path(f"{kept}.mp4"),
        data.thumbnail_path(f"{kept}.mp4"),
        data.cache / f"{'0' * 32}.jpg",
    ]
    for path in deleted + stay:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")

    await recover(store, data, FolderVideos(data))

    assert [path for path in deleted if path.exists()] == []
    assert [path for path in stay if not path.exists()] == []


@pytest.mark.slow
async def test_database_moved_away_keeps_finished_videos(serve: Serve, tmp_path: Path) -> None:
    """The advice for a damaged database loses no video: ids, URLs and duplicates stay known."""
    data = tmp_path / "data"
    caller = await serve()
    done = await caller.create_and_wait("album", "one", author="A")
    await caller.server.__aexit__(None, None, None)
    (data / "mp4gen.sqlite").rename(tmp_path / "damaged.sqlite")

    caller = await serve()
    known = await caller.details(done["taskId"])
    again = await caller.generate("album", "one", author="A")

    assert {**known, "response": None} == {**done, "response": None}
    path = done["response"]["videoUrl"].partition("/files")[2]
    async with caller.session.get(f"{caller.url}/files{path}") as response:
        assert response.status == 200
    assert (again["code"], again["data"]["taskId"]) == (409, done["taskId"])


@pytest.mark.slow
async def test_older_backup_keeps_newer_videos(serve: Serve, tmp_path: Path) -> None:
    """Videos made after the backup have a task again, and deleted ones stay deleted."""
    data = tmp_path / "data"
    caller = await serve()
    first = await caller.create_and_wait("album", "one")
    await caller.server.__aexit__(None, None, None)
    backup = (data / "mp4gen.sqlite").read_bytes()
    caller = await serve()
    second = await caller.create_and_wait("album", "two")
    await caller.server.__aexit__(None, None, None)

    (data / "mp4gen.sqlite").write_bytes(backup)
    caller = await serve()

    assert sorted(read_tasks(data, "task_id, state")) == sorted(
        [(first["taskId"], "done"), (second["taskId"], "done")]
    )
    assert len(list((data / "videos").glob("*.mp4"))) == 2
