"""The curve of the look `wave`, and the memory of its slow part."""

from __future__ import annotations

import numpy as np
import pytest

from mp4gen.render.analysis import Features
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import Accent, rgb_to_oklch
from mp4gen.render.cover import generate_cover
from mp4gen.render.looks import find_look
from mp4gen.render.looks.look import CONTENT, Content, SceneSpec
from mp4gen.render.motion import Run
from mp4gen.render.parts import wave_curve
from mp4gen.render.parts.wave_profile import Profile
from mp4gen.render.scene import Scene
from mp4gen.render.text import Typesetter


def test_curve_never_overshoots_the_bands():
    """Between two bands it stays between their heights."""
    heights = np.random.default_rng(2).random((3, 64), np.float32)
    columns = wave_curve.Columns(1280, 64, 0.0)

    curves = columns.curves(heights)

    places = (np.arange(1280) + 0.5) / 20 - 0.5
    middle = slice(120, 1160)
    left = np.clip(places.astype(int), 0, 62)
    low = np.minimum(heights[:, left], heights[:, left + 1])[:, middle]
    high = np.maximum(heights[:, left], heights[:, left + 1])[:, middle]
    assert (curves[:, middle] >= low - 1e-5).all()
    assert (curves[:, middle] <= high + 1e-5).all()
    # The columns beside the place of band 32.
    np.testing.assert_allclose(curves[:, 649:651].mean(axis=1), heights[:, 32], atol=0.01)


def test_curve_ends_at_rest_at_the_edges():
    """The wave comes from the left edge and leaves at the right."""
    curve = wave_curve.Columns(640, 64, 10.0).curves(np.ones((1, 64), np.float32))[0]

    assert curve[0] == curve[-1] == 0
    assert (np.diff(curve[:60]) >= 0).all()
    assert curve[60:-60].min() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_slow_wave_remembers_the_highest_of_the_last_time(fps):
    """It sinks at the same rate at any frame rate, then forgets."""
    heights = np.zeros((2 * fps, 4), np.float32)
    heights[fps // 2] = 1.0

    highest = wave_curve.highest_of(heights, fps)[:, 0]

    later = highest[fps // 2 + round(0.5 * fps)]
    assert highest[fps // 2] == 1.0
    assert later == pytest.approx(np.exp(-0.5 / wave_curve.BACK_DECAY), rel=0.02)
    assert highest[fps // 2 + fps] == 0
    assert highest[: fps // 2].max() == 0


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_front_rises_in_the_frame_of_a_beat(fps):
    """Half of a rise is visible at once, all of it after a tenth of a second."""
    heights = np.zeros((fps, 1), np.float32)
    heights[10:] = 1.0

    smooth = wave_curve.smoothed(heights, fps)[:, 0]

    assert smooth[9] == 0
    assert smooth[10] > 0.15
    assert smooth[10 + int(0.1 * fps) :].min() == pytest.approx(1.0, abs=1e-5)


def test_opacities_sum_up_at_most_to_one():
    """A pixel is a mix of ground, fill and line, also where light overlaps."""
    line, covered = Profile(75.0, 0.5, 110, 0.5).front(1.0)

    assert (line >= 0).all()
    assert (covered >= line).all()
    assert (covered <= 1).all()
    assert line.max() == 1.0


def test_wave_is_lit_in_the_colours_of_the_accent():
    """The line is nearly white; under it lies a strong colour near the accent's hue."""
    layout = find_look("wave")(1280, 720, CONTENT)
    cover = generate_cover(b"golden--", layout.cover.width)
    spec = SceneSpec(
        layout=layout, cover=cover, accent=Accent(250.0, 1.0), title="", author="",
        domain_name="", fps=30, frame_count=300,
    )  # fmt: skip
    features = Features(np.zeros((300, layout.bands), np.uint8), 10.0)
    canvas = Canvas(1280, 720)
    heights = np.full((1, layout.bands), 0.8, np.float32)
    before = np.repeat(heights, 30, axis=0)
    run = Run(150, heights, np.zeros(1, np.float32), before)

    next(Scene(spec, features, canvas, Typesetter()).draw_frames(run))

    column = canvas.to_rgb()[:, 640].astype(np.float32)[: layout.wave.axis] / 255
    brightest = int(column.sum(axis=1).argmax())
    lightness, chroma, hue = rgb_to_oklch(column[[brightest, brightest + 8]])
    assert layout.wave.axis - brightest == pytest.approx(0.8 * layout.wave.up, abs=1.5)
    assert lightness[0] > 0.85
    assert chroma[1] > 0.1
    assert abs(hue[1] - 250) < 20


@pytest.mark.parametrize("lyrics", [None, "ltr", "rtl"])
@pytest.mark.parametrize(
    "size", [(1280, 720), (540, 960), (720, 720), (720, 900), (144, 144), (3840, 144), (146, 1000)]
)
def test_wave_leaves_room_for_words_and_lines(size, lyrics):
    """It lies between the words or the lyrics above, and the progress line below."""
    layout = find_look("wave")(*size, Content(lyrics=lyrics))
    above = layout.words.box if lyrics is None else layout.lyrics.box

    assert above.bottom <= layout.wave.top < layout.wave.axis < layout.wave.bottom
    assert layout.wave.bottom <= layout.progress.top - 1
    assert layout.wave.axis % 2 == layout.wave.top % 2 == layout.wave.bottom % 2 == 0
    assert layout.progress.bottom < size[1]
    assert layout.cover.bottom <= layout.wave.top
