"""The user's logo: read from a PNG, and drawn in a corner where nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle
from mp4gen.render.colour import Accent
from mp4gen.render.logo import draw_logo, logo_box, read_logo
from mp4gen.render.looks import find_look
from mp4gen.render.looks.look import CONTENT, Content, SceneSpec
from mp4gen.render.looks.lyric_bars import lyrics_layout
from mp4gen.render.parts.words import text_places
from mp4gen.render.preparation import RenderRequest, check_request
from mp4gen.render.text import Typesetter

SIZES = [(1280, 720), (720, 1280), (720, 720), (720, 900), (320, 180), (400, 2000), (2000, 400)]


def logo_file(path, size=(60, 20), colour=(255, 0, 0, 255), margin=10):
    image = Image.new("RGBA", (size[0] + 2 * margin, size[1] + 2 * margin))
    image.paste(colour, (margin, margin, margin + size[0], margin + size[1]))
    image.save(path)
    return path


def spec_of(size, logo=None, domain_name="music.example.com", content=CONTENT, look="bars"):
    layout = find_look(look)(*size, content)
    if content.lyrics is not None:
        layout = lyrics_layout(find_look(look), *size, content)
    return SceneSpec(
        layout=layout, cover=np.zeros((layout.cover.width, layout.cover.width, 3), np.float32),
        accent=Accent(0.0, 1.0), title="Title " * 20, author="Author", domain_name=domain_name,
        fps=30, frame_count=30, logo=logo,
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(60, 20), (20, 60), (900, 30)])
def test_logo_stands_apart_from_words_and_cover(tmp_path, size, shape):
    """In every shape of frame it has a corner of its own, whatever its own shape."""
    logo = read_logo(logo_file(tmp_path / "l.png", shape), *size)
    spec = spec_of(size, logo, "a-very-long-name-of-a-music-site.example.com")
    box = logo_box(logo, spec.layout)
    places = [place.box for place in text_places(spec, Typesetter())]

    assert box.width > box.height if shape[0] > shape[1] else box.height > box.width
    assert 0 <= box.left < box.right <= size[0]
    assert 0 <= box.top < box.bottom <= size[1]
    assert not any(box.overlaps(other) for other in (spec.layout.cover, *places))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("content", [Content(lyrics="ltr"), Content(lyrics="rtl")])
def test_logo_stands_apart_from_lyrics(tmp_path, size, content):
    """It changes sides with the words."""
    logo = read_logo(logo_file(tmp_path / "l.png", (90, 20)), *size)
    spec = spec_of(size, logo, "a-very-long-name-of-a-music-site.example.com", content)
    box = logo_box(logo, spec.layout)
    places = [place.box for place in text_places(spec, Typesetter())]

    assert (box.left < size[0] / 2) == (content.lyrics == "rtl")
    assert not any(box.overlaps(other) for other in (spec.layout.cover, *places))


@pytest.mark.parametrize("look", ["bars", "ring", "wave", "waveform", "pulse"])
def test_logo_stands_apart_in_each_look(tmp_path, look):
    """No look shows its cover or words there."""
    for size in ((1280, 720), (720, 1280), (720, 720), (720, 900)):
        logo = read_logo(logo_file(tmp_path / "l.png"), *size)
        spec = spec_of(size, logo, look=look)
        box = logo_box(logo, spec.layout)

        assert not box.overlaps(spec.layout.cover)
        assert not any(box.overlaps(place.box) for place in text_places(spec, Typesetter()))


def test_logo_is_in_the_safe_zone_of_portrait(tmp_path):
    """Platforms show nothing there."""
    logo = read_logo(logo_file(tmp_path / "l.png"), 1080, 1920)
    box = logo_box(logo, spec_of((1080, 1920)).layout)

    assert box.top >= 0.14 * 1920
    assert box.right <= 0.88 * 1080 + 1


def test_logo_is_blended(tmp_path):
    """Transparency shows what is behind, and margins of the file do not count."""
    half = (255, 0, 0, 128)
    logo = read_logo(logo_file(tmp_path / "l.png", (60, 20), half, margin=300), 320, 180)
    spec, pixels = spec_of((320, 180), logo), np.zeros((180, 320, 3), np.float32)

    draw_logo(pixels, spec)

    box = logo_box(logo, spec.layout)
    assert box.height >= 10
    np.testing.assert_allclose(pixels[box.slices].mean(axis=(0, 1)), (0.5, 0, 0), atol=0.02)
    pixels[box.slices] = 0
    assert not pixels.any()


def test_no_logo_draws_nothing():
    """It is optional."""
    pixels = np.zeros((180, 320, 3), np.float32)

    draw_logo(pixels, spec_of((320, 180)))

    assert not pixels.any()


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "1", "I;16"])
def test_logo_of_any_mode_is_read(tmp_path, mode):
    """Also one without transparency."""
    Image.new(mode, (40, 20), 0).save(tmp_path / "l.png")
    if mode == "LA":
        Image.new(mode, (40, 20), (0, 255)).save(tmp_path / "l.png")

    logo = read_logo(tmp_path / "l.png", 320, 180)

    assert logo.shape[2] == 4
    assert logo[5, 5].tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize(
    ("mode", "kind", "sentence"),
    [
        ("RGB", "JPEG", "Not a readable image: l.png. Use a PNG"),
        ("RGBA", "PNG", "The logo is transparent everywhere: l.png"),
    ],
)
def test_unusable_logo_is_refused(tmp_path, mode, kind, sentence):
    """The error names the file, before any audio is read."""
    Image.new(mode, (9, 9)).save(tmp_path / "l.png", kind)
    request = RenderRequest(None, None, None, None, RenderStyle(logo=tmp_path / "l.png"), 10.0)

    with pytest.raises(RenderError, match=sentence):
        check_request(request)
