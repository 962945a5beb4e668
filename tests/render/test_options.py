"""Tests of the options of a render."""

from __future__ import annotations

from fractions import Fraction

import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle

FILM, NTSC, FAST_NTSC = (Fraction(rate, 1001) for rate in (24000, 30000, 60000))


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (24, 24),
        (60.0, 60),
        (Fraction(50), 50),
        ("25", 25),
        (23.976, FILM),
        (23.98, FILM),
        (29.97, NTSC),
        (30000 / 1001, NTSC),
        (NTSC, NTSC),
        ("30000/1001", NTSC),
        ("59.94", FAST_NTSC),
    ],
)
def test_frame_rate_is_exact(given, exact):
    """The usual names of a rate mean its fraction; a whole rate is an int."""
    fps = RenderStyle(fps=given).fps

    assert fps == exact
    assert isinstance(fps, type(exact))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 321}, r"Invalid size: 321x720\. Use even numbers\."),
        ({"width": 64}, "Use at least 144 pixels"),
        ({"height": 4000}, "Use at most 3840 pixels"),
        ({"width": 3840, "height": 2400}, "as many as 3840x2160"),
        ({"width": "1280"}, "Invalid size: '1280'x720. Use whole numbers"),
        ({"height": 720.0}, r"Invalid size: 1280x720\.0"),
        ({"fps": 5}, r"Invalid fps: 5\. Use a whole number from 24 to 60, or 23\.976, 29\.97"),
        ({"fps": 61}, r"Invalid fps: 61\."),
        ({"fps": 29.5}, r"Invalid fps: 29\.5\."),
        ({"fps": float("nan")}, r"Invalid fps: nan\."),
        ({"fps": float("inf")}, r"Invalid fps: inf\."),
        ({"fps": "30/0"}, r"Invalid fps: '30/0'\."),
        ({"fps": "fast"}, r"Invalid fps: 'fast'\."),
        ({"fps": Fraction(48000, 1001)}, r"Invalid fps: 48000/1001\."),
        ({"fps": ""}, "Invalid fps: ''"),
        ({"fps": None}, r"Invalid fps: None\."),
        ({"qp": 51}, "Invalid qp: 51"),
        ({"quality": "best"}, 'Invalid quality: .best.\\. Use "fast" or "fine"'),
        ({"fonts": ["/nowhere.ttf"]}, r"The font file does not exist: /nowhere\.ttf"),
        ({"font": "/nowhere.ttf"}, r"The font file does not exist: /nowhere\.ttf"),
        ({"font": "no\0file"}, "The font file does not exist"),
        ({"logo": "/nowhere.png"}, r"The logo file does not exist: /nowhere\.png"),
        ({"look": "disco"}, "Unknown look: 'disco'. Use one of: bars, ring, wave, waveform, pulse"),
        ({"look": ["bars"]}, "Unknown look"),
        ({"accent": "red"}, "Invalid accent: 'red'. Use a colour such as #ff8800"),
        ({"accent": "#ff880"}, "Invalid accent: '#ff880'"),
        ({"accent": 0xFF8800}, "Invalid accent: 16746496"),
        ({"background": "#ff"}, "Invalid background: '#ff'. Use auto, blur, a colour such as"),
        ({"background": None}, "Invalid background: None"),
        ({"background": "/nowhere.jpg"}, r"The background does not exist: /nowhere\.jpg. Use auto"),
    ],
)
def test_invalid_style_is_refused(change, sentence):
    """The error has the name, the value and the valid range."""
    with pytest.raises(RenderError, match=sentence):
        RenderStyle(**change)


def test_files_and_colours_are_normalized(tmp_path):
    """Paths become text, and colours become lower case."""
    picture = tmp_path / "Picture.png"
    picture.touch()

    style = RenderStyle(background="#AABBCC", accent="#FF8800", logo=picture, font=picture)

    assert style.background == "#aabbcc"
    assert style.accent == "#ff8800"
    assert style.logo == str(picture)
    assert style.font_files == (str(picture),)
    assert RenderStyle(background=picture).background == str(picture)
