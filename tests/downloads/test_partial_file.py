"""The unfinished file: locked, checked, then whole or removed."""
# ruff: noqa: ASYNC221, ASYNC240 - nothing else runs in the loop meanwhile

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mp4gen import DownloadError
from mp4gen.downloads.partial_file import PartialFile, open_partial_file
from mp4gen.testing.media import tiny_mp4
from tests.support_cdn import names_in, open_files

MOVIE = tiny_mp4("movie", 600)
FTYP = MOVIE[:28]


def box(kind: bytes, content: bytes = b"", *, size: int | None = None, wide: bool = False) -> bytes:
    length = len(content) + (16 if wide else 8) if size is None else size
    if wide:
        return (1).to_bytes(4, "big") + kind + length.to_bytes(8, "big") + content
    return length.to_bytes(4, "big") + kind + content


def part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process may not write, even if it runs as root."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    user_id = os.geteuid()
    if user_id == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user_id)
    folder.chmod(0o755)


async def save(target: Path, content: bytes = MOVIE) -> None:
    with open_partial_file(target) as part:
        part.write(content)
        await part.commit()


async def test_saved_file_has_the_mode_of_any_new_file(target: Path) -> None:
    """The umask alone decides who may read it; nobody may execute it."""
    before = os.umask(0o022)
    try:
        await save(target)
    finally:
        os.umask(before)

    assert target.stat().st_mode & 0o777 == 0o644


def validation_error(target: Path, content: bytes, total: int | None = None) -> str | None:
    with open_partial_file(target) as part:
        part.write(content)
        part.total = total
        return part.validation_error()


@pytest.mark.parametrize(
    "content",
    [
        MOVIE,
        FTYP + box(b"free") + box(b"mdat", b"x" * 9) + box(b"moov", b"y"),
        FTYP + box(b"moov") + box(b"mdat", b"x" * 9, wide=True),
        FTYP + box(b"moov", wide=True) + box(b"mdat", b"to the end", size=0),
        FTYP + box(b"moov") + 300 * (box(b"moof") + box(b"mdat", b"z")),
    ],
    ids=["plain", "movie last", "64 bits", "open end", "fragments"],
)
def test_validation_error_accepts_whole_mp4s(target: Path, content: bytes) -> None:
    """Boxes in any order, of 32 or 64 bits; the last one may be open-ended."""
    assert validation_error(target, content, len(content)) is None
    assert validation_error(target, content) is None


def test_validation_error_detects_a_cut_at_every_byte(target: Path) -> None:
    """A cut between two boxes is detected, too, even if the length is unknown."""
    errors = {validation_error(target, MOVIE[:size]) for size in range(8, len(MOVIE))}

    assert errors == {"The MP4 is cut short."}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "The file is empty."),
        (b"x", "The file is not an MP4."),
        (FTYP[:7], "The file is not an MP4."),
        (b"<!doctype html><title>Sorry", "The file is not an MP4."),
        (b"\x1f\x8b\x08\x00" * 10, "The file is not an MP4."),
        (FTYP + box(b"moov", size=7), "The MP4 is cut short."),
        (FTYP + box(b"moov") + box(b"mdat", size=15, wide=True), "The MP4 is cut short."),
        (FTYP + box(b"moov") + box(b"mdat", size=8, wide=True), "The MP4 is cut short."),
        (FTYP + box(b"moov") + box(b"mdat", size=1 << 63, wide=True), "The MP4 is cut short."),
        (FTYP + box(b"moov") + box(b"mdat") + bytes(4), "The MP4 is cut short."),
        (FTYP + box(b"moov"), "The MP4 is cut short."),
        (FTYP + box(b"mdat"), "The MP4 is cut short."),
        (FTYP + box(b"moov") + box(b"mdat") + box(b"free") * 100_001, "The MP4 is cut short."),
    ],
)
def test_validation_error_says_what_is_wrong(target: Path, content: bytes, error: str) -> None:
    """A hostile file is not read without end."""
    assert validation_error(target, content) == error


@pytest.mark.parametrize("extra", [b"x", bytes(7), b"garbage!" * 3, box(b"moov")[:7] + b"x" * 9])
def test_validation_error_accepts_announced_bytes_after_the_boxes(
    target: Path, extra: bytes
) -> None:
    """Only with a promised length; without one, they may be the start of a cut box."""
    content = MOVIE + extra

    assert validation_error(target, content, len(content)) is None
    assert validation_error(target, content) == "The MP4 is cut short."


@pytest.mark.parametrize("kind", [b"mdat", b"moof", b"mfra", b"free"])
def test_validation_error_detects_a_cut_box_of_the_announced_length(
    target: Path, kind: bytes
) -> None:
    """The file on the host itself is cut, after some whole fragments."""
    content = MOVIE + box(kind, b"x" * 100)[:-1]

    assert validation_error(target, content, len(content)) == "The MP4 is cut short."


