"""What differs on Windows, piece by piece; `cli/test_other_systems.py` runs whole commands."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mp4gen.cli import progress_bars
from mp4gen.cli.exit_codes import error_message
from mp4gen.cli.options import read_secret
from mp4gen.cli.output import Output
from mp4gen.cli.runner import join_command
from mp4gen.cli.serve_options import Access, read_keys
from mp4gen.downloads.partial_file import open_partial_file
from mp4gen.errors import DownloadError
from mp4gen.render import fonts
from mp4gen.server import config
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.uploads import safe_name
from mp4gen.server.queue.retention import delete_videos
from mp4gen.server.videos.folder import FolderVideos


@pytest.fixture(autouse=True)
def _windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")


class Stream:
    """A text stream that fails, or keeps what is written."""

    def __init__(self, failure: OSError | None = None) -> None:
        self.text, self._failure = "", failure

    def write(self, text: str) -> None:
        if self._failure is not None:
            raise self._failure
        self.text += text

    def flush(self) -> None:
        pass


def test_csv_has_one_line_end_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text stream of Windows makes two characters of each line feed."""
    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)

    Output().raw("a,b\r\nc,d\r\n")

    assert stream.text == "a,b\nc,d\n"


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EINVAL, BrokenPipeError), (errno.ENOSPC, OSError)]
)
def test_pipe_without_a_reader_is_recognized(
    monkeypatch: pytest.MonkeyPatch, number: int, expected: type[OSError]
) -> None:
    """A pipe without a reader is recognised, which Windows reports as an invalid argument."""
    monkeypatch.setattr(sys, "stdout", Stream(OSError(number, os.strerror(number))))

    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        Output().line("text")

    assert type(caught.value) is expected


def test_commands_are_quoted_for_its_shells() -> None:
    """The shells of Windows do not support single quotes."""
    assert join_command(["mp4gen", "convert", "my tracks.csv"]) == 'mp4gen convert "my tracks.csv"'


@pytest.mark.parametrize(("terminal", "expected"), [(None, True), ("xterm", True), ("dumb", False)])
def test_progress_bars_need_no_variable(
    monkeypatch: pytest.MonkeyPatch, terminal: str | None, *, expected: bool
) -> None:
    """The progress bars work without TERM, which Windows does not set."""
    monkeypatch.setattr(progress_bars, "is_terminal", lambda _: True)
    monkeypatch.delenv("TERM", raising=False)
    if terminal is not None:
        monkeypatch.setenv("TERM", terminal)

    assert progress_bars._can_animate() is expected


def test_files_of_its_editors_can_hold_keys(tmp_path: Path) -> None:
    """Key files of Windows editors begin with a byte order mark and have CR LF line ends."""
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfk-7f3a\r\n")
    (tmp_path / "accounts").write_bytes(b"\xef\xbb\xbfann=a-7f3a\r\nben=b-7f3a\r\n")

    assert read_secret(tmp_path / "key", "--key-file") == "k-7f3a"
    assert read_keys(Access(accounts=tmp_path / "accounts"))[1] == {
        "ann": "a-7f3a",
        "ben": "b-7f3a",
    }


def test_error_of_an_open_file_says_to_close_it() -> None:
    """The text of the system alone would send the user to the permissions."""
    error = PermissionError(errno.EACCES, "The file is in use", "run.sqlite")
    error.winerror = 32  # type: ignore[attr-defined]

    assert error_message(error) == (
        "run.sqlite: The file is in use. Close the file in other programs, then run the command "
        "again."
    )


def test_long_path_is_named(tmp_path: Path) -> None:
    """A path that is too long is reported as such, although Windows calls the folder missing."""
    target = tmp_path.joinpath(*["folder" * 8] * 5) / ("a" * 300 + ".mp4")

    with pytest.raises(DownloadError, match=r"Use a shorter path: Windows allows 259 characters\."):
        open_partial_file(target).__enter__()


def test_download_closes_its_file_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows cannot rename an open file, so the download closes it first."""
    target, rename = tmp_path / "a.mp4", Path.replace
    closed: list[bool] = []

    def check(source: Path, to: Path) -> Path:
        closed.append(part.file.closed)
        return rename(source, to)

    monkeypatch.setattr(Path, "replace", check)
    with open_partial_file(target) as part:
        part.write(b"video")
        asyncio.run(part.commit())

    assert closed == [True]
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_server_keeps_its_data_with_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below %LOCALAPPDATA%, not in a hidden folder as on Linux."""
    monkeypatch.setenv("LOCALAPPDATA", "/users/ann/AppData/Local")

    assert config.default_data() == Path("/users/ann/AppData/Local/mp4gen/server")


def test_fonts_of_the_user_and_of_the_system_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without administrator rights, a font is installed for the user."""
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    monkeypatch.setenv("WINDIR", "/windows")

    assert fonts._folders() == [Path("/local/Microsoft/Windows/Fonts"), Path("/windows/Fonts")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a:b.wav", "a_b.wav"), ("con.mp3", "_con.mp3"), ('"x"?.flac', "_x_.flac")],
)
def test_uploads_get_names_that_windows_allows(name: str, expected: str) -> None:
    """A colon would write into a hidden stream of the file `a`."""
    assert safe_name(name) == expected


def test_video_that_is_being_sent_is_deleted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task is gone; the next start deletes the file, since the store still knows it."""
    data = DataDirectory(tmp_path)
    for folder in (data.videos, data.cache):
        folder.mkdir()
    name = "a" * 24 + ".mp4"
    (data.videos / name).write_bytes(b"video")
    data.record_path(name).write_bytes(b"{}")
    forgotten: list[str] = []

    async def forget(filenames: list[str]) -> None:
        forgotten.extend(filenames)

    store: Any = SimpleNamespace(forget_videos=forget)
    videos = FolderVideos(data)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse_access)
        asyncio.run(delete_videos(store, videos, [name]))
        kept = (list(forgotten), data.record_path(name).exists())
    asyncio.run(delete_videos(store, videos, [name]))

    assert kept == ([], True)
    assert forgotten == [name]
    assert list(data.videos.iterdir()) == []


def refuse_access(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "The file is in use")
