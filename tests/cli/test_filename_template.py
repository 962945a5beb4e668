"""File names from templates."""

from __future__ import annotations

import pytest

from mp4gen.cli.exit_codes import UsageError
from mp4gen.cli.filename_template import Template
from mp4gen.cli.track_table import Row
from mp4gen.models import VideoRequest

ROW = Row(7, VideoRequest("m", "a1", author="Ann"), {"title": "One", "empty": ""})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{audio_id}", "a1"),
        ("{author} - {title}", "Ann - One"),
        ("{line}. {{x}} {task_id}", "7. {x} m"),
        ("{domain_name}{empty}", "a1"),
        ("{domain_name} - ", "a1"),
        ("fixed", "fixed"),
    ],
)
def test_render_fills_the_template(template: str, expected: str) -> None:
    """Fields come from the request and other columns; an empty name becomes the audio id."""
    assert Template.parse(template, ["title", "empty"]).render(ROW) == expected


@pytest.mark.parametrize(
    "template", ["{nope}", "{author.__class__}", "{author!r}", "{author:>9}", "{0}", "{}", "{", "}"]
)
def test_parse_rejects_an_invalid_template(template: str) -> None:
    """The template is checked before anything is sent."""
    with pytest.raises(UsageError, match="--name"):
        Template.parse(template, ["title"])
