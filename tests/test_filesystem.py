"""Locks that die with their process, and files that are replaced whole."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mp4gen.filesystem import atomic_write, open_locked


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
