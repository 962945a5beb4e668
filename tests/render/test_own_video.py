"""Which files count as complete videos of this package."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from mp4gen.render import RenderStyle, render_video
from mp4gen.render.own_video import is_own_video


@pytest.fixture
def video(tone_wav: Path, tmp_path: Path) -> Path:
    return render_video(
        tone_wav, tmp_path / "o.mp4", style=RenderStyle(width=144, height=144, fps=24)
    ).path


def test_complete_video_is_recognised(video: Path) -> None:
    """Also with other boxes behind it, as some tag editors write them."""
    assert is_own_video(video)

    with video.open("ab") as file:
        file.write(b"\0\0\0\x0cfree1234")

    assert is_own_video(video)


def test_incomplete_video_is_not_recognised(video: Path) -> None:
    """Wherever it ends, and if its content was lost in a crash of the machine."""
    content = video.read_bytes()
    for size in (0, 4, 100, len(content) // 2, len(content) - 1):
        video.write_bytes(content[:size])
        assert not is_own_video(video), size
    video.write_bytes(bytes(len(content)))

    assert not is_own_video(video)


def test_video_of_another_program_is_not_recognised(video: Path, tmp_path: Path) -> None:
    """A video without the comment of this package is not recognised."""
    other = tmp_path / "other.mp4"
    with av.open(str(video)) as source, av.open(str(other), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)

    assert not is_own_video(other)
