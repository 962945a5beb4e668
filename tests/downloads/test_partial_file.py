"""The unfinished file: ours alone, checked, whole or gone."""
# ruff: noqa: ASYNC221, ASYNC240 - one loop with nothing else to do may wait for a small file

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


def part_of(to: Path) -> Path:
    return to.with_name(f".{to.name}.part")


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "movie.mp4"


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder, and no power of root to write there."""
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o555)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(was)
    folder.chmod(0o755)


async def save(to: Path, content: bytes = MOVIE) -> None:
    with open_partial_file(to) as part:
        part.write(content)
        await part.commit()


def verdict(to: Path, content: bytes, total: int | None = None) -> str | None:
    with open_partial_file(to) as part:
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
def test_a_whole_mp4_is_one(to: Path, content: bytes) -> None:
    """Boxes in any order, of 32 or 64 bits, the last perhaps open."""
    assert verdict(to, content, len(content)) is None
    assert verdict(to, content) is None


def test_an_mp4_cut_anywhere_is_none(to: Path) -> None:
    """At every byte, boundaries of boxes included, also where the host told no length."""
    verdicts = {verdict(to, MOVIE[:size]) for size in range(8, len(MOVIE))}

    assert verdicts == {"The MP4 is cut short."}


@pytest.mark.parametrize(
    ("content", "problem"),
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
def test_what_is_no_whole_mp4_is_told(to: Path, content: bytes, problem: str) -> None:
    """In a few words, and without reading a hostile file for ever."""
    assert verdict(to, content) == problem


def test_a_length_that_was_announced_must_be_kept(to: Path) -> None:
    """Too short and too long are both wrong, however good the boxes."""
    size = len(MOVIE)

    assert verdict(to, MOVIE, size + 1) == f"Received {size} bytes instead of {size + 1}."
    assert verdict(to, MOVIE, size - 1) == f"Received {size} bytes instead of {size - 1}."


async def test_a_commit_replaces_the_target_and_leaves_nothing_else(to: Path) -> None:
    """The older file is there until the new one is whole."""
    to.write_bytes(b"old")

    with open_partial_file(to) as part:
        part.write(MOVIE)
        assert to.read_bytes() == b"old"
        await part.commit()

    assert to.read_bytes() == MOVIE
    assert names_in(to.parent) == ["movie.mp4"]


def test_without_a_commit_nothing_is_left(to: Path) -> None:
    """Neither after an error nor after a block that simply ended."""
    to.write_bytes(b"old")
    before = open_files()

    with suppress(KeyError), open_partial_file(to) as part:
        part.write(MOVIE)
        raise KeyError
    with open_partial_file(to) as part:
        part.write(MOVIE)

    assert to.read_bytes() == b"old"
    assert names_in(to.parent) == ["movie.mp4"]
    assert open_files() == before


def test_the_folder_is_made(tmp_path: Path) -> None:
    """With all above it."""
    with open_partial_file(tmp_path / "a" / "b" / "movie.mp4"):
        pass

    assert (tmp_path / "a" / "b").is_dir()


def test_one_target_is_fetched_once_at_a_time(to: Path) -> None:
    """The second one is told so and touches nothing."""
    with open_partial_file(to) as part:
        part.write(MOVIE)
        with pytest.raises(DownloadError, match=r"writing the same file: .*/movie\.mp4\. Wait"):
            open_partial_file(to).__enter__()

        assert part.validation_error() is None
    with open_partial_file(to):
        pass


async def test_a_finished_file_is_never_taken_for_an_unfinished_one(
    to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the part file just before it got its final name must not write to it."""
    first = open_partial_file(to)
    part = first.__enter__()
    part.write(MOVIE)
    lock = fcntl.flock
    renamed: list[bool] = []

    def late(file: int, how: int) -> None:
        # The second has opened the part file, and only now does the first one finish with it.
        if not renamed:
            renamed.append(True)
            part._commit()
            first.__exit__(None, None, None)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with open_partial_file(to) as second:
        second.write(b"another")

        assert to.read_bytes() == MOVIE
        assert part_of(to).read_bytes() == b"another"


