"""The file format of a ledger: versions, readers, stored errors, group commits."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen.bulk.ledger import Ledger
from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState
from mp4gen.bulk.ledger_lock import Lock
from mp4gen.bulk.ledger_schema import (
    MIGRATIONS,
    check_application_id,
    migrate,
    read_ledger,
)

UNSTORABLE: Any = object()
HOST = "https://api.example.com"
REQUEST = mp4gen.VideoRequest(
    "music",
    "track",
    author="Ada",
    callback_url="https://x.example/cb",
    extra={"look": "ring", "deep": [1, None]},
)
VIDEO = mp4gen.Video(
    "video_1",
    "https://cdn.example.com/1.mp4",
    "track",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    expires_at=datetime(2026, 1, 16, tzinfo=UTC),
    adopted=True,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


async def opened(path: Path | None) -> tuple[Ledger, LedgerEntry]:
    ledger = await Ledger.open(path, HOST)
    [entry] = await ledger.add_or_get([REQUEST])
    assert isinstance(entry, LedgerEntry)
    return ledger, entry


async def test_entry_survives_the_file(path: Path) -> None:
    """Every field of an entry is written and read."""
    ledger, entry = await opened(path)
    await ledger.mark_submitting(entry.id, ["one", "two"])
    await ledger.mark_submitted(entry.id, "video_1", adopted=True)
    await ledger.mark_done(entry.id, VIDEO)
    await ledger.mark_downloaded(entry.id, path.with_name("track.mp4"))
    await ledger.close()
    host, entries = read_ledger(path)

    assert host == HOST
    assert entries == [
        LedgerEntry(
            1,
            REQUEST,
            LedgerState.DOWNLOADED,
            ("one", "two"),
            "video_1",
            adopted=True,
            video=VIDEO,
            path=path.with_name("track.mp4"),
        )
    ]


@pytest.mark.parametrize(
    "error",
    [
        mp4gen.InvalidRequestError("author too long", code=400),
        mp4gen.AlreadyExistsError("exists", code=409, task_id="video_1"),
        mp4gen.NotFoundError("no record", code=404, task_id="video_1"),
        mp4gen.ServerError("down", code=500),
        mp4gen.GenerationFailedError("video_1", "the service gave up: no reason"),
        mp4gen.WaitTimeoutError("video_1", "not finished after 3 s"),
        mp4gen.DownloadError("gone"),
        mp4gen.ProtocolError("not JSON"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_error_survives_the_file(path: Path, error: mp4gen.Mp4GenError) -> None:
    """The next run reports its class, its text and its task."""
    ledger, entry = await opened(path)
    await ledger.mark_failed(entry.id, error)
    await ledger.close()
    [again] = read_ledger(path)[1]

    assert type(again.error) is type(error)
    assert str(again.error) == str(error)
    assert getattr(again.error, "task_id", None) == getattr(error, "task_id", None)


async def test_error_of_an_unknown_class_keeps_its_text(path: Path) -> None:
    """It becomes the root of the tree of errors."""
    newer = type("NewerError", (mp4gen.Mp4GenError,), {})("something new")
    ledger, entry = await opened(path)
    await ledger.mark_failed(entry.id, newer)
    await ledger.close()
    [again] = read_ledger(path)[1]

    assert type(again.error) is mp4gen.Mp4GenError
    assert str(again.error) == "something new"


async def test_reader_sees_the_commits_of_a_running_run(path: Path) -> None:
    """Reading needs no lock and disturbs nothing."""
    ledger, entry = await opened(path)
    await ledger.mark_submitting(entry.id, ["token"])
    during = read_ledger(path)[1][0].state
    await ledger.mark_submitted(entry.id, "video_1", adopted=False)
    after = read_ledger(path)[1][0].state
    await ledger.close()

    assert (during, after) == (LedgerState.INTENT, LedgerState.SUBMITTED)


async def test_reader_leaves_no_files_behind(path: Path) -> None:
    """Reading a closed ledger creates nothing beside it."""
    ledger, _ = await opened(path)
    await ledger.close()
    before = sorted(file.name for file in path.parent.iterdir())
    read_ledger(path)

    assert sorted(file.name for file in path.parent.iterdir()) == before == ["run.sqlite"]


def test_reader_rejects_other_files(path: Path) -> None:
    """Missing, empty, foreign or garbage: the error says which."""
    messages = []
    for content in (None, b"", b"garbage " * 100):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(mp4gen.LedgerError) as caught:
            read_ledger(path)
        messages.append(str(caught.value))

    assert messages[0] == f"No such ledger: {path}. Check the path."
    assert messages[1] == f"The ledger is empty: {path}. Start its run again."
    assert messages[2].startswith(f"Cannot read the ledger {path}: ")


async def test_run_killed_before_its_first_row_can_be_resumed(path: Path) -> None:
    """Between the creation of the file and the first row nothing is lost."""
    for script in ("", MIGRATIONS[0]):
        begin(path, script)
        with pytest.raises(mp4gen.LedgerError):
            read_ledger(path)
        ledger, entry = await opened(path)
        await ledger.close()

        assert entry.state is LedgerState.NEW


def begin(path: Path, script: str) -> None:
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path)
    if script:
        migrate(db)
    db.close()


async def test_ledger_without_extra_fields_is_read_and_migrated(path: Path) -> None:
    """A ledger of version 1 is shown as it is, and the next run adds the column."""
    request = mp4gen.VideoRequest("music", "track", author="Ada")
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, MIGRATIONS[:1])
    db.execute("INSERT INTO run (host) VALUES (?)", (HOST,))
    db.execute("INSERT INTO tracks (task_id, audio_id, author) VALUES ('music', 'track', 'Ada')")
    db.close()

    before = read_ledger(path)
    ledger = await Ledger.open(path, HOST)
    entries = await ledger.add_or_get([request])
    await ledger.close()

    assert before == read_ledger(path) == (HOST, entries)
    assert entries == [LedgerEntry(1, request, LedgerState.NEW)]


def test_older_version_is_migrated_step_by_step(path: Path) -> None:
    """Each missing step runs once, in order, and the old rows are kept."""
    steps = ("CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b", "UPDATE t SET b = a + 1")
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, steps[:1])
    db.execute("INSERT INTO t VALUES (1)")
    migrate(db, steps)
    migrate(db, steps)
    rows = db.execute("SELECT * FROM t").fetchall()
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()

    assert (rows, version) == ([(1, 2)], 3)


def test_failed_migration_leaves_the_older_version(path: Path) -> None:
    """A migration is all or nothing: after a crash it starts again."""
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, ("CREATE TABLE t (a)",))
    with pytest.raises(sqlite3.Error):
        migrate(db, ("CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b; nonsense"))
    db.close()
    db = sqlite3.connect(path, isolation_level=None)
    columns = [row[1] for row in db.execute("PRAGMA table_info(t)")]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    check_application_id(db, path)
    db.close()

    assert (columns, version) == (["a"], 1)


async def test_close_ends_the_thread_and_the_lock(path: Path) -> None:
    """Open, close, open again: no descriptor is left, and a second close does nothing."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts descriptors
    for _ in range(3):
        ledger, _ = await opened(path)
        await ledger.close()
        await ledger.close()

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


