"""The optional fields of a request for a video: what is read from them, and what is refused."""

from typing import Any

import pytest

from mp4gen.errors import InvalidRequestError
from mp4gen.server.rendering.video_options import VideoOptions
from mp4gen.server.web.openapi_options import option_schemas
from mp4gen.server.web.video_fields import parse_video_fields

SRT = "1\n00:00:01,000 --> 00:00:02,000\nLa la\n"


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"look": "ring"}, {"look": "ring"}),
        ({"look": None, "title": "", "start": None}, {}),
        ({"background": "blur", "accent": "#FF8800"}, {"background": "blur", "accent": "#ff8800"}),
        ({"background": "#AABBCC"}, {"background": "#aabbcc"}),
        ({"preset": "reel"}, {"preset": "reel"}),
        ({"title": "  Beyonce\u0301 "}, {"title": "Beyonc\u00e9"}),
        ({"lyrics": "auto"}, {}),
        ({"lyrics": "none"}, {"lyrics": "none"}),
        ({"lyrics": "[00:01.00]La"}, {"lyrics": "[00:01.00]La"}),
        ({"lyrics": SRT}, {"lyrics": SRT}),
        ({"lyrics": f"WEBVTT\n\n{SRT}"}, {"lyrics": f"WEBVTT\n\n{SRT}"}),
        ({"start": "1:15", "length": 30}, {"start": 75.0, "length": 30.0}),
        ({"start": "75", "length": "0:30.5"}, {"start": 75.0, "length": 30.5}),
        ({"mood": "calm", "taskId": "x"}, {}),
    ],
)
def test_valid_fields_become_options(fields: dict[str, Any], options: dict[str, Any]) -> None:
    """Equal choices become equal options; a field of another server is ignored."""
    assert parse_video_fields(fields).options == VideoOptions(**options)


@pytest.mark.parametrize("ratio", ["16:9", "9:16", "1:1", "4:5", None])
def test_aspect_ratio_is_a_part_of_its_own(ratio: str | None) -> None:
    """It is older than the options, and has a column of its own."""
    assert parse_video_fields({"aspectRatio": ratio}).aspect_ratio == ratio


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"look": "disco"}, "Unknown look: 'disco'. Use one of: bars, ring, wave, waveform, pulse"),
        ({"look": ["bars"]}, "Unknown look: ['bars']. Use one of:"),
        ({"preset": "vine"}, "Unknown preset: 'vine'. Use one of: youtube, reel"),
        ({"preset": {}}, "Unknown preset: {}."),
        ({"aspectRatio": "2:1"}, "Invalid aspectRatio: '2:1'. Use one of 16:9, 9:16, 1:1, 4:5."),
        ({"background": "/etc/passwd"}, "Invalid background: '/etc/passwd'. Use auto, blur or a"),
        ({"background": "picture:1.jpg"}, "Invalid background: 'picture:1.jpg'."),
        ({"background": 7}, "Invalid background: 7."),
        ({"accent": "red"}, "Invalid accent: 'red'. Use a colour such as #ff8800."),
        ({"title": "x" * 101}, "Use text of at most 100 characters, without control characters."),
        ({"title": "a\nb"}, "Invalid title: 'a\\nb'."),
        ({"title": " "}, "Invalid title: ' '."),
        ({"title": 7}, "Invalid title: 7."),
        (
            {"lyrics": "la la la"},
            "Invalid lyrics: 'la la la'. Use auto, none or the text of",
        ),
        ({"lyrics": "[00:01.00]La\n[00:99]La"}, "lyrics.lrc, line 2: "),
        ({"lyrics": "[00:01.00]" + "\u591c" * 40_000}, "Use at most 100000 bytes."),
        ({"lyrics": 7}, "Invalid lyrics: 7."),
        ({"start": "1:75"}, "Invalid start: '1:75'. Use seconds, 1:15 or 1:02:03.5."),
        ({"start": -1}, "Invalid start: -1."),
        ({"start": True}, "Invalid start: True."),
        ({"start": 1e9}, "Invalid start: 1000000000.0. Use 0 to 360000 seconds."),
        ({"length": 0.1}, "Invalid length: 0.1. Use 0.5 to 360000 seconds."),
        ({"length": []}, "Invalid length: []."),
    ],
)
def test_invalid_field_is_refused_with_what_to_use(fields: dict[str, Any], text: str) -> None:
    """The code is 400, and the sentence names the field and its value."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_video_fields(fields)

    assert caught.value.code == 400
    assert text in caught.value.message
    assert len(caught.value.message) < 300


def test_all_invalid_fields_are_reported() -> None:
    """A client can correct them at once."""
    with pytest.raises(InvalidRequestError) as caught:
        parse_video_fields({"look": "disco", "accent": "red", "start": "x"})

    assert caught.value.message.count("Use ") == 3


def test_openapi_document_has_every_field() -> None:
    """A field that is read is documented, and the other way round."""
    values = {"aspectRatio": "1:1", "look": "ring", "background": "blur", "accent": "#123456",
              "preset": "x", "title": "T", "lyrics": "none", "start": 1, "length": 2}  # fmt: skip

    found = parse_video_fields(values)

    assert set(option_schemas()) == set(values)
    assert {"aspectRatio", *found.options.chosen()} == set(values)
