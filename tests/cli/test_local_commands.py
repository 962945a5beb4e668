"""`mp4gen render` and `mp4gen demo`, on the real renderer and the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mp4gen.cli.demo import run_demo
from mp4gen.cli.output import Output
from mp4gen.cli.runner import run
from mp4gen.cli.tunes import Piece, drums, voices
from mp4gen.cli.tunes.score import Band, Part, Player, wav


def _jingle(band: Band) -> None:
    band.chord(Player(0.4, voice=voices.harp), 0, "C4 E4 G4", 2, 0.8)
    band.drum(drums.kick, Part(0.5), range(4), 0.8)


JINGLES = (Piece("Jingle A", tempo=240, beats=4, ring=0.5, swing=0.5, play=_jingle),)


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A second of a tone, titled."""
    path = tmp_path / "tone.wav"
    t = np.arange(44_100, dtype=np.float32) / 44_100
    path.write_bytes(wav(np.stack([np.sin(2764 * t)] * 2) * np.float32(0.5), title="Tone"))
    return path


def test_a_file_is_rendered_as_asked(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """Size, rate and sound are those of the options; the record tells what was made."""
    words = ("--to", tmp_path / "x.mp4", "--size", "256x256", "--fps", 24, "--audio", "copy")

    ended = mp4gen("render", tone, *words, "--author", "Ann", "--json")

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
    assert "raise timeout or choose a smaller picture" in ended.err
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
    assert "x.mp3 is not music" in ended.err
    assert not (tmp_path / "x.mp4").exists()


def test_the_demo_goes_all_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Music, server, client, videos; each step is told, and what to try next."""
    code = run(run_demo(JINGLES, tmp_path, Output()))

    out, err = capsys.readouterr()
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo-jingle-a.mp4"]
    for step in ("playing the music", "rendering", "downloading", "done: "):
        assert f"Jingle A: {step}" in err
    assert "mp4gen convert tracks.csv --to videos/" in out
    with av.open(str(tmp_path / "demo-jingle-a.mp4")) as made:
        assert made.metadata["title"] == "Jingle A"
        assert made.streams.video[0].width == 1280
