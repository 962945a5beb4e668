"""Backgrounds: of the cover, blurred, of a colour, of a picture; text stands out on all."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from PIL import Image

from mp4gen.render import RenderStyle
from mp4gen.render.analysis import Features
from mp4gen.render.background import draw_background, draw_text
from mp4gen.render.background_colours import darken, dim, gradient
from mp4gen.render.background_source import (
    COVER_COLOURS,
    Background,
    choose_accent,
    read_background,
)
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import (
    Accent,
    dominant_accent,
    oklch_to_rgb,
    parse_colour,
    relative_luminance,
    rgb_to_oklch,
    rgb_to_yuv420,
    yuv420_to_rgb,
)
from mp4gen.render.cover import generate_cover
from mp4gen.render.layout import Box
from mp4gen.render.looks import find_look
from mp4gen.render.looks.look import CONTENT, SceneSpec
from mp4gen.render.parts.words import TEXT_CONTRAST, TITLE_OPACITY, text_places
from mp4gen.render.scene import Scene
from mp4gen.render.scrim import TextPlace, contrast_of, readable_shade
from mp4gen.render.text import Typesetter

PICTURE = np.full((90, 160, 3), (0, 0, 255), np.uint8)


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


def spec_of(size: tuple[int, int], background: Background = COVER_COLOURS) -> SceneSpec:
    layout = find_look("bars")(*size, CONTENT)
    cover = generate_cover(b"golden--", layout.cover.width)
    return SceneSpec(
        layout=layout, cover=cover, accent=dominant_accent(cover, 0.0), title="Midnight",
        author="Suno Artist", domain_name="music.example.com", fps=30, frame_count=300,
        background=background,
    )  # fmt: skip


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (180, 180)])
def test_background_of_the_cover_is_smooth_and_dark(size):
    """No neighbouring pixels differ by a visible step, in any shape."""
    pixels = draw_background(spec_of(size))

    assert pixels.shape == (size[1], size[0], 3)
    assert max(np.abs(np.diff(pixels, axis=axis)).max() for axis in (0, 1)) < 0.02
    assert rgb_to_oklch(pixels)[0].max() < 0.42


def test_blur_keeps_the_shapes_of_the_cover():
    """It has more light and more detail than the default, but is dark."""
    default, blurred = (
        draw_background(spec_of((320, 180), background))
        for background in (COVER_COLOURS, Background(is_blur=True))
    )

    assert blurred.mean() > default.mean()
    assert rgb_to_oklch(blurred)[0].max() < 0.56


def test_blurred_moon_is_not_green():
    """The hue of a nearly grey pixel turns little, and a yellow cover gives no olive."""
    moon = darken(one_colour(0.9, 0.02, 95.0), Accent(270.0, 1.0))
    yellow = darken(one_colour(0.85, 0.16, 95.0), Accent(95.0, 1.0))

    assert 230 < rgb_to_oklch(moon)[2].mean() < 290
    assert 40 < rgb_to_oklch(yellow)[2].mean() < 72


@pytest.mark.parametrize(
    ("colour", "lightness", "hue"),
    [("#1d2b53", 0.26, 270.0), ("#ffffff", 0.26, None), ("#000000", 0.0, None)],
)
def test_colour_becomes_a_dark_gradient(colour, lightness, hue):
    """The hue stays; a colour that is darker than the gradient stays dark."""
    light, _, hues = rgb_to_oklch(gradient(parse_colour(colour), 20))

    assert light[0] == pytest.approx(lightness, abs=0.01)
    assert light[-1] == pytest.approx(lightness * 0.14 / 0.26, abs=0.01)
    assert hue is None or hues == pytest.approx(hue, abs=4)


def pictures() -> dict[str, np.ndarray]:
    """Return pictures that are hard to write on, of any size."""
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (360, 640, 3), np.uint8)
    y, x = np.mgrid[0:1:360j, 0:1:640j]
    clouds = np.clip(0.7 + 0.4 * np.sin(14 * x) * np.cos(9 * y), 0, 1)
    photo = np.stack([clouds, np.clip(clouds + 0.1, 0, 1), np.ones_like(x)], axis=-1)
    photo[y > 0.7] *= 0.3
    return {
        "white": np.full((360, 640, 3), 255, np.uint8),
        "noise": noise,
        "photo": (photo * 255).astype(np.uint8),
    }


@pytest.mark.parametrize("name", ["white", "noise", "photo", "blur"])
@pytest.mark.parametrize("size", [(640, 360), (360, 640), (360, 360)])
def test_text_stands_out(name, size):
    """In the drawn frame, text reaches its contrast with 95 % of what is behind it."""
    background = Background(is_blur=True)
    if name != "blur":
        image = Image.fromarray(pictures()[name]).resize(size)
        background = Background(picture=np.asarray(image))
    spec, typesetter, canvas = spec_of(size, background), Typesetter(), Canvas(*size)
    # Its upper half is much lighter than the mean.
    cover = np.where(np.arange(spec.cover.shape[0])[:, None, None] % 120 < 70, 1.0, 0.0)
    spec = attrs.evolve(spec, cover=np.broadcast_to(cover, spec.cover.shape).astype(np.float32))
    places = list(text_places(spec, typesetter))
    Scene(spec, features_of(spec.layout.bands), canvas, typesetter)
    behind = yuv420_to_rgb(rgb_to_yuv420(draw_background(spec, places)))
    drawn = canvas.to_rgb()

    assert len(places) == 4
    for place in places:
        assert reached(behind, place) >= place.contrast * 0.99
        if place.contrast == TEXT_CONTRAST and place.opacity == TITLE_OPACITY:
            text, ground = (luminance(image[place.box.slices]) for image in (drawn, behind))
            contrast = (np.percentile(text, 98) + 0.05) / (np.percentile(ground, 95) + 0.05)
            assert contrast >= 4.5


@pytest.mark.parametrize("size", [(640, 360), (360, 640)])
def test_times_stand_out(size):
    """The text that a look adds has its contrast too."""
    white = Background(picture=np.full((size[1], size[0], 3), 255, np.uint8))
    spec = attrs.evolve(spec_of(size, white), layout=find_look("waveform")(*size, CONTENT))
    places = list(text_places(spec, Typesetter()))
    behind = draw_background(spec, places)

    own = spec.layout.own_text_places(spec)
    assert len(own) == 2
    for place in own:
        assert contrast_of(behind[place.box.slices], place.opacity) >= 3


def reached(pixels: np.ndarray, place: TextPlace) -> float:
    return contrast_of(pixels[place.box.slices].astype(np.float32) / 255, place.opacity)


def luminance(pixels: np.ndarray) -> np.ndarray:
    return relative_luminance(pixels.astype(np.float32) / 255)


def features_of(bands: int) -> Features:
    return Features(np.zeros((300, bands), np.uint8), 10.0)


def test_dark_picture_is_darkened_no_further():
    """Text that stands out already changes nothing."""
    place = TextPlace(Box(10, 10, 60, 30), 0.96, 4.5)
    dark = np.full((90, 160, 3), 0.1, np.float32)

    assert (readable_shade(dark, [place], 0.25) == 1).all()
    assert (readable_shade(dark + 0.7, [place], 0.25) < 0.9).all()


def test_text_on_a_picture_has_a_shadow():
    """A soft shadow darkens what is round the letters, on pictures only."""
    light = np.full((40, 80, 3), 0.5, np.float32)
    line = Typesetter().line("I", 24, "semibold")
    plain, shadowed = light.copy(), light.copy()

    draw_text(plain, line, 40, 30, 1.0)
    draw_text(shadowed, line, 40, 30, 1.0, shadow=Background(picture=PICTURE).text_shadow(24))

    assert plain.min() == pytest.approx(0.5)
    assert 0.2 < shadowed.min() < 0.45
    assert shadowed[:, :10] == pytest.approx(0.5)
    assert COVER_COLOURS.text_shadow(24) == 0


@pytest.mark.parametrize(
    ("accent", "hue", "strength"), [("#ff8800", 57.0, 1.0), ("#808080", None, 0.0)]
)
def test_accent_of_the_style_comes_first(accent, hue, strength):
    """Its hue and its strength count, whatever the picture shows."""
    style = RenderStyle(accent=accent)

    chosen = choose_accent(style, Background(picture=PICTURE), one_colour(0.6, 0.2, 140.0), 0.0)

    assert chosen.strength == pytest.approx(strength, abs=0.01)
    assert hue is None or chosen.hue == pytest.approx(hue, abs=2)


def test_accent_is_the_pictures():
    """The look stands on the picture, not on the cover."""
    cover = one_colour(0.6, 0.1, 140.0)

    on_picture, on_cover = (
        choose_accent(RenderStyle(), background, cover, 0.0)
        for background in (Background(picture=PICTURE), COVER_COLOURS)
    )

    assert on_picture.hue == pytest.approx(264, abs=3)
    assert on_cover.hue == pytest.approx(140, abs=3)


def test_style_chooses_the_background(tmp_path):
    """A word, a colour or a path."""
    Image.new("RGB", (30, 30), "blue").save(tmp_path / "p.png")

    assert read_background(RenderStyle()).picture is None
    assert read_background(RenderStyle(background="blur")).is_blur
    assert read_background(RenderStyle(background="#FF0000")).colour == pytest.approx([1, 0, 0])
    drawn = read_background(RenderStyle(width=160, height=144, background=tmp_path / "p.png"))
    assert drawn.picture is not None
    assert drawn.picture.shape == (144, 160, 3)
