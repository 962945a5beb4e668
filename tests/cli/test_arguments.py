"""`~` in arguments: shells expand it in `--to ~/x`, but not in `--to=~/x` or in quotes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mp4gen.cli.arguments import expand_user, expand_user_text
from mp4gen.testing import FakeService


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a new home folder; the current folder is another one."""
    folder = tmp_path / "home"
    folder.mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path / "cwd")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["credits", "--key-file=~/none"],
        ["credits", "--key=k", "--ca-file=~/none"],
        ["convert", "~/none", "--to=x"],
        ["ledger", "~/none"],
        ["demo", "--to=~/file/none"],
        ["convert", "~/t.csv", "--to=~/file/none", "--key=k"],
        ["serve", "--music=~/none"],
        ["serve", "--music=.", "--key-file=~/none"],
        ["serve", "--music=.", "--accounts=~/none"],
        ["serve", "--music=.", "--callback-secret-file=~/none"],
        ["serve", "--music=.", "--tls-cert=~/none", "--tls-key=~/none"],
    ],
    ids=" ".join,
)
def test_each_path_option_expands_the_tilde(
    mp4gen: Any, home: Path, tmp_path: Path, arguments: list[str]
) -> None:
    """The error names the whole path, and nothing named `~` appears."""
    (home / "file").touch()
    (home / "t.csv").write_text("taskId,audioId\nm,a\n")

    ended = mp4gen(*arguments)

    assert ended.code == 2
    assert str(home) in ended.err
    assert list((tmp_path / "cwd").iterdir()) == []


def test_videos_and_ledger_land_in_the_home_folder(
    service: FakeService, mp4gen: Any, home: Path, tmp_path: Path
) -> None:
    """Folders, files and new folders with a slash at the end."""
    (home / "t.csv").write_text("taskId,audioId\nm,a\n")
    ended = mp4gen("convert", "~/t.csv", "--to=~/v", "--ledger=~/run.sqlite", "--json")
    task_id = ended.records[0]["video_task_id"]

    codes = [
        ended.code,
        mp4gen("wait", task_id, "--to=~/w/").code,
        mp4gen("download", task_id, "--to=~/d.mp4").code,
        mp4gen("ledger", "~/run.sqlite").code,
    ]

    assert codes == [0] * 4
    assert {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()} == {
        "t.csv", "v/a.mp4", "run.sqlite", "w/a.mp4", "d.mp4"
    }  # fmt: skip
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.mark.slow
def test_render_reads_and_writes_in_the_home_folder(mp4gen: Any, home: Path, tone: Path) -> None:
    """The audio file and the video."""
    tone.rename(home / "tone.wav")

    ended = mp4gen("render", "~/tone.wav", "--to=~/a.mp4", "--size=320x180")

    assert ended.code == 0
    assert (home / "a.mp4").exists()


def test_environment_variables_of_serve_expand_the_tilde(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """A service manager's file knows no shell."""
    monkeypatch.setenv("MP4GEN_SERVE_MUSIC", "~/none")

    assert f"The music folder {home}/none does not exist" in mp4gen("serve").err


def test_expand_user_keeps_other_values() -> None:
    """Text is no path: an author may be called `~`. An unknown user stays."""
    assert expand_user("~/x") == "~/x"
    assert expand_user([Path("~nobody-here/x"), 3]) == [Path("~nobody-here/x"), 3]
    assert expand_user_text("~nobody-here/x/") == "~nobody-here/x/"
