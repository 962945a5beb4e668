"""Derives the size and style of a render from its aspect ratio; imports no codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from mp4gen.render import RenderStyle

ASPECT_RATIOS = ("16:9", "9:16", "1:1")
# The renderer's own default.
_WIDTH, _HEIGHT = 1280, 720


def size_for(width: int, height: int, aspect_ratio: str | None) -> tuple[int, int]:
    """Return the size that has this aspect ratio and the short side of `width` x `height`."""
    long, short = max(width, height), min(width, height)
    sizes = {"16:9": (long, short), "9:16": (short, long), "1:1": (short, short)}
    return sizes.get(aspect_ratio or "", (width, height))


def style_for(style: RenderStyle | None, aspect_ratio: str | None) -> dict[str, Any]:
    """Return the arguments of the `RenderStyle` of one render.

    Args:
        style: The server's style; None for the renderer's default.
        aspect_ratio: One of `ASPECT_RATIOS`; None for the size of `style`.
    """
    values = {} if style is None else attrs.asdict(style)
    width, height = values.get("width", _WIDTH), values.get("height", _HEIGHT)
    values["width"], values["height"] = size_for(width, height, aspect_ratio)
    return values
