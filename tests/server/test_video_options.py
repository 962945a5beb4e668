"""The options of one video: its size and style, and the part of the song that it has."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.render import RenderStyle
from mp4gen.server.rendering.video_options import VideoOptions, lyrics_name, size_for, style_for


def test_size_for_keeps_the_short_side() -> None:
    """Each aspect ratio has the same short side as the server's own size."""
    assert size_for(1280, 720, None) == (1280, 720)
    assert size_for(1280, 720, "16:9") == (1280, 720)
    assert size_for(1280, 720, "9:16") == (720, 1280)
    assert size_for(1280, 720, "1:1") == (720, 720)
    assert size_for(1280, 720, "4:5") == (720, 900)
    assert size_for(720, 720, "16:9") == (1280, 720)
    assert size_for(146, 146, "4:5") == (146, 182)


def test_style_for_returns_arguments_of_render_style() -> None:
    """The worker makes the same style from the arguments."""
    style = RenderStyle(width=640, height=360, qp=24)

    assert RenderStyle(**style_for(RenderStyle(), None)) == RenderStyle()
    made = RenderStyle(**style_for(style, "9:16"))
    assert made == attrs.evolve(style, width=360, height=640)


def test_options_win_over_the_preset_and_the_preset_over_the_server() -> None:
    """The look of the server stays if no other was chosen."""
    style = RenderStyle(look="wave", background="blur", width=640, height=360, qp=20)
    options = VideoOptions(preset="reel", background="#102030")

    made = RenderStyle(**style_for(style, None, options))

    assert made == attrs.evolve(
        style, background="#102030", width=1080, height=1920, platform="reel"
    )
    assert style_for(style, "4:5", options)["height"] == 1350


def test_picture_is_that_of_the_data_directory(tmp_path: Path) -> None:
    """A task names it without its folder, which may move."""
    options = VideoOptions(background="picture:1.jpg")

    assert style_for(RenderStyle(), None, options, tmp_path)["background"] == str(
        tmp_path / "1.jpg"
    )


def test_names_of_pictures_are_known() -> None:
    """They must still exist when the video is rendered."""
    options = VideoOptions(background="picture:1.jpg", cover="2.png")

    assert options.picture_names == ("2.png", "1.jpg")
    assert VideoOptions(background="blur").picture_names == ()


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 200),
        ({"start": 50}, 150),
        ({"length": 30}, 30),
        ({"start": 190, "length": 30}, 10),
        ({"start": 300}, 0),
        ({"preset": "x"}, 140),
        ({"preset": "x", "start": 150}, 50),
        ({"preset": "x", "length": 160}, 160),
        ({"preset": "youtube"}, 200),
    ],
)
def test_seconds_of_a_video_are_those_of_its_clip(options: dict[str, Any], seconds: float) -> None:
    """The estimate of its render counts on them."""
    assert VideoOptions(**options).seconds_of(200.0) == seconds


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[00:01.00]From here --> to there", "lyrics.lrc"),
        ("1\n00:00:01,000 --> 00:00:02,000\nStay", "lyrics.srt"),
        ("1\r00:00:01,000 --> 00:00:02,000\rStay", "lyrics.srt"),
        ("WEBVTT\n\n  00:01.000-->00:02.000 align:start\nStay", "lyrics.srt"),
    ],
)
def test_format_of_lyrics_is_that_of_their_times(text: str, name: str) -> None:
    """An arrow may also be sung."""
    assert lyrics_name(text) == name
