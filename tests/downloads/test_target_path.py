"""Where a download goes: a file or a folder, through links, and never over a device."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop meanwhile

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from mp4gen import DownloadError, Video
from mp4gen.downloads.target_path import target_path
from mp4gen.testing import FakeService
from tests.support_cdn import MOVIE, FileHost, names_in


def videos(host: FileHost, number: int = 1) -> list[Video]:
    return [Video(f"task{n}", host.url, f"track{n}") for n in range(number)]


@pytest.mark.parametrize("to", ["videos", "new/videos", "my.videos", "videos.mp4/", "v1.0"])
async def test_path_that_does_not_end_in_mp4_is_a_folder(tmp_path: Path, to: str) -> None:
    """Failure mode 52: it is created, and three videos are three files."""
    async with FileHost() as host, FakeService() as service, service.client() as client:
        paths = [await client.download(video, f"{tmp_path}/{to}") for video in videos(host, 3)]

    assert paths == [tmp_path / to / f"track{n}.mp4" for n in range(3)]
    assert {path.read_bytes() for path in paths} == {MOVIE}


@pytest.mark.parametrize("to", ["a.mp4", "new/b.MP4"])
async def test_path_that_ends_in_mp4_is_a_file(tmp_path: Path, to: str) -> None:
    """Its folder is created."""
    async with FileHost() as host, FakeService() as service, service.client() as client:
        path = await client.download(host.url, tmp_path / to)

    assert path == tmp_path / to
    assert path.read_bytes() == MOVIE


async def test_folder_whose_name_ends_in_mp4_stays_a_folder(tmp_path: Path) -> None:
    """The file goes into it."""
    (tmp_path / "all.mp4").mkdir()
    async with FileHost() as host, FakeService() as service, service.client() as client:
        path = await client.download(*videos(host), tmp_path / "all.mp4")

    assert path == tmp_path / "all.mp4" / "track0.mp4"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


def _link_to_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [_pipe, _socket, _link_to_device])
async def test_special_file_is_refused(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename would replace it; no request is sent."""
    monkeypatch.chdir(tmp_path)
    make(Path("x.mp4"))
    before = Path("x.mp4").lstat()
    async with FileHost() as host, FakeService() as service, service.client() as client:
        with pytest.raises(DownloadError, match=r"Cannot write x\.mp4: Not a regular file\. Use"):
            await client.download(host.url, "x.mp4")

    assert Path("x.mp4").lstat().st_ino == before.st_ino
    assert host.requests == []
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


async def test_device_is_refused(tmp_path: Path) -> None:
    """`--to /dev/null`, even as root."""
    async with FileHost() as host, FakeService() as service, service.client() as client:
        with pytest.raises(DownloadError, match=r"Cannot write /dev/null/movie\.mp4: .*Use a fold"):
            await client.download(host.url, "/dev/null")

    assert host.requests == []
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("exists", [True, False], ids=["whole", "dangling"])
async def test_symbolic_link_is_followed(tmp_path: Path, exists: bool) -> None:
    """The file that it names is replaced or created, and the link stays."""
    real, link = tmp_path / "real" / "movie.mp4", tmp_path / "latest.mp4"
    real.parent.mkdir()
    if exists:
        real.write_bytes(b"old")
    link.symlink_to(real)
    async with FileHost() as host, FakeService() as service, service.client() as client:
        path = await client.download(host.url, link)

    assert path == link
    assert link.readlink() == real
    assert real.read_bytes() == MOVIE
    assert names_in(tmp_path) == ["latest.mp4", "real"]
    assert names_in(real.parent) == ["movie.mp4"]


async def test_link_to_itself_is_an_error(tmp_path: Path) -> None:
    """The error names the path."""
    loop = tmp_path / "loop.mp4"
    loop.symlink_to(loop)
    async with FileHost() as host, FakeService() as service, service.client() as client:
        with pytest.raises(DownloadError, match=r"Cannot write .*loop\.mp4: "):
            await client.download(host.url, loop)


async def test_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of the name `~` is created."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    async with FileHost() as host, FakeService() as service, service.client() as client:
        path = await client.download(*videos(host), "~/videos")

    assert path == tmp_path / "home" / "videos" / "track0.mp4"
    assert names_in(tmp_path) == ["home"]


def test_unknown_home_folder_is_a_download_error() -> None:
    """The error names the path."""
    with pytest.raises(DownloadError, match=r"^No home folder for ~no-such-user/x\. Use an abs"):
        target_path("https://example.com/x", "~no-such-user/x")


@pytest.mark.parametrize(
    "to",
    [
        "x" * 300,
        "x" * 300 + ".mp4",
        "a\0b",
        "a\0b.mp4",
        "file/x",
        "file",
        "file/y.mp4",
        "x/" * 3000,
    ],
    ids=["name", "file", "null", "null file", "in file", "is file", "file in file", "long"],
)
async def test_impossible_path_is_a_download_error(tmp_path: Path, to: str) -> None:
    """Failure mode 53: whatever the operating system raises."""
    (tmp_path / "file").write_bytes(b"mine")
    async with FileHost() as host, FakeService() as service, service.client() as client:
        with pytest.raises(DownloadError, match=r"^Cannot write "):
            await client.download(host.url, f"{tmp_path}/{to}")

    assert host.requests == []
    assert (tmp_path / "file").read_bytes() == b"mine"
