"""Tests of sizes and frame rates, judged by the content of the MP4."""

from __future__ import annotations

import math
from fractions import Fraction

import av
import numpy as np
import pytest
from attrs import evolve

from mp4gen.render import RenderStyle, motion, render_video
from mp4gen.render.analysis import analyse
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import Accent
from mp4gen.render.looks import find_look
from mp4gen.render.looks.bars import layout_for
from mp4gen.render.looks.look import CONTENT, Layout, SceneSpec
from mp4gen.render.looks.pulse import PulseLayout
from mp4gen.render.looks.ring import RingLayout
from mp4gen.render.looks.wave import WaveLayout
from mp4gen.render.loudness import Loudness
from mp4gen.render.motion import Run
from mp4gen.render.scene import Scene
from mp4gen.render.text import Typesetter


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fps", "seconds"),
    [(24, 6), (Fraction(30000, 1001), 36), (30, 6), (50, 6), (Fraction(60000, 1001), 18), (60, 6)],
)
def test_clicks_stay_in_sync_at_every_frame_rate(tools, tmp_path, fps, seconds):
    """A rate that was off by a thousandth would be a frame late after 36 seconds, or 18."""
    steps = np.random.default_rng(13).uniform(0.5, 0.9, 50)
    # The bars of a longer video rest in its ending.
    times = [time for time in np.cumsum(steps) if time < seconds - motion.ENDING_SECONDS - 0.1]
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


def moving_rows(layout: Layout) -> slice:
    """Return the rows of a look that get brighter with a sound."""
    if isinstance(layout, RingLayout):
        box = layout.ring.box(layout.width, layout.height)
        return slice(box.top, box.bottom)
    if isinstance(layout, WaveLayout):
        return slice(layout.wave.top, layout.wave.axis)
    assert isinstance(layout, PulseLayout)
    return slice(0, layout.rings.boxes[-1].bottom)


@pytest.mark.slow
@pytest.mark.parametrize("fps", [24, Fraction(30000, 1001), 30, 60])
@pytest.mark.parametrize("look", ["ring", "wave", "pulse"])
def test_clicks_stay_in_sync_in_every_look(tools, tmp_path, look, fps):
    """Every click is seen in its own frame or the next."""
    times = np.cumsum(np.random.default_rng(17).uniform(0.6, 0.9, 6))
    music = tools.encode(tmp_path / "clicks.wav", tools.clicks(times, 6.0, 48000), 48000)
    video = tmp_path / "o.mp4"
    layout = find_look(look)(320, 180, CONTENT)

    render_video(music, video, style=RenderStyle(look=look, width=320, height=180, fps=fps))

    seen = tools.visible_clicks(video, (moving_rows(layout), slice(None)), fps)
    offsets = [float(np.abs(np.array(seen, float) - time).min() * fps) for time in times]
    assert len(seen) == len(times)
    assert max(offsets) <= 1.0, offsets


@pytest.mark.parametrize("fps", [24, Fraction(30000, 1001), 30, 60])
def test_columns_of_the_waveform_grow_with_the_clicks(tools, tmp_path, fps):
    """The loudness that they grow with is that of the frame."""
    # Each in one frame, not in two.
    clicks = np.rint(np.array([0.7, 1.5, 2.3, 3.0, 3.7, 4.4]) * float(fps))
    times = (clicks + 0.1) / float(fps)
    samples = tools.clicks(times, 6.0, 48000) + 0.1 * tools.tone(6.0, 48000)
    music = tools.encode(tmp_path / "clicks.wav", samples, 48000)
    layout = find_look("waveform")(640, 360, CONTENT)
    features = analyse(music, fps=fps, bands=layout.bands, max_duration=9)
    # As part of a long track, whose columns fill slowly.
    padded = evolve(
        features,
        levels=np.tile(features.levels, (60, 1)),
        loudness=Loudness(np.tile(features.loudness.rms, 60), np.tile(features.loudness.peaks, 60)),
    )
    spec = SceneSpec(
        layout=layout, cover=np.zeros((layout.cover.width, layout.cover.width, 3), np.float32),
        accent=Accent(0.0, 1.0), title="", author="", domain_name="", fps=fps,
        frame_count=padded.levels.shape[0],
    )  # fmt: skip
    canvas = Canvas(640, 360)
    scene = Scene(spec, padded, canvas, Typesetter())
    first = 31 * features.levels.shape[0]
    zeros = np.zeros((features.levels.shape[0], layout.bands), np.float32)
    run = Run(first, zeros, zeros[:, 0], zeros)
    rows = canvas.planes[0][layout.waveform.rows[0] : layout.waveform.axis]

    rises = np.diff([float(rows.mean()) for _ in scene.draw_frames(run)])

    found = np.sort(np.argsort(-rises)[: clicks.size] + 1)
    assert np.abs(found - clicks).max() <= 1


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
