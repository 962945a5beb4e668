"""The dark background made of a cover: its lightness, its hues, and no edges."""

from __future__ import annotations

import numpy as np
import pytest

from mp4gen.render.background import draw_background
from mp4gen.render.background_colours import dim
from mp4gen.render.colour import Accent, dominant_accent, oklch_to_rgb, rgb_to_oklch
from mp4gen.render.cover import generate_cover
from mp4gen.render.looks.bars import layout_for
from mp4gen.render.looks.look import SceneSpec


def one_colour(lightness: float, chroma: float, hue: float) -> np.ndarray:
    return np.broadcast_to(oklch_to_rgb(lightness, chroma, hue), (4, 4, 3)).astype(np.float32)


def background_hue(hue: float, accent: float) -> float:
    dark = dim(one_colour(0.6, 0.1, hue), Accent(accent, 0.4))
    return float(rgb_to_oklch(dark)[2].mean())


def test_oklch_round_trip():
    """Colours come back as they were."""
    colours = np.random.default_rng(1).random((50, 3), np.float32)

    lightness, chroma, hue = rgb_to_oklch(colours)

    np.testing.assert_allclose(oklch_to_rgb(lightness, chroma, hue), colours, atol=2e-3)


def test_background_has_the_same_lightness_for_any_cover():
    """White and black covers give the same background."""
    for lightness in (0.02, 0.5, 0.99):
        dark = dim(one_colour(lightness, 0.0, 0.0), Accent(270.0, 0.08))

        assert rgb_to_oklch(dark)[0].mean() == pytest.approx(0.262, abs=0.01)


def test_background_keeps_lightness_within_limits():
    """Even a moon in the night leaves words readable."""
    cover = one_colour(0.1, 0.02, 270.0).copy()
    cover[0, 0] = 1.0

    lightness = rgb_to_oklch(dim(cover, Accent(270.0, 1.0)))[0]

    assert lightness.max() == pytest.approx(0.38, abs=0.01)
    assert lightness.min() >= 0.13 - 0.01


def test_background_of_a_grey_cover_is_nearly_grey():
    """A weak accent gives little colour."""
    weak = rgb_to_oklch(dim(one_colour(0.5, 0.0, 0.0), Accent(270.0, 0.08)))[1]
    strong = rgb_to_oklch(dim(one_colour(0.5, 0.2, 270.0), Accent(270.0, 1.0)))[1]

    assert weak.max() < 0.01
    assert strong.mean() == pytest.approx(0.088, abs=0.005)


@pytest.mark.parametrize(
    ("hue", "accent", "expected"),
    [
        (270.0, 270.0, 270.0),
        (310.0, 270.0, 289.8),
        (230.0, 270.0, 250.2),
        # Orange and yellow lean to wine.
        (60.0, 60.0, 20.0),
        (100.0, 60.0, 24.95),
        (20.0, 60.0, 0.2),
        # Yellowish green leans to green.
        (125.0, 125.0, 145.0),
    ],
)
def test_hues_lie_near_the_accent(hue, accent, expected):
    """A hue turns to the accent's by a soft limit."""
    assert background_hue(hue, accent) == pytest.approx(expected, abs=1.5)


def test_opposite_hues_have_no_edge():
    """Hues just left and right of the accent's opposite give nearly the same colour."""
    dark = [dim(one_colour(0.6, 0.1, hue), Accent(270.0, 1.0)) for hue in (85.0, 95.0)]

    assert np.abs(dark[0] - dark[1]).max() < 0.03


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (180, 180)])
def test_background_is_smooth_and_dark(size):
    """No neighbouring pixels differ by a visible step, in any shape."""
    layout = layout_for(*size)
    cover, hue = generate_cover(b"golden--", layout.cover.width)
    spec = SceneSpec(
        layout=layout, cover=cover, accent=dominant_accent(cover, hue), title="", author="",
        domain_name="", fps=30, frame_count=1,
    )  # fmt: skip
    pixels = draw_background(spec)

    assert pixels.shape == (size[1], size[0], 3)
    assert max(np.abs(np.diff(pixels, axis=axis)).max() for axis in (0, 1)) < 0.02
    assert rgb_to_oklch(pixels)[0].max() < 0.42