def test_validation_error_compares_the_announced_length(target: Path) -> None:
    """Too short and too long are both wrong, even with valid boxes."""
    size = len(MOVIE)

    assert (
        validation_error(target, MOVIE, size + 1) == f"Received {size} bytes instead of {size + 1}."
    )
    assert (
        validation_error(target, MOVIE, size - 1) == f"Received {size} bytes instead of {size - 1}."
    )


async def test_commit_replaces_the_target(target: Path) -> None:
    """The older file stays until the new one is whole."""
    target.write_bytes(b"old")

    with open_partial_file(target) as part:
        part.write(MOVIE)
        assert target.read_bytes() == b"old"
        await part.commit()

    assert target.read_bytes() == MOVIE
    assert names_in(target.parent) == ["movie.mp4"]


def test_partial_file_is_removed_without_a_commit(target: Path) -> None:
    """After an error, and after a block that simply ended."""
    target.write_bytes(b"old")
    before = open_files()

    with suppress(KeyError), open_partial_file(target) as part:
        part.write(MOVIE)
        raise KeyError
    with open_partial_file(target) as part:
        part.write(MOVIE)

    assert target.read_bytes() == b"old"
    assert names_in(target.parent) == ["movie.mp4"]
    assert open_files() == before


def test_open_partial_file_creates_the_folder(tmp_path: Path) -> None:
    """All missing parents are created."""
    with open_partial_file(tmp_path / "a" / "b" / "movie.mp4"):
        pass

    assert (tmp_path / "a" / "b").is_dir()


def test_open_partial_file_refuses_a_target_in_use(target: Path) -> None:
    """The file of the first download stays as it is."""
    with open_partial_file(target) as part:
        part.write(MOVIE)
        with pytest.raises(DownloadError, match=r"writing the same file: .*/movie\.mp4\. Wait"):
            open_partial_file(target).__enter__()

        assert part.validation_error() is None
    with open_partial_file(target):
        pass


async def test_open_partial_file_detects_a_rename_before_its_lock(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that got its final name between open and lock must not be written."""
    first = open_partial_file(target)
    part = first.__enter__()
    part.write(MOVIE)
    lock = fcntl.flock
    renamed: list[bool] = []

    def lock_after_rename(file: int, operation: int) -> None:
        # The second has opened the part file before the first one renames it.
        if not renamed:
            renamed.append(True)
            part_of(target).replace(target)
            first.__exit__(None, None, None)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock_after_rename)
    with open_partial_file(target) as second:
        second.write(b"another")

        assert target.read_bytes() == MOVIE
        assert part_of(target).read_bytes() == b"another"


async def test_partial_file_removes_only_its_own_part(target: Path) -> None:
    """After the rename, the same path may belong to another download."""
    first = open_partial_file(target)
    part = first.__enter__()
    part.write(MOVIE)
    await part.commit()

    with open_partial_file(target) as second:
        second.write(b"another")
        first.__exit__(None, None, None)

        assert part_of(target).read_bytes() == b"another"


def test_open_partial_file_refuses_a_symbolic_link(target: Path, tmp_path: Path) -> None:
    """A link must not make a download overwrite another file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"dear")
    part_of(target).symlink_to(victim)

    with pytest.raises(
        DownloadError,
        match=r"^Cannot write /.*/movie\.mp4: .*\.part is a link or a special file\. Rem",
    ):
        open_partial_file(target).__enter__()

    assert victim.read_bytes() == b"dear"


def test_open_partial_file_refuses_a_hard_link(target: Path, tmp_path: Path) -> None:
    """A link must not make a download overwrite another file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"dear")
    part_of(target).hardlink_to(victim)

    with pytest.raises(DownloadError, match="is a link or a special file"):
        open_partial_file(target).__enter__()

    assert victim.read_bytes() == b"dear"


def test_open_partial_file_refuses_a_pipe(target: Path) -> None:
    """Opening it must not hang."""
    os.mkfifo(part_of(target))

    with pytest.raises(DownloadError, match=r"/movie\.mp4: .* is a link or a special file"):
        open_partial_file(target).__enter__()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "file/movie.mp4",
            "Cannot write .*/file/movie.mp4: (File exists|Not a directory). Use a folder",
        ),
        ("file/deeper/movie.mp4", "Cannot write .*/movie.mp4: Not a directory. Use a folder"),
        (f"{'x' * 300}.mp4", "Cannot write .*: File name too long. Use a shorter name.$"),
        ("a\0b.mp4", "Cannot write .*: .*embedded null .*. Use another name.$"),
    ],
)
def test_open_partial_file_refuses_impossible_targets(
    tmp_path: Path, name: str, message: str
) -> None:
    """The target is refused before a byte is fetched."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DownloadError, match=message):
        open_partial_file(tmp_path / name).__enter__()


def test_open_partial_file_reports_an_unwritable_folder(unwritable: Path) -> None:
    """The error has the system's reason."""
    with pytest.raises(DownloadError, match=r"Cannot write .*/folder/movie.mp4: Permission denied"):
        open_partial_file(unwritable / "movie.mp4").__enter__()


