"""Locks that die with their process, and files that are replaced whole."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from mp4gen.filesystem import (
    atomic_write,
    make_private,
    move_durably,
    move_to_new,
    names_folder,
    open_locked,
    portable_name,
    remove,
    replace,
    sqlite_uri,
    sync_file,
    sync_folder,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_open_locked_refuses_a_second_lock(path: Path) -> None:
    """Even within one process, each open file has its own lock."""
    first = open_locked(path)
    with pytest.raises(BlockingIOError):
        open_locked(path)

    first.close()
    open_locked(path).close()


def test_open_locked_closes_the_file_after_a_failure(path: Path) -> None:
    """A refused lock leaves no descriptor behind."""
    first = open_locked(path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with pytest.raises(BlockingIOError):
        open_locked(path)

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    first.close()


def test_open_locked_is_not_inherited_by_child_processes(path: Path) -> None:
    """A program that outlives its parent must not keep the parent's lock."""
    first = open_locked(path)
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
    ) as child:
        assert child.stdout
        child.stdout.readline()
        first.close()

        open_locked(path).close()
        child.kill()


def test_open_locked_is_not_kept_by_forked_children(path: Path) -> None:
    """The lock belongs to the open file, which a fork shares with the child."""
    first = open_locked(path)
    ready, done = os.pipe(), os.pipe()
    if not (child := os.fork()):
        os.write(ready[1], b"1" if first.closed else b"0")
        os.read(done[0], 1)
        os._exit(0)
    closed = os.read(ready[0], 1)
    first.close()
    open_locked(path).close()
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    for descriptor in (*ready, *done):
        os.close(descriptor)

    assert closed == b"1"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_open_locked_names_a_file_system_without_locks(
    path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 50: it is not the error of a lock that another process holds."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(OSError, match="the file system has no file locks") as caught:
        open_locked(path)

    assert not isinstance(caught.value, BlockingIOError)


def test_open_locked_follows_links_only_if_allowed(path: Path, tmp_path: Path) -> None:
    """A link in a folder that others can write must not lead to another file."""
    (tmp_path / "target").write_bytes(b"kept")
    path.symlink_to(tmp_path / "target")

    open_locked(path).close()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        open_locked(path, follow_links=False)

    assert caught.value.errno == errno.ELOOP


def test_open_locked_creates_private_files(path: Path) -> None:
    """By default only the user can read what is stored in a locked file."""
    open_locked(path).close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_atomic_write_syncs_before_and_after_its_rename(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves the old file or the new one: content first, then name, then folder."""
    steps: list[str] = []
    replace: Callable[[Path, Path], Path] = Path.replace

    def record_fsync(descriptor: int) -> None:
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("sync folder" if opened.is_dir() else f"sync {opened.suffix}")

    def record_replace(source: Path, target: Path) -> Path:
        steps.append(f"rename {source.suffix}")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    with atomic_write(path) as part:
        part.write_bytes(b"new")

    assert steps == ["sync .part", "rename .part", "sync folder"]
    assert path.read_bytes() == b"new"


def test_atomic_write_keeps_the_old_file_after_an_error(path: Path) -> None:
    """No temporary file stays either."""
    path.write_bytes(b"old")

    with suppress(KeyError), atomic_write(path) as part:
        part.write_bytes(b"new")
        raise KeyError

    assert [one.name for one in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_atomic_write_reports_a_block_that_wrote_nothing(path: Path) -> None:
    """There is no file to rename."""
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass

    assert list(path.parent.iterdir()) == []


def refuse(number: int) -> Callable[..., None]:
    """Return a function that fails as a file system does."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on another file system than the one of `tmp_path`."""
    folder = Path("/dev/shm") / f"mp4gen-test-{os.getpid()}-fs"  # noqa: S108 - needs that one
    folder.mkdir()
    if folder.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    yield folder
    shutil.rmtree(folder)


def test_move_durably_copies_to_another_file_system(
    path: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 60: the copy is synced before it gets its name, and the source is deleted."""
    path.write_bytes(b"video")
    synced: list[tuple[str, bool]] = []

    def record_fsync(descriptor: int) -> None:
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((opened.suffix, (other_disk / "video.mp4").exists()))

    monkeypatch.setattr(os, "fsync", record_fsync)
    move_durably(path, other_disk / "video.mp4")

    assert (other_disk / "video.mp4").read_bytes() == b"video"
    assert synced == [(".part", False), ("", True)]
    assert not path.exists()


def test_move_durably_keeps_the_source_on_a_full_disk(
    path: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing appears at the target, and the next try has a source."""
    path.write_bytes(b"video")
    monkeypatch.setattr(shutil, "copyfile", refuse(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        move_durably(path, other_disk / "video.mp4")

    assert path.read_bytes() == b"video"
    assert list(other_disk.iterdir()) == []


LINK_ERRORS = [None, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL]


@pytest.mark.parametrize("number", LINK_ERRORS)
def test_move_to_new_needs_no_hard_links(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """Failure mode 60: exFAT and network shares have none; an existing file is never replaced."""
    if number is not None:
        monkeypatch.setattr(os, "link", refuse(number))
    path.write_bytes(b"new")
    taken, free = path.with_name("taken"), path.with_name("free")
    taken.write_bytes(b"old")

    with pytest.raises(FileExistsError):
        move_to_new(path, taken)
    move_to_new(path, free)

    assert (taken.read_bytes(), free.read_bytes()) == (b"old", b"new")
    assert not path.exists()


def test_move_to_new_reserves_no_name_in_vain(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the move fails, no empty file stays."""
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(Path, "replace", refuse(errno.EIO))
    path.write_bytes(b"new")

    with pytest.raises(OSError, match="Input/output error"):
        move_to_new(path, path.with_name("free"))

    assert [one.name for one in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o700, 0o700), (0o500, 0o500)]
)
def test_make_private_only_takes_permissions(path: Path, before: int, after: int) -> None:
    """A folder that its owner made read-only stays read-only."""
    path.mkdir()
    path.chmod(before)

    make_private(path)

    assert path.stat().st_mode & 0o777 == after
    path.chmod(0o700)


def test_make_private_tolerates_a_volume_of_another_user(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container the folder may belong to the host's user."""
    path.mkdir(mode=0o755)
    monkeypatch.setattr(Path, "chmod", refuse(errno.EPERM))

    make_private(path)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_sync_folder_tolerates_file_systems_that_cannot(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Some network file systems sync files only."""
    monkeypatch.setattr(os, "fsync", refuse(number))

    sync_folder(path.parent)


def test_sync_folder_reports_a_failed_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other error means that the rename may be lost."""
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(path.parent)


def test_names_folder_by_the_ending_unless_it_exists(tmp_path: Path) -> None:
    """A folder can have a name that ends in .mp4; a slash at the end always means a folder."""
    (tmp_path / "album.mp4").mkdir()
    (tmp_path / "file").touch()

    assert names_folder(tmp_path / "album.mp4")
    assert names_folder(f"{tmp_path}/new.mp4/")
    assert names_folder("")
    assert names_folder(tmp_path / "file")
    assert not names_folder("new.MP4")


def test_sync_folder_does_nothing_on_windows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows cannot open folders, so they are not synced there."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "open", refuse(errno.EACCES))

    sync_folder(path.parent)


@pytest.mark.parametrize("supported", [True, False])
def test_sync_file_empties_the_cache_of_the_disk_on_macos(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, supported: bool
) -> None:
    """On macOS, F_FULLFSYNC is used, and fsync on disks that do not support it."""
    calls: list[str] = []

    def sync_fully(_: int, command: int) -> None:
        assert command == 51
        calls.append("F_FULLFSYNC")
        if not supported:
            raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("fcntl.F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr("fcntl.fcntl", sync_fully)
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("fsync"))
    with path.open("wb") as file:
        sync_file(file.fileno())

    assert calls == (["F_FULLFSYNC"] if supported else ["F_FULLFSYNC", "fsync"])


@pytest.mark.parametrize("failures", [0, 3, 6])
def test_replace_waits_on_windows_for_other_programs(
    path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """A virus scanner has a new file open for a moment; after a second, it is an error."""
    attempts: list[Path] = []
    pauses: list[float] = []

    def rename(_: Path, target: Path) -> None:
        attempts.append(target)
        if len(attempts) <= failures:
            raise PermissionError(errno.EACCES, "The file is in use")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "replace", rename)
    monkeypatch.setattr("time.sleep", pauses.append)
    with suppress(PermissionError) if failures == 6 else nullcontext():
        replace(path, path.with_name("target"))

    assert len(attempts) == min(failures + 1, 6)
    assert len(pauses) == min(failures, 5)
    assert sum(pauses) < 1.1


@pytest.mark.parametrize(("system", "expected"), [("win32", False), ("linux", None)])
def test_remove_keeps_files_that_windows_has_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, system: str, expected: bool | None
) -> None:
    """Files that Windows has open are kept; elsewhere, the same error is raised."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "unlink", refuse(errno.EACCES))

    if expected is None:
        with pytest.raises(PermissionError):
            remove(path)
    else:
        assert remove(path) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", "plain"),
        ("a:b", "a_b"),
        ('<x>|"y"?*', "_x_y_"),
        ("AUX", "_AUX"),
        ("con.tar", "_con.tar"),
        ("lpt¹", "_lpt¹"),
        ("console", "console"),
    ],
)
def test_portable_name_replaces_what_windows_forbids(name: str, expected: str) -> None:
    """On Windows, a colon would write into a hidden stream of another file."""
    assert portable_name(name) == expected


def test_sqlite_uri_escapes_and_names_no_host(tmp_path: Path) -> None:
    """SQLite refuses a host, so that a share begins with four slashes."""

    class Share:
        def absolute(self) -> PureWindowsPath:
            return PureWindowsPath(r"\\server\share\100% a#b?.sqlite")

    class Drive:
        def absolute(self) -> PureWindowsPath:
            return PureWindowsPath(r"C:\run.sqlite")

    path = tmp_path / "100% a#b?.sqlite"
    sqlite3.connect(path).close()
    path.write_bytes(b"")
    database = sqlite3.connect(sqlite_uri(path, "mode=ro"), uri=True)
    database.execute("PRAGMA user_version")
    database.close()
    share: Any = Share()
    drive: Any = Drive()

    assert sqlite_uri(share, "mode=ro") == "file:////server/share/100%25%20a%23b%3F.sqlite?mode=ro"
    assert sqlite_uri(drive, "mode=ro") == "file:///C:/run.sqlite?mode=ro"
