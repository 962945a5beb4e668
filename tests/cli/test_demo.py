"""The demo: its bundled music, and its way to videos on the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mp4gen.cli import demo
from mp4gen.cli.demo import bundled_music, run_demo
from mp4gen.cli.output import Output
from mp4gen.cli.runner import run

Samples = NDArray[np.float32]

MUSIC = [Path(str(file)) for file in bundled_music()]
PIECES = {"Harbour Lights": 25.46, "Night Train": 27.21, "Paper Lanterns": 25.26}
AUTHOR = "The mp4gen Trio"


def decode(path: Path) -> tuple[Samples, int, dict[str, str]]:
    """Return the samples (channels, n) of a file, their rate, and its tags."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        parts = [frame.to_ndarray() for frame in file.decode(stream)]
        return np.concatenate(parts, axis=1), stream.rate, {**file.metadata, **stream.metadata}


def decibels(samples: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))) + 1e-9))


def test_demo_bundles_three_pieces_and_their_origin() -> None:
    """The note beside them says how they were made."""
    assert [file.stem for file in MUSIC] == list(PIECES)
    assert "libopus" in MUSIC[0].with_name("README.txt").read_text()


@pytest.mark.parametrize("file", MUSIC, ids=lambda file: file.stem)
def test_bundled_piece_has_its_length_tags_and_loudness(file: Path) -> None:
    """It has no gap, and it does not clip."""
    samples, rate, tags = decode(file)
    seconds = [samples[:, at : at + rate] for at in range(0, samples.shape[1] - 3 * rate, rate)]

    assert samples.shape[1] / rate == pytest.approx(PIECES[file.stem], abs=0.01)
    assert (tags["title"], tags["artist"]) == (file.stem, AUTHOR)
    assert -16 < decibels(samples) < -14
    assert min(map(decibels, seconds)) > -30
    assert np.abs(samples).max() < 1.0
    assert np.corrcoef(samples)[0, 1] < 0.95


def test_demo_without_its_music_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mp4gen: Any
) -> None:
    """Failure mode 45: a slimmed bundle has no data files, and the text says so."""
    monkeypatch.setattr(demo, "_MUSIC_FOLDER", tmp_path / "none")

    ended = mp4gen("demo", "--to", str(tmp_path / "videos"))

    assert ended.code == 2
    assert ended.err.startswith("mp4gen: No music for the demo: ")


@pytest.mark.slow
def test_demo_reports_each_step_and_writes_a_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary suggests further commands."""
    code = run(run_demo(MUSIC[:1], tmp_path, Output()))

    out, err = capsys.readouterr()
    assert code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo-harbour-lights.mp4"]
    for step in ("submitted", "rendering", "downloading", "done: "):
        assert f"Harbour Lights: {step}" in err
    assert "mp4gen convert tracks.csv --to videos/" in out
    with av.open(str(tmp_path / "demo-harbour-lights.mp4")) as video:
        assert (video.metadata["title"], video.metadata["artist"]) == ("Harbour Lights", AUTHOR)
        assert video.streams.video[0].width == 1280
        assert (video.duration or 0) / 1e6 == pytest.approx(PIECES["Harbour Lights"], abs=0.1)
