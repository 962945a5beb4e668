"""The position of the waveform: once a second, in figures of equal width."""

from __future__ import annotations

import numpy as np
import pytest

from mp4gen.render.parts.time_labels import _Figures, label_box
from mp4gen.render.text import Typesetter
from mp4gen.render.times import clock

from .support_scenes import FPS, a_scene, draw, layout_of, movement

SIZE = (640, 360)


def label(frame: int) -> np.ndarray:
    scene, canvas = a_scene("waveform", SIZE)
    draw(scene, movement("waveform", SIZE), [frame])
    return canvas.planes[0][box().slices]


def box():
    times = layout_of("waveform", SIZE).times
    figures = _Figures(Typesetter(), times.size, 0.0)
    return label_box(times, figures.width("0:10"), *SIZE)


def test_position_changes_once_a_second():
    """In the first frame that ends in the next second."""
    one, same, other = label(FPS - 1), label(2 * FPS - 2), label(2 * FPS - 1)

    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_last_frame_shows_the_whole_length():
    """Ten seconds of music end at 0:10."""
    assert (label(10 * FPS - 1) != label(10 * FPS - 2)).any()


def test_figures_have_equal_width():
    """No figure moves when another one changes."""
    figures = _Figures(Typesetter(), 18.0, 0.0)

    assert figures.width("1:11") == figures.width("4:08") == figures.width("9:59")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_clock_has_hours_if_it_needs_them(seconds, text):
    """An hour of a mix is an hour."""
    assert clock(seconds) == text
