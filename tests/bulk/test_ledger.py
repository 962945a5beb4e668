"""A killed run resumes from any state of its ledger; nothing is paid twice."""

import asyncio
import errno
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest

import mp4gen
from mp4gen.api.callbacks import build_callback
from mp4gen.bulk.ledger import Ledger
from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState
from mp4gen.bulk.ledger_schema import read_ledger
from mp4gen.testing import FakeService, ScriptedResponse
from tests.support_async import now, outcome

pytestmark = pytest.mark.looptime

REQUEST = mp4gen.VideoRequest("music", "track", author="Ada")
OTHER = mp4gen.VideoRequest("music", "other")
FAST = mp4gen.Polling(initial_delay=1, max_interval=2)
ONE_SLOT = mp4gen.RateLimit(1, per=1e6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


async def one(service: FakeService, path: Path, **settings: Any) -> mp4gen.Conversion:
    """Return the one result of a run over `REQUEST`."""
    run_settings = {
        key: settings.pop(key) for key in ("retry_failed", "download_to") if key in settings
    }
    async with service.client(polling=FAST, **settings) as client:
        found, error = await outcome(client.convert_many([REQUEST], ledger=path, **run_settings))
    assert error is None
    [conversion] = found
    return conversion


async def write_ledger(
    path: Path, host: str, state: LedgerState, service: FakeService, *, known: bool
) -> mp4gen.Video | None:
    """Write the ledger of a run that was killed while its track was in `state`.

    With `known`, the service already has the track's task.
    """
    task_id = None
    if known:
        async with service.client() as client:
            task_id = await client.create_music_video(REQUEST)
    ledger = await Ledger.open(path, host)
    [entry] = await ledger.add_or_get([REQUEST])
    assert isinstance(entry, LedgerEntry)
    video = mp4gen.Video(task_id or "video_x", f"{service.url}/files/{task_id}.mp4", "track")
    if state not in (LedgerState.NEW, LedgerState.FAILED):
        await ledger.mark_submitting(entry.id, ["token"])
    if state in (LedgerState.SUBMITTED, LedgerState.DONE, LedgerState.DOWNLOADED):
        await ledger.mark_submitted(entry.id, video.task_id, adopted=False)
    if state in (LedgerState.DONE, LedgerState.DOWNLOADED):
        await ledger.mark_done(entry.id, video)
    if state is LedgerState.DOWNLOADED:
        file = path.parent / "track.mp4"
        await ledger.reserve_filename(entry.id, "track", path.parent)
        file.write_bytes(service.tasks[video.task_id].content)
        await ledger.mark_downloaded(entry.id, file)
    if state is LedgerState.FAILED:
        await ledger.mark_failed(entry.id, mp4gen.GenerationFailedError("video_x", "no luck"))
    if state is LedgerState.UNCERTAIN:
        await ledger.mark_uncertain(entry.id)
    await ledger.close()
    return video


# --- resume: every state, with and without a 409 ------------------------------------------------

IDEMPOTENT = {True: "existing_id", False: "new_task"}


@pytest.fixture(params=[True, False], ids=["409", "no 409"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[FakeService]:
    dialect = mp4gen.Dialect.SUNO if request.param else mp4gen.Dialect.for_url("http://unknown")
    async with FakeService(duplicate_policy=IDEMPOTENT[request.param], dialect=dialect) as service:
        yield service


def knows_409(service: FakeService) -> bool:
    return service.dialect.rejects_duplicates


async def test_resume_submits_a_new_track(service: FakeService, path: Path) -> None:
    """A stored track that was never sent is submitted like any other."""
    await write_ledger(path, service.url, LedgerState.NEW, service, known=False)
    conversion = await one(service, path)

    assert conversion.error is None
    assert (service.count("create"), len(service.tasks)) == (1, 1)


@pytest.mark.parametrize("known", [True, False], ids=["accepted", "never arrived"])
@pytest.mark.parametrize("state", [LedgerState.INTENT, LedgerState.UNCERTAIN])
async def test_resume_of_an_uncertain_submit(
    service: FakeService, path: Path, state: LedgerState, known: bool
) -> None:
    """With 409 it is resent, and an existing task adopted; without, it is reported as uncertain."""
    await write_ledger(path, service.url, state, service, known=known)
    for _ in range(2):
        conversion = await one(service, path)
    [entry] = read_ledger(path)[1]

    assert len(service.tasks) == int(known or knows_409(service))
    if knows_409(service):
        assert conversion.result().adopted == known
        assert entry.state is LedgerState.DONE
    else:
        assert isinstance(conversion.error, mp4gen.SubmitUncertainError)
        assert (entry.state, service.count("create")) == (LedgerState.UNCERTAIN, int(known))


@pytest.mark.parametrize("known", [True, False], ids=["accepted", "never arrived"])
@pytest.mark.parametrize("state", [LedgerState.INTENT, LedgerState.UNCERTAIN])
async def test_resume_asks_an_unknown_host_what_it_does_with_duplicates(
    path: Path, state: LedgerState, known: bool
) -> None:
    """Our own server says that it rejects them: the same call resolves every uncertain track."""
    dialect = mp4gen.Dialect.for_url("http://unknown")
    async with FakeService(dialect=dialect, announces_duplicates=True) as service:
        await write_ledger(path, service.url, state, service, known=known)
        conversion = await one(service, path)

    assert conversion.result().adopted == known
    assert (len(service.tasks), service.count("credits")) == (1, 1)


@pytest.mark.parametrize("service", [False], indirect=True, ids=["no 409"])
@pytest.mark.parametrize("state", [LedgerState.INTENT, LedgerState.UNCERTAIN])
async def test_resume_submits_an_uncertain_track_again_if_the_user_says_so(
    service: FakeService, path: Path, state: LedgerState
) -> None:
    """On a host that accepts a track twice, the user may prefer to pay twice."""
    await write_ledger(path, service.url, state, service, known=True)
    conversion = await one(service, path, on_uncertain_submit="resubmit")

    assert not conversion.result().adopted
    assert len(service.tasks) == 2


async def test_resume_waits_for_a_submitted_track(service: FakeService, path: Path) -> None:
    """An accepted track is never submitted again; its age is unknown, so it is polled now."""
    await write_ledger(path, service.url, LedgerState.SUBMITTED, service, known=True)
    began = now()
    conversion = await one(service, path)

    assert (conversion.task_id, conversion.error) == ("video_000001", None)
    assert service.requests[-1].received_at < began + 0.5
    assert (service.count("create"), service.count("details")) == (1, 1)


@pytest.mark.parametrize("state", [LedgerState.DONE, LedgerState.DOWNLOADED])
async def test_resume_of_a_finished_track_sends_no_request(
    service: FakeService, path: Path, state: LedgerState
) -> None:
    """Its result comes from the ledger."""
    video = await write_ledger(path, service.url, state, service, known=True)
    before = service.count()
    conversion = await one(service, path)

    assert conversion.video == video
    assert service.count() == before


async def test_resume_downloads_a_finished_track(service: FakeService, path: Path) -> None:
    """A run killed before its download fetches the file, and nothing else."""
    await write_ledger(path, service.url, LedgerState.DONE, service, known=True)
    conversion = await one(service, path, download_to=path.parent / "videos")

    assert conversion.path == path.parent / "videos" / "track.mp4"
    assert conversion.path.is_file()
    assert [call.endpoint for call in service.requests] == ["create", "file"]


async def test_resume_waits_for_the_new_link_of_a_video(service: FakeService, path: Path) -> None:
    """A run outlasts maintenance, also while it asks for a link that has expired."""
    await write_ledger(path, service.url, LedgerState.DONE, service, known=True)
    service.script("file", *["expired"] * 8)
    service.script("details", "maintenance")
    conversion = await one(service, path, download_to=path.parent / "videos")

    assert conversion.error is None
    assert service.count("details") == 2


async def test_resume_keeps_a_downloaded_file(service: FakeService, path: Path) -> None:
    """An existing file is not fetched again; a deleted one is."""
    await write_ledger(path, service.url, LedgerState.DOWNLOADED, service, known=True)
    first = await one(service, path, download_to=path.parent)
    fetched = service.count("file")
    (path.parent / "track.mp4").unlink()
    second = await one(service, path, download_to=path.parent)

    assert first.path == second.path == path.parent / "track.mp4"
    assert (fetched, service.count("file")) == (0, 1)


async def test_resume_finds_files_in_a_moved_folder(service: FakeService, path: Path) -> None:
    """Ledger and videos can be moved together, or reached by another path."""
    await write_ledger(path, service.url, LedgerState.DOWNLOADED, service, known=True)
    moved = path.parent / "moved"
    moved.mkdir()
    for file in ("run.sqlite", "track.mp4"):
        (path.parent / file).rename(moved / file)
    conversion = await one(service, moved / "run.sqlite", download_to=moved)

    assert conversion.path == moved / "track.mp4"
    assert service.count("file") == 0


async def test_resume_of_a_failed_track_needs_retry_failed(
    service: FakeService, path: Path
) -> None:
    """The error survives; `retry_failed` makes the track new."""
    await write_ledger(path, service.url, LedgerState.FAILED, service, known=False)
    reported = await one(service, path)
    calls = service.count()
    tried = await one(service, path, retry_failed=True)

    assert isinstance(reported.error, mp4gen.GenerationFailedError)
    assert (str(reported.error), reported.error.task_id) == ("Task video_x: no luck.", "video_x")
    assert calls == 0
    assert (tried.error, service.count("create")) == (None, 1)


@pytest.mark.slow
@pytest.mark.parametrize("service", [True], indirect=True, ids=["409"])
async def test_cancel_before_the_slot_leaves_the_track_new(
    service: FakeService, path: Path
) -> None:
    """A run that waits for the rate limit has sent nothing, whenever it is cancelled."""
    await write_ledger(path, service.url, LedgerState.NEW, service, known=False)
    async with service.client(rate_limit=ONE_SLOT) as client:
        await client.get_credits()
        for steps in range(60):
            task = asyncio.create_task(outcome(client.convert_many([REQUEST], ledger=path)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            [entry] = read_ledger(path)[1]

            assert entry.state is LedgerState.NEW
    assert service.count("create") == 0


@pytest.mark.parametrize("service", [True], indirect=True, ids=["409"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LedgerState.NEW, LedgerState.NEW),
        (LedgerState.INTENT, LedgerState.INTENT),
        (LedgerState.UNCERTAIN, LedgerState.INTENT),
    ],
)
async def test_cancel_during_the_commit_of_the_intent(
    service: FakeService, path: Path, before: LedgerState, after: LedgerState
) -> None:
    """No byte was sent: a new track stays new, one that may have been sent stays uncertain."""
    await write_ledger(path, service.url, before, service, known=False)
    await cancel_during_next_intent(service, path)
    [entry] = read_ledger(path)[1]
    sent = service.count("create")
    await one(service, path)

    assert (entry.state, sent) == (after, 0)
    assert len(service.tasks) == 1


@pytest.mark.parametrize("service", [True], indirect=True, ids=["409"])
async def test_cancel_of_a_resend_keeps_the_submit_uncertain(
    service: FakeService, path: Path
) -> None:
    """The first attempt was sent in the same run, and the service has accepted it."""
    service.script("create", "reset_after_accept")
    await cancel_during_next_intent(service, path, sent=1)
    [entry] = read_ledger(path)[1]
    sent = service.count("create")
    conversion = await one(service, path)

    assert (entry.state, sent) == (LedgerState.INTENT, 1)
    assert (conversion.result().adopted, len(service.tasks)) == (True, 1)


class GatedLimiter:
    """Grants `free` slots immediately, the next one when the gate opens."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.waiting, self.gate = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def slot(self, _: Any) -> AsyncIterator[None]:
        self.free -= 1
        if self.free < 0:
            self.waiting.set()
            await self.gate.wait()
        yield

    def pause(self, seconds: float) -> None:
        raise AssertionError(seconds)


async def cancel_during_next_intent(service: FakeService, path: Path, sent: int = 0) -> None:
    """Cancel a run that has `sent` submits while the next one waits for the ledger's commit."""
    limiter = GatedLimiter(sent)
    async with service.client(rate_limit=limiter) as client:
        task = asyncio.create_task(outcome(client.convert_many([REQUEST], ledger=path)))
        await limiter.waiting.wait()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        limiter.gate.set()
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        other.close()
        await asyncio.wait([task])


@pytest.mark.parametrize("service", [True], indirect=True, ids=["409"])
async def test_tokens_of_all_attempts_are_kept(service: FakeService, path: Path) -> None:
    """A callback to the URL of the first of three runs reports the task that they all lost."""
    receiver = mp4gen.CallbackReceiver("http://127.0.0.1:1/hooks")
    service.duplicate_policy = "without_id"
    for _ in range(2):
        service.script("create", ScriptedResponse(take_effect=True, delay=50))
        async with service.client(callbacks=receiver) as client:
            task = asyncio.create_task(outcome(client.convert_many([REQUEST], ledger=path)))
            await asyncio.sleep(10)
            task.cancel()
            await asyncio.wait([task])
    [entry] = read_ledger(path)[1]
    urls = [json.loads(call.body)["callBackUrl"] for call in service.requests]
    async with service.client(callbacks=receiver) as client:
        task = asyncio.create_task(outcome(client.convert_many([REQUEST], ledger=path)))
        await asyncio.sleep(10)
        receiver.handle("POST", urls[0], {}, build_callback("video_000001", None))
        [conversion], error = await task

    assert [f"{receiver.public_url}/{token}" for token in entry.tokens] == urls
    assert (error, conversion.error, conversion.task_id) == (None, None, "video_000001")


# --- rejected ledgers ---------------------------------------------------------------------------


def contents(*paths: Path) -> list[bytes]:
    return [path.read_bytes() for path in paths]


async def rejection(service: FakeService, path: Path) -> str:
    """Return the error text of a run that the ledger rejects."""
    async with service.client(api_key="another-key") as client:
        found, error = await outcome(client.convert_many([REQUEST], ledger=path))
    assert found == []
    assert isinstance(error, mp4gen.LedgerError)
    return str(error)


async def test_ledger_of_another_host_is_rejected(path: Path) -> None:
    """Task ids are valid on one host only; the error names both hosts."""
    async with FakeService() as service:
        await write_ledger(
            path, "https://api.example.com", LedgerState.INTENT, service, known=False
        )
        message = await rejection(service, path)

    assert message.endswith(
        f"belongs to https://api.example.com, not to {service.url}. Use another file."
    )
    assert service.requests == []


@pytest.mark.parametrize("fields", [{"author": "Bob"}, {"author": "Ada", "extra": {"look": "x"}}])
async def test_track_with_other_fields_is_rejected(path: Path, fields: dict[str, Any]) -> None:
    """One result has the error; the other tracks continue."""
    changed = mp4gen.VideoRequest("music", "track", **fields)
    async with FakeService() as service:
        await write_ledger(path, service.url, LedgerState.SUBMITTED, service, known=True)
        async with service.client() as client:
            found, error = await outcome(client.convert_many([changed, OTHER], ledger=path))
    errors = {c.request.audio_id: c.error for c in found}

    assert error is None
    assert isinstance(errors["track"], mp4gen.LedgerError)
    assert (errors["other"], service.count("create")) == (None, 2)


async def test_second_run_of_the_same_process_is_rejected(path: Path) -> None:
    """Failure mode 37: the first run continues undisturbed, its locks in place."""
    async with FakeService(duration=60) as service, service.client() as client:
        first = asyncio.create_task(outcome(client.convert_many([REQUEST], ledger=path)))
        await asyncio.sleep(5)
        message = await rejection(service, path)
        is_locked = _locks_of(path)
        found, error = await first

    assert message == (
        f"The ledger is in use by another run: {path}. Wait for its end or use another file."
    )
    assert is_locked
    assert (len(found), error) == (1, None)


def _locks_of(path: Path) -> bool:
    """Return whether SQLite's own lock on the file, which guards its journal, is in place."""
    inode = f":{path.stat().st_ino} "
    return any(
        "POSIX" in line for line in Path("/proc/locks").read_text().splitlines() if inode in line
    )


async def test_second_process_is_rejected_until_the_first_is_killed(path: Path) -> None:
    """Failure mode 37: a kill frees the lock immediately; there is no lease."""
    script = (
        "import asyncio, pathlib, sys, time\nfrom mp4gen.bulk.ledger import Ledger\n"
        "ledger = asyncio.run(Ledger.open(pathlib.Path(sys.argv[1]), sys.argv[2]))\n"
        "print('open', flush=True)\ntime.sleep(60)\n"
    )
    async with FakeService() as service:
        other = subprocess.Popen(  # noqa: ASYNC220 - looptime knows no child processes
            [sys.executable, "-c", script, path, service.url], stdout=subprocess.PIPE
        )
        assert other.stdout is not None
        with other, other.stdout:
            other.stdout.readline()
            message = await rejection(service, path)
            other.kill()
            other.wait()
        after = await one(service, path)

    assert "in use by another run" in message
    assert after.error is None


async def test_other_files_are_rejected_unchanged(path: Path) -> None:
    """Another program's database is not even switched to another journal."""
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE songs (title TEXT)")
    db.close()
    text = path.with_suffix(".txt")
    text.write_text("not a ledger, and long enough to see it\n" * 20)
    damaged = path.with_suffix(".damaged")
    [whole] = contents(path)
    damaged.write_bytes(whole[:100] + b"x" * 8092)
    before = contents(path, text, damaged)
    async with FakeService() as service:
        foreign = await rejection(service, path)
        garbage = [await rejection(service, file) for file in (text, damaged)]
        folder = await rejection(service, path.parent)

    assert foreign == f"Another program's database: {path}. Use another file."
    hint = "Use another file."
    assert garbage[0] == f"Not a ledger, or a damaged one: {text}. {hint}"
    assert garbage[1] == f"Not a ledger, or a damaged one: {damaged}. {hint}"
    assert folder == f"Cannot write the ledger {path.parent}: Is a directory. Use another file."
    assert contents(path, text, damaged) == before


async def test_newer_version_is_rejected(path: Path) -> None:
    """An old mp4gen does not guess the format of a newer one."""
    async with FakeService() as service:
        await one(service, path)
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.close()
        message = await rejection(service, path)

    assert message == f"Written by a newer mp4gen: {path}. Upgrade mp4gen."


async def test_damaged_row_fails_its_track_only(path: Path) -> None:
    """Its result says so, and it is not submitted: its video may have been paid for."""
    async with FakeService(duration=5) as service:
        await one(service, path)
        db = sqlite3.connect(path)
        db.execute("UPDATE tracks SET state = 'wonderful'")
        db.commit()
        db.close()
        async with service.client(polling=FAST) as client:
            found, error = await outcome(client.convert_many([REQUEST, OTHER], ledger=path))
    errors = {conversion.request.audio_id: conversion.error for conversion in found}

    assert error is None
    assert str(errors["track"]).startswith("Cannot read track 1 of the ledger: ")
    assert isinstance(errors["track"], mp4gen.LedgerError)
    assert (errors["other"], service.count("create")) == (None, 2)


async def test_ledger_is_private_and_holds_no_key(path: Path) -> None:
    """Mode 0600 for the file and its journals, and no trace of the key."""
    async with FakeService() as service, service.client(api_key="sentinel-key-123") as client:
        modes = set()
        async for _ in client.convert_many([REQUEST, OTHER], ledger=path):
            files = list(path.parent.glob("run.sqlite*"))
            modes |= {file.stat().st_mode & 0o777 for file in files}
            contents = b"".join(file.read_bytes() for file in files)

    assert modes == {0o600}
    assert b"track" in contents
    assert b"sentinel-key" not in contents


# --- a ledger that is not kept ------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["deleted", "moved", "replaced"])
async def test_loss_of_the_ledger_stops_the_submits(path: Path, loss: str) -> None:
    """What was submitted before ends as usual; then the error says what happened."""
    requests = [mp4gen.VideoRequest("music", str(n)) for n in range(10)]
    async with (
        FakeService(duration=30) as service,
        service.client(polling=FAST, concurrency=2) as client,
    ):
        run = client.convert_many(requests, ledger=path)
        task = asyncio.create_task(outcome(run))
        await asyncio.sleep(10)
        submitted = service.count("create")
        lose(path, loss)
        found, error = await task

    assert isinstance(error, mp4gen.LedgerError)
    assert str(error).startswith("The ledger was deleted, moved or replaced during its run: ")
    assert submitted == service.count("create") == len(found) == 2
    assert {conversion.error for conversion in found} == {None}
    assert run.summary.remaining == 8


def lose(path: Path, loss: str) -> None:
    if loss == "deleted":
        path.unlink()
    else:
        path.rename(path.with_name("elsewhere"))
    if loss == "replaced":
        path.write_bytes(b"")


async def test_loss_of_the_ledger_is_reported_at_the_end(path: Path) -> None:
    """All tracks were submitted before, so that no submit could notice it."""
    async with FakeService(duration=30) as service, service.client(polling=FAST) as client:
        task = asyncio.create_task(outcome(client.convert_many([REQUEST], ledger=path)))
        await asyncio.sleep(10)
        lose(path, "deleted")
        [conversion], error = await task

    assert conversion.error is None
    assert isinstance(error, mp4gen.LedgerError)


@pytest.mark.parametrize(
    "name", [":memory:", "file:run?mode=memory", "file:///tmp/run.sqlite", Path(":memory:")]
)
async def test_ledger_in_memory_is_refused(name: str | Path) -> None:
    """It would keep no record, although one was asked for."""
    async with FakeService() as service, service.client() as client:
        with pytest.raises(mp4gen.ConfigurationError) as caught:
            client.convert_many([REQUEST], ledger=name)

    hint = "Use the path of a file, or None to keep no record."
    assert str(caught.value) == f"Invalid ledger: {str(name)!r}. {hint}"


@pytest.mark.parametrize(
    "number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get
)
async def test_file_system_without_locks_is_named(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 50: the ledger is not "in use by another run"."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    async with FakeService() as service:
        message = await rejection(service, path)

    assert message == (
        f"Cannot write the ledger {path}: the file system has no file locks. Use another file."
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "File name too long"),
        ("file/run.sqlite", "File exists"),
        ("loop", "Too many levels of symbolic links"),
        ("pipe", "Not a regular file"),
        ("folder", "Is a directory"),
    ],
)
async def test_path_that_cannot_be_used_is_a_ledger_error(
    path: Path, name: str, reason: str
) -> None:
    """Failure mode 53: no bare OSError, neither from a run nor from a reader."""
    path.with_name("file").write_bytes(b"")
    path.with_name("loop").symlink_to("loop")
    path.with_name("folder").mkdir()
    os.mkfifo(path.with_name("pipe"))
    async with FakeService() as service:
        message = await rejection(service, path.parent / name)
    with pytest.raises(mp4gen.LedgerError):
        read_ledger(path.parent / name)

    assert message == f"Cannot write the ledger {path.parent / name}: {reason}. Use another file."


async def test_lock_ends_with_its_process_although_it_was_forked(path: Path) -> None:
    """A child that was forked during a run neither holds the lock nor writes."""
    async with FakeService() as service:
        ledger = await Ledger.open(path, service.url)
        [entry] = await ledger.add_or_get([REQUEST])
        assert isinstance(entry, LedgerEntry)
        ready, done = os.pipe(), os.pipe()
        if not (child := os.fork()):
            refused = _refusal_in_child(ledger, entry)
            os.write(ready[1], b"1" if refused else b"0")
            os.read(done[0], 1)
            os._exit(0)
        try:
            refused = os.read(ready[0], 1)
            await ledger.close()
            conversion = await one(service, path)
        finally:
            end_child(child, done[1])
            for descriptor in (*ready, *done):
                os.close(descriptor)

    assert refused == b"1"
    assert conversion.error is None


def end_child(child: int, pipe: int) -> None:
    os.write(pipe, b"x")
    os.waitpid(child, 0)


def _refusal_in_child(ledger: Ledger, entry: LedgerEntry) -> bool:
    """Return whether the ledger refuses a step of a forked child; close it there, too."""
    step = ledger.mark_submitting(entry.id, ["token"])
    try:
        step.send(None)
    except mp4gen.LedgerError:
        with suppress(StopIteration):
            ledger.close().send(None)
        return True
    return False


# --- tracks that may be submitted again ---------------------------------------------------------


async def test_retry_failed_concerns_the_tracks_of_its_run(path: Path) -> None:
    """The other failed tracks of the ledger keep their errors."""
    async with FakeService(duration=5) as service:
        service.script("create", "code_400", "code_400")
        for requests, retry in (([REQUEST, OTHER], False), ([OTHER], True)):
            async with service.client(polling=FAST) as client:
                run = client.convert_many(requests, ledger=path, retry_failed=retry)
                await outcome(run)
    states = {entry.request.audio_id: entry.state for entry in read_ledger(path)[1]}

    assert states == {"track": LedgerState.FAILED, "other": LedgerState.DONE}


async def test_track_that_fails_again_is_not_retried_in_the_same_run(path: Path) -> None:
    """`retry_failed` is about earlier runs, however often the track is requested."""

    async def thrice() -> AsyncIterator[mp4gen.VideoRequest]:
        for _ in range(3):
            yield REQUEST
            await asyncio.sleep(100)

    async with FakeService(duration=5) as service:
        service.always("create", "code_400")
        for _ in range(2):
            async with service.client(polling=FAST) as client:
                run = client.convert_many(thrice(), ledger=path, retry_failed=True)
                found, _ = await outcome(run)

    assert {type(conversion.error) for conversion in found} == {mp4gen.InvalidRequestError}
    assert (len(found), service.count("create")) == (3, 2)


@pytest.mark.parametrize("before", ["new", "refused"])
async def test_track_that_was_never_accepted_can_be_corrected(path: Path, before: str) -> None:
    """The next run with another author submits it; a duplicate with a third one is refused."""
    corrected = attrs.evolve(REQUEST, author="Bob")
    async with FakeService(duration=5) as service:
        if before == "refused":
            service.script("create", "code_400")
            refused = await one(service, path)
            assert isinstance(refused.error, mp4gen.InvalidRequestError)
        else:
            await write_ledger(path, service.url, LedgerState.NEW, service, known=False)
        async with service.client(polling=FAST) as client:
            run = client.convert_many([corrected, REQUEST, corrected], ledger=path)
            found, error = await outcome(run)
    [entry] = read_ledger(path)[1]
    errors = [type(c.error) for c in found if c.request == REQUEST]
    [sent] = [json.loads(call.body) for call in service.requests if call.endpoint == "create"][-1:]

    assert (error, errors) == (None, [mp4gen.LedgerError])
    assert [c.error for c in found if c.request == corrected] == [None, None]
    assert (sent["author"], entry.request, len(service.tasks)) == ("Bob", corrected, 1)


@pytest.mark.parametrize("state", [LedgerState.NEW, LedgerState.FAILED])
async def test_ledger_of_a_mistyped_host_is_taken_over(path: Path, state: LedgerState) -> None:
    """Nothing was submitted there: the tracks are new to the right host."""
    async with FakeService(duration=5) as service:
        await write_ledger(path, "https://api.apii.box", LedgerState.NEW, service, known=False)
        if state is LedgerState.FAILED:
            ledger = await Ledger.open(path, "https://api.apii.box")
            await ledger.mark_failed(1, mp4gen.InvalidRequestError("no such page", code=400))
            await ledger.close()
        conversion = await one(service, path)
    host, _ = read_ledger(path)

    assert (conversion.error, host) == (None, service.url)


# --- a full disk --------------------------------------------------------------------------------


@pytest.mark.slow
async def test_full_disk_stops_the_run_before_an_unrecorded_submit(path: Path) -> None:
    """Failure mode 22: each submitted track has its intent in the ledger; the rest waits."""
    requests = [mp4gen.VideoRequest("music", f"{n}".rjust(2000, "x")) for n in range(60)]
    async with (
        FakeService(duration=5) as service,
        service.client(polling=FAST, concurrency=5) as client,
    ):
        run = client.convert_many(requests, ledger=path)
        results = run.__aiter__()
        found = [await anext(results)]
        await fill(run)
        found += [c async for c in _until_error(results)]
        submitted = {task.request.audio_id for task in service.tasks.values()}
        recorded = {
            e.request.audio_id for e in read_ledger(path)[1] if e.state is not LedgerState.NEW
        }
        rest, error = await outcome(client.convert_many(requests, ledger=path))

    assert run.summary.stop_reason == "LedgerError"
    assert submitted <= recorded
    assert len(submitted) < 60
    assert (len(rest), error) == (60, None)
    assert len(service.tasks) == 60


async def fill(run: mp4gen.ConversionRun) -> None:
    """Leave no free space for the run's ledger."""
    ledger = run._ledger
    assert ledger is not None
    [pages] = await ledger._run(lambda self: self._db.execute("PRAGMA page_count").fetchone())
    await ledger._run(lambda self: self._db.execute(f"PRAGMA max_page_count = {pages}"))


async def _until_error(results: Any) -> AsyncIterator[mp4gen.Conversion]:
    try:
        async for conversion in results:
            yield conversion
    except mp4gen.LedgerError as error:
        assert str(error).startswith("No space left for the ledger: ")  # noqa: PT017 - the text is the test


async def test_full_disk_for_videos_fails_only_the_downloads(path: Path) -> None:
    """Failure mode 23: each download says so; the next run fetches the videos."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with (
        FakeService(duration=5, file_size=1 << 20) as service,
        service.client(polling=FAST) as client,
    ):
        both = [REQUEST, OTHER]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, hard))
        try:
            run = client.convert_many(both, ledger=path, download_to=path.parent)
            found, error = await outcome(run)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        run = client.convert_many(both, ledger=path, download_to=path.parent)
        again, _ = await outcome(run)

    assert error is None
    assert {type(c.error) for c in found} == {mp4gen.DownloadError}
    assert all(c.video for c in found)
    assert {c.error for c in again} == {None}
    assert service.count("create") == 2
