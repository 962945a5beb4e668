"""`mp4gen render`, on the real renderer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest


def test_a_file_is_rendered_as_asked(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """Size, rate and sound are those of the options; the record tells what was made."""
    words = ("--to", tmp_path / "x.mp4", "--size", "256x256", "--fps", 24, "--audio", "copy")

    ended = mp4gen("render", tone, *words, "--title", "Tone", "--author", "Ann", "--json")

    (record,) = ended.records
    assert ended.code == 0
    assert (record["width"], record["height"], record["fps"]) == (256, 256, 24)
    assert record["audio_codec"] == "flac"
    with av.open(str(tmp_path / "x.mp4")) as made:
        assert (made.metadata["title"], made.metadata["artist"]) == ("Tone", "Ann")


def test_a_render_ends_when_its_time_is_over(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """The limit that the sentence names can be set."""
    ended = mp4gen("render", tone, "--to", tmp_path / "x.mp4", "--timeout", "1e-9")

    assert ended.code == 2
    assert "Raise timeout or choose a smaller size." in ended.err
    assert not (tmp_path / "x.mp4").exists()


def test_a_render_tells_people_where_the_video_is(
    mp4gen: Any, tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to where they are."""
    monkeypatch.chdir(tmp_path)

    ended = mp4gen("render", tone, "--to", "x.mp4", "--size", "256x144")

    assert ended.out.startswith("x.mp4  (1 s, 256x144, ")
    assert "tone.wav: rendering" in ended.err


def test_what_is_no_music_is_refused(mp4gen: Any, tmp_path: Path) -> None:
    """2, one sentence, and no file."""
    (tmp_path / "x.mp3").write_text("no music")

    ended = mp4gen("render", tmp_path / "x.mp3", "--to", tmp_path / "x.mp4")

    assert ended.code == 2
    assert "Not a readable audio file: x.mp3." in ended.err
    assert not (tmp_path / "x.mp4").exists()
