"""The shapes a picture can have, as sizes made from the server's own; imports no codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from mp4gen.render import RenderStyle

ASPECT_RATIOS = ("16:9", "9:16", "1:1")
# The renderer's own default.
_WIDTH, _HEIGHT = 1280, 720


def size_for(width: int, height: int, aspect_ratio: str | None) -> tuple[int, int]:
    """The size of `aspect_ratio` that has the short side of `width` x `height`."""
    long, short = max(width, height), min(width, height)
    sizes = {"16:9": (long, short), "9:16": (short, long), "1:1": (short, short)}
    return sizes.get(aspect_ratio or "", (width, height))


def style_for(
    style: RenderStyle | None, aspect_ratio: str | None, threads: int | None
) -> dict[str, Any]:
    """The arguments of the `RenderStyle` of one render.

    Args:
        style: the server's own; None for the renderer's.
        aspect_ratio: one of `SHAPES`; None for the style's own size.
        threads: encoder threads; None for the style's own.
    """
    values = {} if style is None else attrs.asdict(style)
    size = size_for(values.get("width", _WIDTH), values.get("height", _HEIGHT), aspect_ratio)
    values["width"], values["height"] = size
    if threads is not None:
        values["threads"] = threads
    return values
