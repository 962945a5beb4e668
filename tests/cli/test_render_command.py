"""`mp4gen render`, on the real renderer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest


def test_render_follows_its_options(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """The video has the size, frame rate and audio of the options, and the record states them."""
    options = ("--to", tmp_path / "x.mp4", "--size", "256x256", "--fps", 24, "--audio", "copy")

    ended = mp4gen("render", tone, *options, "--title", "Tone", "--author", "Ann", "--json")

    (record,) = ended.records
    assert ended.code == 0
    assert (record["width"], record["height"], record["fps"]) == (256, 256, 24)
    assert record["audio_codec"] == "flac"
    with av.open(str(tmp_path / "x.mp4")) as made:
        assert (made.metadata["title"], made.metadata["artist"]) == ("Tone", "Ann")


def test_render_stops_at_its_timeout(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """The error names the option."""
    ended = mp4gen("render", tone, "--to", tmp_path / "x.mp4", "--timeout", "1e-9")

    assert ended.code == 2
    assert "Raise timeout or choose a smaller size." in ended.err
    assert not (tmp_path / "x.mp4").exists()


def test_render_prints_the_path_of_the_video(
    mp4gen: Any, tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the current folder."""
    monkeypatch.chdir(tmp_path)

    ended = mp4gen("render", tone, "--to", "x.mp4", "--size", "256x144")

    assert ended.out.startswith("x.mp4  (1 s, 256x144, ")
    assert "tone.wav: rendering" in ended.err


def test_render_rejects_a_file_without_audio(mp4gen: Any, tmp_path: Path) -> None:
    """The exit code is 2, and no file is created."""
    (tmp_path / "x.mp3").write_text("no music")

    ended = mp4gen("render", tmp_path / "x.mp3", "--to", tmp_path / "x.mp4")

    assert ended.code == 2
    assert "Not a readable audio file: x.mp3." in ended.err
    assert not (tmp_path / "x.mp4").exists()
