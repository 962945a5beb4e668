"""The user's logo in the upper right corner: a PNG with transparency, in a box of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from mp4gen.errors import RenderError

from .colour import Bytes, Floats
from .decode import display_name
from .layout import Box
from .looks.shapes import Shape, frame_for
from .options import PathLike
from .picture import flatten, open_picture, to_srgb

if TYPE_CHECKING:
    from .looks.look import Layout, SceneSpec

# Most width and height in units, and the upper right corner as shares of the design. No look shows
# words or its cover there, and in portrait platforms show nothing there.
CORNERS = {
    Shape.LANDSCAPE: (200, 56, 1 - 48 / 1280, 36 / 720),
    Shape.SQUARE: (140, 36, 1 - 32 / 720, 28 / 720),
    Shape.TALL: (140, 44, 1 - 32 / 720, 32 / 900),
    Shape.PORTRAIT: (96, 32, 0.88, 0.141),
}


def read_logo(source: PathLike, width: int, height: int) -> Bytes:
    """Read a logo as RGBA, scaled to its box in a frame of width x height pixels.

    Raises:
        RenderError: the file is missing, too large, no PNG, or shows nothing.
    """
    frame = frame_for(width, height)
    across, down = (max(round(units * frame.unit), 2) for units in CORNERS[frame.shape][:2])
    with open_picture(source, "logo", formats=("PNG",)) as image:
        clear = _to_rgba(ImageOps.exif_transpose(image), image.info.get("icc_profile"))
        # A transparent margin would only make the logo small.
        shown = clear.getchannel("A").getbbox()
        if shown is None:
            raise RenderError(
                f"The logo is transparent everywhere: {display_name(source)}. Use another image."
            )
        return np.asarray(ImageOps.contain(clear.crop(shown), (across, down)))


def _to_rgba(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode.startswith("I"):
        return flatten(image).convert("RGBA")
    return to_srgb(image.convert("RGBA"), profile)


def logo_box(logo: Bytes, layout: Layout) -> Box:
    """Return where a logo stands: in the upper left corner if the words begin at the right."""
    frame = frame_for(layout.width, layout.height)
    _, _, right, top = CORNERS[frame.shape]
    rows, columns = logo.shape[:2]
    x, y = round(frame.x(right)), round(frame.y(top))
    left = layout.width - x if layout.words.at_right else x - columns
    return Box(left, y, left + columns, y + rows)


def draw_logo(pixels: Floats, spec: SceneSpec) -> None:
    """Draw the logo of a video in place, if it has one."""
    if spec.logo is None:
        return
    drawn = spec.logo.astype(np.float32) / 255
    area = pixels[logo_box(spec.logo, spec.layout).slices]
    area += (drawn[..., :3] - area) * drawn[..., 3:]
