"""The size and style of a render."""

import attrs

from mp4gen.render import RenderStyle
from mp4gen.server.rendering.aspect_ratio import size_for, style_for


def test_size_for_keeps_the_short_side() -> None:
    """Each aspect ratio has the same short side as the server's own size."""
    assert size_for(1280, 720, None) == (1280, 720)
    assert size_for(1280, 720, "16:9") == (1280, 720)
    assert size_for(1280, 720, "9:16") == (720, 1280)
    assert size_for(1280, 720, "1:1") == (720, 720)


def test_style_for_returns_arguments_of_render_style() -> None:
    """The worker makes the same style from the arguments."""
    style = RenderStyle(width=640, height=360, qp=24)

    assert RenderStyle(**style_for(None, None)) == RenderStyle()
    made = RenderStyle(**style_for(style, "9:16"))
    assert made == attrs.evolve(style, width=360, height=640)
