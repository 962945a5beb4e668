"""How many tasks of an account the queue accepts, and why it accepts none."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.errors import AlreadyExistsError
from mp4gen.server import ServerConfig
from mp4gen.server.counters import Counters
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.library import Library
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.queue.admission import Admission, RejectReason
from mp4gen.server.queue.fingerprint import Fingerprints
from mp4gen.server.queue.scheduler import RenderScheduler
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState
from mp4gen.server.videos.folder import FolderVideos

from .conftest import IdleExecutor, full_disk, write_song


class Office:
    """An admission with a real store and a scheduler that is not started: nothing is rendered."""

    def __init__(self, root: Path, data: DataDirectory, store: Store, **settings: Any) -> None:
        self.song = write_song(root / "music" / "album" / "one.wav", 0.1)
        values = {"music": root / "music", "data": data.root, "executor": IdleExecutor}
        self.config = ServerConfig(**values | {"min_free_bytes": 0, "queue_limit": 13} | settings)
        self.data, self.store, self.names = data, store, ["anna", "ben", "carl"]
        self.videos, self.prints = FolderVideos(data), Fingerprints(self.config.style)
        self.library = LibraryReader(Library(root / "music"))
        self.scheduler = RenderScheduler(
            self.config,
            store,
            self.library,
            data,
            self.videos,
            fingerprints=self.prints,
            on_finished=lambda _: None,
            on_change=lambda: None,
            counters=Counters(),
        )
        # It stops before it starts a task.
        self.scheduler._stopping = True
        self.admission = Admission(
            self.config,
            data,
            self.videos,
            store,
            self.scheduler,
            self.prints,
            self.library,
            lambda: self.names,
        )

    def queue(self, account: str, count: int) -> None:
        """Queue tasks of an account."""
        for number in range(count):
            self.scheduler.submit(task(f"{account}-{number}-{self.scheduler.queued}", account))

    def rooms(self) -> list[int]:
        """Return the room for each account."""
        return [self.admission.room_for(name) for name in self.names]


def task(task_id: str = "1", account: str = "anna", **values: Any) -> Task:
    return Task(
        task_id=task_id,
        account=account,
        music_task_id="album",
        audio_id="one",
        filename=f"{task_id:x<24}.mp4",
        created_at=1.0,
        **values,
    )


@pytest.fixture
def office(tmp_path: Path, data: DataDirectory, store: Store) -> Any:
    opened = Office(tmp_path, data, store)
    yield opened
    opened.library.close()


async def test_room_is_shared_between_accounts(office: Office) -> None:
    """Of 13 places 2 are reserved for each of 3 accounts; the rest is for the first one."""
    assert office.rooms() == [9, 9, 9]

    office.queue("anna", 8)
    assert office.rooms() == [1, 3, 3]
    office.queue("anna", 1)
    assert office.rooms() == [0, 2, 2]
    assert office.admission.reject_reason_for("anna") is RejectReason.QUEUE_FULL
    assert office.admission.reject_reason_for("ben") is None
    office.queue("ben", 3)
    # What one account has beyond its share is not reserved for it twice.
    assert office.rooms() == [-1, -1, 1]


async def test_server_without_accounts_shares_no_room(office: Office) -> None:
    """Every place of the queue is for everyone."""
    office.names = []

    office.queue("", 12)
    assert office.admission.room_for("") == 1
    assert office.admission.reject_reason is None
    office.queue("", 1)
    assert office.admission.room_for("") == 0
    assert office.admission.reject_reason is RejectReason.QUEUE_FULL


@pytest.mark.parametrize("reason", [RejectReason.MAINTENANCE, RejectReason.DISK_FULL])
async def test_trouble_of_the_server_comes_before_a_full_queue(
    office: Office, tmp_path: Path, reason: RejectReason
) -> None:
    """The reason is the one that an operator can end."""
    office.queue("anna", 13)
    if reason is RejectReason.MAINTENANCE:
        (office.data.root / "maintenance").touch()
    settings = full_disk(tmp_path)
    admission = attrs.evolve(office.admission, config=attrs.evolve(office.config, **settings))

    assert office.admission.maintenance is (reason is RejectReason.MAINTENANCE)
    assert admission.reject_reason_for("anna") is admission.reject_reason is reason


async def test_accepted_task_is_stored_and_queued(office: Office) -> None:
    """Its fingerprint is that of its music; a second one of the same video is rejected."""
    accepted = await office.admission.accept(task(), office.song)

    assert accepted.fingerprint == office.prints.of(task(), office.song)
    assert office.store.get("1") == accepted
    assert office.scheduler.position("1") == 1
    with pytest.raises(AlreadyExistsError) as error:
        await office.admission.accept(task("2"), office.song)
    assert (error.value.existing_task_id, office.scheduler.queued) == ("1", 1)


async def test_lost_video_is_made_again_for_its_caller(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """The earlier task is queued again, and reports to the later caller."""
    done = {"state": TaskState.DONE, "completed_at": 2.0, "size": 5}
    first = task(fingerprint=office.prints.of(task(), office.song), base_url="http://old", **done)
    await office.store.add(first)
    contact = {"callback_url": "https://new.example/", "base_url": "http://new"}

    again = await office.admission.accept(
        task("2", callback=CallbackState.DUE, **contact), office.song
    )

    assert again == office.store.get("1")
    assert (again.state, again.size, again.callback) == ("queued", None, CallbackState.DUE)
    assert {name: getattr(again, name) for name in contact} == contact
    assert office.scheduler.position("1") == 1
    assert caplog.messages == [f"task=1 is rendered again: {first.filename} is gone"]


async def test_recover_queues_a_lost_video_only(office: Office) -> None:
    """A task whose file is there, or that is not done, is returned as it is."""
    waiting, lost = task("1", fingerprint="e"), task("2", state=TaskState.DONE, fingerprint="f")
    kept = task("3", state=TaskState.DONE, fingerprint="g")
    for one in (waiting, lost, kept):
        await office.store.add(one)
    (office.data.videos / kept.filename).write_bytes(b"video")

    found = [await office.admission.recover(one) for one in (waiting, lost, kept)]

    assert [one.state for one in found] == ["queued", "queued", "done"]
    assert [office.scheduler.position(name) for name in "123"] == [None, 1, None]
    assert found[1] == office.store.get("2")


async def test_lost_video_that_was_revived_meanwhile_is_queued_once(office: Office) -> None:
    """Two callers may find it at once."""
    lost = task("2", state=TaskState.DONE, fingerprint="f")
    await office.store.add(lost)

    await office.admission.recover(lost)
    found = await office.admission.recover(lost)

    assert found.state is TaskState.QUEUED
    assert office.scheduler.queued == 1
