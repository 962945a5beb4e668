"""Tests of the encoder's delay: hidden by an edit list, or left in front of sound and picture."""

from __future__ import annotations

import attrs
import av
import numpy as np
import pytest

from mp4gen.render import RenderStyle, presets, render_video

SMALL = RenderStyle(width=160, height=160)
RATE, DELAY = 44100, 1024


def render(
    tools, folder, kind: str, platform: str | None = None
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Return the samples of the music and of its video, and the times of the frames."""
    music = tools.encode(folder / f"t{kind}", tools.tone(1.0, RATE), RATE)
    video = folder / "o.mp4"
    render_video(music, video, style=attrs.evolve(SMALL, platform=platform))
    with av.open(str(video)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    return tools.decode(music)[0], tools.decode(video)[0], times


def ratio(before: np.ndarray, after: np.ndarray) -> float:
    noise = float(np.square(before - after[:, : before.shape[1]]).sum())
    return 10 * np.log10(float(np.square(before).sum()) / max(noise, 1e-9))


@pytest.mark.parametrize("kind", [".wav", ".m4a"])
def test_edit_list_hides_the_delay(tools, tmp_path, kind):
    """Audio and picture begin immediately in every player."""
    before, after, times = render(tools, tmp_path, kind)

    assert b"elst" in (tmp_path / "o.mp4").read_bytes()
    assert ratio(before, after) > 30
    assert times[:2] == pytest.approx([0, 1 / 30], abs=1e-4)


@pytest.mark.parametrize("kind", [".wav", ".m4a"])
def test_without_edit_list_the_picture_waits_for_the_sound(tools, tmp_path, monkeypatch, kind):
    """The first frame lasts longer by the delay, to the sample; copied AAC keeps its own delay."""
    monkeypatch.setitem(presets.PRESETS, "picky", presets.Preset(label="X", edit_list=False))

    before, after, times = render(tools, tmp_path, kind, "picky")

    delay = DELAY / RATE
    assert b"elst" not in (tmp_path / "o.mp4").read_bytes()
    assert ratio(before, after[:, DELAY:]) > 30
    assert times[:3] == pytest.approx([0, 1 / 30 + delay, 2 / 30 + delay], abs=1e-4)