async def test_close_releases_the_lock_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise another run could open the file while this one still writes its journal into it."""
    release, open_files = Lock.release, list[Path]()

    def spy(lock: Lock) -> None:
        for descriptor in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                open_files.append(descriptor.readlink())
        release(lock)

    monkeypatch.setattr(Lock, "release", spy)
    ledger, _ = await opened(path)
    await ledger.close()

    assert [file for file in open_files if file.parent == path.parent] == [path]


async def test_cancelled_close_ends_with_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled close ends only when the lock is released, so the next run can start."""
    release, may_release = Lock.release, threading.Event()

    def wait(lock: Lock) -> None:
        may_release.wait(10)
        release(lock)

    monkeypatch.setattr(Lock, "release", wait)
    ledger, _ = await opened(path)
    closing = asyncio.create_task(ledger.close())
    await asyncio.sleep(0)
    closing.cancel()
    asyncio.get_running_loop().call_later(0.01, may_release.set)
    await asyncio.wait([closing])
    again, _ = await opened(path)
    await again.close()

    assert closing.cancelled()


async def test_commits_survive_a_power_cut(path: Path) -> None:
    """SQLite syncs its journal at each commit: `synchronous` is FULL (2)."""
    ledger, _ = await opened(path)
    [level] = await ledger._run(lambda self: self._db.execute("PRAGMA synchronous").fetchone())
    await ledger.close()

    assert level == 2


async def test_retry_failed_drops_the_old_tokens(path: Path) -> None:
    """A late callback of the failed task must not be taken for the next one."""
    ledger, entry = await opened(path)
    await ledger.mark_submitting(entry.id, ["token"])
    await ledger.mark_submitted(entry.id, "video_1", adopted=True)
    await ledger.mark_failed(entry.id, mp4gen.GenerationFailedError("video_1", "no luck"))
    await ledger.close()
    resumed = await Ledger.open(path, HOST, retry_failed=True)
    await resumed.add_or_get([REQUEST])
    await resumed.close()
    [again] = read_ledger(path)[1]

    assert again == LedgerEntry(1, REQUEST, LedgerState.NEW)


