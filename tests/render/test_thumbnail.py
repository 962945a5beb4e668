"""Tests of images extracted from a finished video."""

from pathlib import Path

import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, render_frame, render_video
from mp4gen.render.thumbnail import extract_frame

STYLE = RenderStyle(width=256, height=144, fps=24)


@pytest.mark.slow
def test_extract_frame_returns_the_frame_at_a_time(tmp_path: Path, tone_wav: Path) -> None:
    """A time beyond the end gives the last frame."""
    video = render_video(tone_wav, tmp_path / "v.mp4", style=STYLE).path
    durations: list[float] = []

    def half(seconds: float) -> float:
        durations.append(seconds)
        return seconds / 2

    found = extract_frame(video, half)
    late = extract_frame(video, lambda seconds: seconds + 100)

    expected = render_frame(tone_wav, time=durations[0] / 2, style=STYLE)
    assert found.size == late.size == (256, 144)
    differences = [abs(a - b) for a, b in zip(found.tobytes(), expected.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 5


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_extract_frame_refuses_other_files(tmp_path: Path, content: bytes | None) -> None:
    """A missing, empty or other file gives a sentence."""
    path = tmp_path / "v.mp4"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(RenderError, match=r"Cannot read the video: v\.mp4\."):
        extract_frame(path, lambda _: 0.0)
