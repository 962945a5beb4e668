"""Tests of sizes and frame rates, judged by the content of the MP4."""

from __future__ import annotations

import math
from fractions import Fraction

import av
import numpy as np
import pytest

from mp4gen.render import RenderStyle, render_video
from mp4gen.render.looks.bars import layout_for


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fps", "seconds"),
    [(24, 6), (Fraction(30000, 1001), 36), (30, 6), (50, 6), (Fraction(60000, 1001), 18), (60, 6)],
)
def test_clicks_stay_in_sync_at_every_frame_rate(tools, tmp_path, fps, seconds):
    """A rate that was off by a thousandth would be a frame late after 36 seconds, or 18."""
    steps = np.random.default_rng(13).uniform(0.5, 0.9, 50)
    times = [time for time in np.cumsum(steps) if time < seconds - 0.2]
    samples = tools.clicks(times, float(seconds), 48000)
    music = tools.encode(tmp_path / "clicks.wav", samples, 48000)
    video = tmp_path / "o.mp4"

    result = render_video(music, video, style=RenderStyle(width=144, height=144, fps=fps))

    layout = layout_for(144, 144)
    rows = slice(layout.bars_base - layout.bars_height, layout.bars_base)
    seen = np.array(tools.visible_clicks(video, (rows, slice(None)), fps), float)
    heard = tools.audible_clicks(video)
    offsets = [float(np.abs(seen - click).min() * fps) for click in heard]
    assert len(heard) == len(times)
    assert max(offsets) <= 1.0, offsets
    assert (result.fps, result.frames) == (fps, math.ceil(seconds * fps))
    assert result.duration == pytest.approx(float(result.frames / fps))
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        shown = [packet.pts * packet.time_base for packet in container.demux(stream) if packet.size]
        assert stream.average_rate == fps
    assert shown == [number / Fraction(fps) for number in range(result.frames)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("style", "level"),
    [
        (RenderStyle(), 31),
        (RenderStyle(width=1920, height=1080, quality="fine"), 40),
        (RenderStyle(width=1080, height=1920, fps=59.94), 42),
        (RenderStyle(width=2160, height=3840, fps=60), 52),
    ],
)
def test_h264_level_is_the_lowest_for_its_size_and_rate(tools, tmp_path, style, level):
    """High profile, square pixels; phones accept 4.1 for 1080p30."""
    music, video = tools.encode(tmp_path / "t.wav", tools.tone(0.5)), tmp_path / "o.mp4"

    render_video(music, video, style=style)

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        settings = stream.codec_context.extradata
        assert (stream.width, stream.height) == (style.width, style.height)
        assert stream.codec_context.sample_aspect_ratio == 1
    # The decoder's settings as MP4 holds them: version, profile, compatibility, level.
    assert settings[1] == 100
    assert settings[3] == level
    assert b"pasp" + bytes([0, 0, 0, 1, 0, 0, 0, 1]) in video.read_bytes()
