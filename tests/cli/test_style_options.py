"""The options for how videos look, as the style that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.cli.render_options import Videos
from mp4gen.cli.style_options import StyleOptions
from mp4gen.render import RenderStyle


def style(*, preset: str | None = None, **options: Any) -> RenderStyle:
    return StyleOptions(**options).style(preset)


def test_no_option_is_the_default_style() -> None:
    """The command line and the library have the same defaults."""
    assert style() == RenderStyle()


def test_every_field_of_a_style_is_an_option(tmp_path: Path) -> None:
    """A new field of `RenderStyle` needs an option."""
    font, logo, other = (tmp_path / name for name in ("font.ttf", "logo.png", "other.ttf"))
    for file in (font, logo, other):
        file.touch()
    expected = RenderStyle(
        look="ring",
        background="#102030",
        accent="#ff8800",
        width=640,
        height=360,
        fps=25,
        quality="fine",
        qp=20,
        font=font,
        logo=logo,
        fonts=(other,),
        platform="x",
    )

    found = style(
        look="ring",
        background="#102030",
        accent="#FF8800",
        size="640x360",
        fps="25",
        quality="fine",
        qp=20,
        font=font,
        logo=logo,
        fallback_font=[other],
        preset="x",
    )

    assert found == expected
    defaults = RenderStyle()
    assert all(
        getattr(found, field.name) != getattr(defaults, field.name)
        for field in attrs.fields(RenderStyle)
    )


def test_options_win_over_the_preset() -> None:
    """What is not given comes from the preset."""
    assert style(preset="reel", fps="60") == RenderStyle.preset("reel", fps=60)
    assert style(preset="reel", size="1280x720").width == 1280


def test_each_preset_is_a_style() -> None:
    """The other options apply to all of them."""
    assert Videos(preset=["x", "reel"], fps="60").styles() == {
        "x": RenderStyle.preset("x", fps=60),
        "reel": RenderStyle.preset("reel", fps=60),
    }
    assert Videos().styles() == {"": RenderStyle()}


def test_home_folder_of_a_background_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shells keep the ~ of `--background=~/x.jpg`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "x.jpg").touch()

    assert style(background="~/x.jpg").background == str(tmp_path / "x.jpg")