async def test_commit_does_not_replace_a_folder(target: Path) -> None:
    """Nothing is left beside it."""
    target.mkdir()

    with pytest.raises(DownloadError, match=r"Cannot write .*: Is a directory"):
        await save(target)

    assert names_in(target.parent) == ["movie.mp4"]


async def test_commit_reports_a_missing_folder(tmp_path: Path) -> None:
    """Another program removed it during the download."""
    target = tmp_path / "folder" / "movie.mp4"

    with open_partial_file(target) as part:
        part.write(MOVIE)
        part_of(target).unlink()
        target.parent.rmdir()
        with pytest.raises(DownloadError, match="No such file or directory"):
            await part.commit()


class Gate:
    """Blocks a function in its thread, in the middle of a commit."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, *args: object) -> object:
        self.reached.set()
        assert self.open.wait(10)
        return self.function(*args)


@pytest.mark.parametrize("cancels", [1, 3])
async def test_commit_waits_for_its_thread_when_cancelled(
    target: Path, monkeypatch: pytest.MonkeyPatch, cancels: int
) -> None:
    """The thread still uses the open file; the file is whole, and the cancel goes on."""
    gate = Gate(os.fsync)
    monkeypatch.setattr(os, "fsync", gate)
    before = open_files()

    task = asyncio.create_task(save(target))
    await asyncio.to_thread(gate.reached.wait)
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    was_waiting = not task.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert was_waiting
    assert target.read_bytes() == MOVIE
    assert names_in(target.parent) == ["movie.mp4"]
    assert open_files() - before <= {name for name in open_files() if "event" in name}


async def test_commit_that_fails_while_cancelled_leaves_nothing(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancel is reported, and no warning of a forgotten error follows."""
    gate = Gate(_fails)
    monkeypatch.setattr(os, "fsync", gate)

    task = asyncio.create_task(save(target))
    await asyncio.to_thread(gate.reached.wait)
    task.cancel()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert names_in(target.parent) == []


def _fails(_: int) -> None:
    raise OSError(5, "Input/output error")


async def test_commit_reports_a_failed_sync(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems notice a full disk only while syncing."""
    monkeypatch.setattr(os, "fsync", _fails)

    with pytest.raises(DownloadError, match=r"Cannot write .*: Input/output error"):
        await save(target)

    assert names_in(target.parent) == []


async def test_commit_succeeds_if_the_folder_cannot_be_synced(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is in its place by then; some file systems cannot sync folders."""
    sync = os.fsync

    def only_files(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().is_dir():
            _fails(fd)
        sync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    await save(target)

    assert target.read_bytes() == MOVIE


def test_write_reports_a_full_disk(target: Path) -> None:
    """The error says what to do."""
    with (
        Path("/dev/full").open("r+b", buffering=0) as full,
        pytest.raises(
            DownloadError, match=r"movie\.mp4: No space left on device\. Free some space"
        ),
    ):
        PartialFile(target, full).write(b"x")


def test_write_reports_a_file_size_limit(target: Path) -> None:
    """Half of a chunk may still fit, but is not kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_partial_file(target) as part:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(DownloadError, match=r"File too large\. Raise `ulimit"):
                part.write(MOVIE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert names_in(target.parent) == []


DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from mp4gen.downloads.partial_file import open_partial_file
from mp4gen.testing.media import tiny_mp4
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
async def main(target, point):
    movie = tiny_mp4("movie", 600)
    if point == "fsync": os.fsync = die
    if point == "rename": Path.replace = die
    if point == "folder":
        sync, calls = os.fsync, []
        os.fsync = lambda fd: die() if calls else calls.append(sync(fd))
    with open_partial_file(target) as part:
        if point == "opened": die()
        part.write(movie[:300])
        if point == "half": die()
        part.write(movie[300:])
        await part.commit()
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("point", ["opened", "half", "fsync", "rename", "folder"])
async def test_killed_process_leaves_a_whole_file_or_none(target: Path, point: str) -> None:
    """Failure mode 21: the next download of the same target takes over what it left."""
    killed = subprocess.run([sys.executable, "-c", DIES, str(target), point], check=False)
    left = names_in(target.parent)

    with open_partial_file(target) as part:
        assert part.received == part_of(target).stat().st_size == 0
        part.write(MOVIE)
        await part.commit()

    assert killed.returncode == -signal.SIGKILL
    assert left == (["movie.mp4"] if point == "folder" else [".movie.mp4.part"])
    assert target.read_bytes() == MOVIE
    assert names_in(target.parent) == ["movie.mp4"]


HOLDS = """
import sys
from pathlib import Path
from mp4gen.downloads.partial_file import open_partial_file
with open_partial_file(Path(sys.argv[1])) as part:
    part.write(b"mine")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_lock_holds_between_processes(target: Path) -> None:
    """The lock ends with its process."""
    command = [sys.executable, "-c", HOLDS, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(DownloadError, match="Another download is writing the same file"):
            open_partial_file(target).__enter__()
        content = part_of(target).read_bytes()
        holder.kill()
    with open_partial_file(target) as part:
        assert part.received == 0

    assert content == b"mine"
