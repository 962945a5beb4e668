"""Tests of sources that fail or change while they are rendered; both are no fault of the music."""

import errno
import os
import resource
import shutil
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from mp4gen.errors import RenderError, RenderIOError
from mp4gen.render import RenderStyle, decode, probe, render_video

from .conftest import FORMATS

SMALL = RenderStyle(width=256, height=144, fps=24)


@pytest.fixture
def song(tone_wav: Path, tmp_path: Path) -> Path:
    """Return a song that a test may change."""
    return Path(shutil.copy(tone_wav, tmp_path / "song.wav"))


def fail_reads(monkeypatch: pytest.MonkeyPatch, number: int, first: int, limit: float) -> None:
    """Fail reads beyond `limit` bytes with `number`, from the file that is opened `first`th on."""
    opened = 0

    class FaultyFile(FileIO):
        def __init__(self, path: Path) -> None:
            nonlocal opened
            super().__init__(path)
            opened += 1
            self.is_faulty = opened >= first

        def read(self, size: int = -1) -> bytes:
            data = super().read(size)
            if self.is_faulty and self.tell() > limit:
                raise OSError(number, os.strerror(number))
            return data

    monkeypatch.setattr(decode, "FileIO", FaultyFile)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("ending", FORMATS)
def test_failed_read_is_never_a_shorter_video(tools, tmp_path, monkeypatch, ending, share):
    """Failure mode 63: a read error anywhere in the file raises, in each pass over it."""
    music = tools.encode(tmp_path / f"tone{ending}", tools.tone(6.0, 48000), 48000)
    (tmp_path / "out").mkdir()
    # Tags, analysis and audio of the video read the whole file; the others read its head.
    for first in (1, 3, 5):
        with monkeypatch.context() as patch:
            fail_reads(patch, errno.EIO, first, share * music.stat().st_size)
            with pytest.raises(RenderIOError, match="Input/output error"):
                render_video(music, tmp_path / "out" / "o.mp4", style=SMALL)

    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT])
def test_probe_reports_each_kind_of_failed_read(tone_wav, monkeypatch, number):
    """Failure mode 60: a share that went away is not called a file that is not audio."""
    fail_reads(monkeypatch, number, 1, 0)

    with pytest.raises(RenderIOError, match=os.strerror(number)):
        probe(tone_wav)


@pytest.mark.parametrize("ending", FORMATS)
def test_failed_read_of_the_tags_is_not_a_track_without_tags(tools, tmp_path, monkeypatch, ending):
    """Failure mode 63: the second reader of the tags reports it, too."""
    music = tools.encode(tmp_path / f"t{ending}", tools.tone(1.0, 48000), 48000)
    fail_reads(monkeypatch, errno.EIO, 2, 0)

    with pytest.raises(RenderIOError, match="Input/output error"):
        probe(music)


def test_missing_permission_is_the_files_own_fault(tone_wav, monkeypatch):
    """Waiting does not change permissions, so this error is final."""
    fail_reads(monkeypatch, errno.EACCES, 1, 0)

    with pytest.raises(RenderError, match="Permission denied") as caught:
        probe(tone_wav)

    assert not isinstance(caught.value, RenderIOError)


def replace(music: Path) -> None:
    other = music.with_name("other.wav")
    other.write_bytes(music.read_bytes())
    os.utime(other, ns=(music.stat().st_atime_ns, music.stat().st_mtime_ns))
    other.replace(music)


def modify(music: Path) -> None:
    with music.open("r+b") as file:
        file.seek(1000)
        file.write(b"other")


def cut(music: Path) -> None:
    os.truncate(music, 1000)


@pytest.mark.parametrize("change", [replace, modify, cut])
def test_changed_source_makes_no_video(song, tmp_path, change: Callable[[Path], object]):
    """The picture of one song never gets the sound of another; the older video stays."""
    video = tmp_path / "o.mp4"
    video.write_bytes(b"older")

    def on_progress(done: float, _: float) -> None:
        if done == 0:
            change(song)

    with pytest.raises(RenderIOError, match=r"changed while it was rendered: .*\. Render it again"):
        render_video(song, video, style=SMALL, on_progress=on_progress)

    assert video.read_bytes() == b"older"
    assert [path for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_unusable_source_that_changed_may_be_usable_now(song, tmp_path):
    """A file that is still being copied is damaged only until its copy is complete."""
    complete = song.read_bytes()
    song.write_bytes(bytes(5000))

    class FinishCopy:
        def is_set(self) -> bool:
            song.write_bytes(complete)
            return False

    song.write_bytes(complete[: len(complete) // 200])
    with pytest.raises(RenderIOError, match="changed while it was rendered"):
        render_video(song, tmp_path / "o.mp4", style=SMALL, cancel=FinishCopy())


@pytest.mark.parametrize("size", [0, 20_000])
def test_full_target_is_an_io_error(song, tmp_path, size):
    """Failure mode 60: a full disk is not the music's fault, and no part of a video stays."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(RenderIOError, match=r"Cannot write o\.mp4: File too large\."):
            render_video(song, tmp_path / "o.mp4", style=SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]