async def test_only_the_own_part_file_is_removed(to: Path) -> None:
    """After the rename, the same path may already be somebody else's."""
    first = open_partial_file(to)
    part = first.__enter__()
    part.write(MOVIE)
    await part.commit()

    with open_partial_file(to) as second:
        second.write(b"another")
        first.__exit__(None, None, None)

        assert part_of(to).read_bytes() == b"another"


def test_a_symbolic_link_is_not_followed(to: Path, tmp_path: Path) -> None:
    """Nobody can make a download write over another file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"dear")
    part_of(to).symlink_to(victim)

    with pytest.raises(
        DownloadError, match=r"\.movie\.mp4\.part is a link or a special file\. Rem"
    ):
        open_partial_file(to).__enter__()

    assert victim.read_bytes() == b"dear"


def test_a_hard_link_is_not_written_through(to: Path, tmp_path: Path) -> None:
    """Nor by the other kind of link."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"dear")
    part_of(to).hardlink_to(victim)

    with pytest.raises(DownloadError, match="is a link or a special file"):
        open_partial_file(to).__enter__()

    assert victim.read_bytes() == b"dear"


def test_a_pipe_in_the_way_is_told(to: Path) -> None:
    """Opening it must not hang either."""
    os.mkfifo(part_of(to))

    with pytest.raises(DownloadError, match="is a link or a special file"):
        open_partial_file(to).__enter__()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file/movie.mp4", "Cannot write .*/file/movie.mp4: (File exists|Not a directory).$"),
        ("file/deeper/movie.mp4", "Cannot write .*/movie.mp4: Not a directory.$"),
        (f"{'x' * 300}.mp4", "Cannot write .*: File name too long. Use a shorter name.$"),
        ("a\0b.mp4", "Cannot write .*: embedded null byte.$"),
    ],
)
def test_a_target_that_cannot_be_is_told_at_once(tmp_path: Path, name: str, said: str) -> None:
    """Before a byte is fetched."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DownloadError, match=said):
        open_partial_file(tmp_path / name).__enter__()


def test_a_folder_that_cannot_be_written_is_told(unwritable: Path) -> None:
    """With the system's reason."""
    with pytest.raises(DownloadError, match=r"Cannot write .*/folder/movie.mp4: Permission denied"):
        open_partial_file(unwritable / "movie.mp4").__enter__()


async def test_a_folder_in_the_targets_place_is_told(to: Path) -> None:
    """It is not replaced, and nothing is left beside it."""
    to.mkdir()

    with pytest.raises(DownloadError, match=r"Cannot write .*: Is a directory"):
        await save(to)

    assert names_in(to.parent) == ["movie.mp4"]


async def test_a_folder_that_vanished_is_told(tmp_path: Path) -> None:
    """Somebody removed it while the file was on its way."""
    to = tmp_path / "folder" / "movie.mp4"

    with open_partial_file(to) as part:
        part.write(MOVIE)
        part_of(to).unlink()
        to.parent.rmdir()
        with pytest.raises(DownloadError, match="No such file or directory"):
            await part.commit()


class Gate:
    """Holds a function up in its thread, in the middle of a commit."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, *args: object) -> object:
        self.reached.set()
        assert self.open.wait(10)
        return self.function(*args)


@pytest.mark.parametrize("cancels", [1, 3])
async def test_a_cancel_during_the_commit_waits_for_the_thread(
    to: Path, monkeypatch: pytest.MonkeyPatch, cancels: int
) -> None:
    """The thread still uses the open file; the outcome is a whole file, and the cancel goes on."""
    gate = Gate(os.fsync)
    monkeypatch.setattr(os, "fsync", gate)
    before = open_files()

    task = asyncio.create_task(save(to))
    await asyncio.to_thread(gate.reached.wait)
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    was_waiting = not task.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert was_waiting
    assert to.read_bytes() == MOVIE
    assert names_in(to.parent) == ["movie.mp4"]
    assert open_files() - before <= {name for name in open_files() if "event" in name}


async def test_a_commit_that_fails_while_cancelled_leaves_nothing(
    to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancel is what is reported, and no warning of a forgotten error follows."""
    gate = Gate(_fails)
    monkeypatch.setattr(os, "fsync", gate)

    task = asyncio.create_task(save(to))
    await asyncio.to_thread(gate.reached.wait)
    task.cancel()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert names_in(to.parent) == []