async def run_waiting_steps(
    ledger: Ledger, *steps: Coroutine[Any, Any, Any]
) -> tuple[list[Any], list[str]]:
    """Run steps that all wait for the thread; return their results and the transactions."""
    free, statements = threading.Event(), list[str]()
    ledger._thread.submit(free.wait)
    ledger._thread.submit(ledger._db.set_trace_callback, statements.append)
    tasks = [asyncio.create_task(step) for step in steps]
    await asyncio.sleep(0)
    free.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return found, [text for text in statements if text.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]


async def test_waiting_steps_share_one_commit(path: Path) -> None:
    """A slow disk does not slow a full run down."""
    ledger, entry = await opened(path)
    found, transactions = await run_waiting_steps(
        ledger,
        ledger.mark_submitting(entry.id, ["token"]),
        ledger.mark_submitted(entry.id, "video_1", adopted=False),
        ledger.reserve_filename(entry.id, "track", path.parent),
    )
    [again] = read_ledger(path)[1]
    await ledger.close()

    assert found == [None, None, ("track", False)]
    assert transactions == ["BEGIN IMMEDIATE", "COMMIT"]
    assert again.state is LedgerState.SUBMITTED


async def test_failed_step_fails_no_other(path: Path) -> None:
    """The steps that shared its commit are run again, each in its own."""
    ledger, entry = await opened(path)
    found, _ = await run_waiting_steps(
        ledger,
        ledger.mark_submitted(entry.id, "video_1", adopted=False),
        ledger.mark_submitted(entry.id, UNSTORABLE, adopted=False),
        ledger.mark_done(entry.id, VIDEO),
    )
    [again] = read_ledger(path)[1]
    await ledger.close()

    assert [type(one) for one in found] == [type(None), mp4gen.LedgerError, type(None)]
    assert again.state is LedgerState.DONE


class BrokenDisk:
    """A connection whose disk fails: neither a commit nor a rollback succeeds."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.broken = True

    def execute(self, statement: str, *parameters: Any) -> Any:
        if self.broken and statement in {"COMMIT", "ROLLBACK"}:
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


async def test_disk_that_fails_on_commit_and_rollback_fails_all_steps(path: Path) -> None:
    """No step of the batch is taken for recorded; when the disk is back, the ledger goes on."""
    ledger, entry = await opened(path)
    db: Any = BrokenDisk(ledger._db)
    ledger._db = db
    steps = (
        ledger.mark_submitting(entry.id, ["token"]),
        ledger.mark_submitted(entry.id, "video_1", adopted=False),
        ledger.add_or_get([REQUEST]),
    )
    found = await asyncio.gather(*steps, return_exceptions=True)
    db.broken = False
    await ledger.mark_submitting(entry.id, ["token"])
    await ledger.close()
    [again] = read_ledger(path)[1]

    assert [type(one) for one in found] == [mp4gen.LedgerError] * 3
    assert again.state is LedgerState.INTENT


async def test_run_without_a_ledger_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record lives in memory."""
    monkeypatch.chdir(tmp_path)
    ledger, _ = await opened(None)
    files = os.listdir(".")  # noqa: PTH208 - names are enough
    await ledger.close()

    assert files == []


async def test_full_disk_is_named(path: Path) -> None:
    """The text says what to do; when there is space again, the ledger goes on."""
    ledger, entry = await opened(path)
    [pages] = await ledger._run(lambda self: self._db.execute("PRAGMA page_count").fetchone())
    await ledger._run(lambda self: self._db.execute(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(mp4gen.LedgerError) as caught:
        await ledger.mark_submitting(entry.id, ["x" * 100_000])
    await ledger.mark_submitting(entry.id, ["token"])
    await ledger.close()
    [again] = read_ledger(path)[1]

    hint = "Free some space, then run again."
    assert str(caught.value) == f"No space left for the ledger: {path}. {hint}"
    assert again.tokens == ("token",)


async def test_other_names_are_reserved_as_they_are_taken(path: Path) -> None:
    """Each name that another download took leads to the next one; only the own one is reserved."""
    ledger, entry = await opened(path)
    folder = path.parent
    (folder / "song.mp4").touch()
    names = [
        await ledger.reserve_filename(entry.id, "song", folder, taken=taken)
        for taken in (0, 1, 2, 0)
    ]
    await ledger.close()

    assert [name for name, _ in names] == ["song-1", "song-1-2", "song-1-3", "song-1-3"]
    assert [reserved for _, reserved in names] == [False, False, False, True]


async def test_closed_ledger_rejects_steps(path: Path) -> None:
    """Steps that wait when it is closed are still committed."""
    ledger, entry = await opened(path)
    waiting = asyncio.create_task(ledger.mark_submitted(entry.id, "video_1", adopted=False))
    await asyncio.sleep(0)
    await ledger.close()
    await waiting
    with pytest.raises(mp4gen.LedgerError, match="is closed"):
        await ledger.mark_done(entry.id, VIDEO)
    [again] = read_ledger(path)[1]

    assert again.state is LedgerState.SUBMITTED
