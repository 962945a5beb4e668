"""The shell lines of the README run as written, and the quickstart with them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mp4gen.testing import FakeService
from tests.docs.support_readme import ROOT, block_with, blocks, write_song

BASH = shutil.which("bash") or "bash"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the lines are for a POSIX shell"),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with a home folder of its own, and the command of this Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MP4GEN_")}
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    return {**kept, "HOME": str(tmp_path / "home"), "PATH": path}


def run(lines: str, folder: Path, environment: dict[str, str]) -> str:
    """Run shell lines in a folder, and return their output."""
    ended = subprocess.run(
        [BASH, "-euc", lines],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_lines_of_the_client_make_videos(
    mp4gen_service: FakeService, environment: dict[str, str], tmp_path: Path
) -> None:
    """A table is converted, and a single track is created and awaited."""
    lines = block_with("mp4gen convert", "sh")

    run(lines, tmp_path, {**environment, "MP4GEN_BASE_URL": mp4gen_service.url})

    tracks = [task.request.audio_id for task in mp4gen_service.tasks.values()]
    assert tracks == ["e231", "e232"]
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 2


def test_lines_of_the_renderer_make_videos(environment: dict[str, str], tmp_path: Path) -> None:
    """One file, many files and a folder, and a video for each of two platforms."""
    write_song(tmp_path / "song.mp3", 5.6)
    write_song(tmp_path / "home" / "Music" / "Album" / "other.mp3", 0.6)

    run(block_with("mp4gen render", "sh"), tmp_path, environment)

    videos = {path.name for path in tmp_path.rglob("*.mp4")}
    assert videos == {"song.mp4", "other.mp4", "song.reel.mp4", "song.youtube.mp4"}


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Run the README's server on a free port, and return what it prints."""
    write_song(tmp_path / "home" / "Music" / "Night Drives" / "Slow Harbour.mp3", 0.6)
    process = subprocess.Popen(
        [BASH, "-euc", f"exec {block_with('mp4gen serve', 'sh')}"],
        cwd=tmp_path,
        env={**environment, "MP4GEN_SERVE_PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield next((line for line in process.stdout if "http://" in line), "")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode in (0, 143)


def test_server_answers_the_program_of_the_quickstart(
    server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """A track of the folder becomes a video without a vendor, and there is a page."""
    found = re.search(r"http://127\.0\.0\.1:\d+", server)
    assert found is not None, server
    page = (ROOT / ".docs" / "pages" / "quickstart.md").read_text(encoding="utf-8")
    (program,) = blocks("python", page)
    (tmp_path / "one_track.py").write_text(program)

    variables = {**environment, "MP4GEN_BASE_URL": found[0]}
    printed = run(f"{sys.executable} one_track.py", tmp_path, variables)

    assert Path(printed.strip()) == Path("videos", "Slow Harbour.mp4")
    assert (tmp_path / printed.strip()).stat().st_size > 10_000
    with urllib.request.urlopen(f"{found[0]}/") as start:  # noqa: S310 - our own server
        assert b"<title>" in start.read()