def _fails(_: int) -> None:
    raise OSError(5, "Input/output error")


async def test_a_disk_that_fails_at_the_last_moment_is_told(
    to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems notice only while syncing that there is no room."""
    monkeypatch.setattr(os, "fsync", _fails)

    with pytest.raises(DownloadError, match=r"Cannot write .*: Input/output error"):
        await save(to)

    assert names_in(to.parent) == []


async def test_a_folder_that_cannot_be_synced_undoes_nothing(
    to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is in its place by then; some file systems refuse to sync folders."""
    sync = os.fsync

    def only_files(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().is_dir():
            _fails(fd)
        sync(fd)

    monkeypatch.setattr(os, "fsync", only_files)
    await save(to)

    assert to.read_bytes() == MOVIE


def test_a_full_disk_is_told_with_what_to_do(to: Path) -> None:
    """A device without any room says so at the first byte."""
    with (
        Path("/dev/full").open("r+b", buffering=0) as full,
        pytest.raises(
            DownloadError, match=r"movie\.mp4: No space left on device\. Free some space"
        ),
    ):
        PartialFile(to, full).write(b"x")


def test_a_file_that_may_not_grow_is_told_with_what_to_do(to: Path) -> None:
    """Half of a chunk may still fit: what is there counts for nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_partial_file(to) as part:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(DownloadError, match=r"File too large\. Raise `ulimit"):
                part.write(MOVIE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert names_in(to.parent) == []


DIES = """
import asyncio, os, signal, sys
from pathlib import Path
from mp4gen.downloads.partial_file import open_partial_file
from mp4gen.testing.media import tiny_mp4
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
async def main(to, point):
    movie = tiny_mp4("movie", 600)
    if point == "fsync": os.fsync = die
    if point == "rename": Path.replace = die
    if point == "folder":
        sync, calls = os.fsync, []
        os.fsync = lambda fd: die() if calls else calls.append(sync(fd))
    with open_partial_file(to) as part:
        if point == "opened": die()
        part.write(movie[:300])
        if point == "half": die()
        part.write(movie[300:])
        await part.commit()
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("point", ["opened", "half", "fsync", "rename", "folder"])
async def test_a_killed_process_leaves_a_whole_file_or_none(to: Path, point: str) -> None:
    """Row 21: what it leaves beside it is taken over by the next download of the same file."""
    died = subprocess.run([sys.executable, "-c", DIES, str(to), point], check=False)
    left = names_in(to.parent)

    with open_partial_file(to) as part:
        assert part.received == part_of(to).stat().st_size == 0
        part.write(MOVIE)
        await part.commit()

    assert died.returncode == -signal.SIGKILL
    assert left == (["movie.mp4"] if point == "folder" else [".movie.mp4.part"])
    assert to.read_bytes() == MOVIE
    assert names_in(to.parent) == ["movie.mp4"]


HOLDS = """
import sys
from pathlib import Path
from mp4gen.downloads.partial_file import open_partial_file
with open_partial_file(Path(sys.argv[1])) as part:
    part.write(b"mine")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_write_one_file(to: Path) -> None:
    """The lock holds between processes, and dies with its own."""
    command = [sys.executable, "-c", HOLDS, str(to)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(DownloadError, match="Another download is writing the same file"):
            open_partial_file(to).__enter__()
        held = part_of(to).read_bytes()
        other.kill()
    with open_partial_file(to) as part:
        assert part.received == 0

    assert held == b"mine"
