"""What a video's background is made of, read from its style. Draws nothing."""

import numpy as np
from attrs import frozen

from .colour import Accent, Bytes, Floats, dominant_accent, parse_colour
from .options import BACKGROUNDS, RenderStyle, is_colour
from .picture import read_picture

# Of a text's size.
TEXT_SHADOW_SHARE = 0.18


@frozen(eq=False)
class Background:
    """What stands behind everything; without any of these, the dark colours of the cover.

    Attributes:
        is_blur: whether it is the cover, slightly blurred.
        colour: an sRGB colour (3,).
        picture: an image as large as the frame.
    """

    is_blur: bool = False
    colour: Floats | None = None
    picture: Bytes | None = None

    def text_shadow(self, size: float) -> float:
        """Return the sigma in pixels of the shadow around text of this size, 0 for none."""
        return 0.0 if self.picture is None else TEXT_SHADOW_SHARE * size


COVER_COLOURS = Background()


def read_background(style: RenderStyle) -> Background:
    """Return the background of a style, its picture scaled to the frame.

    Raises:
        RenderError: the picture cannot be used.
    """
    if style.background in BACKGROUNDS:
        return Background(is_blur=style.background == "blur")
    if is_colour(style.background):
        return Background(colour=parse_colour(style.background))
    picture = read_picture(style.background, "background", style.width, style.height)
    return Background(picture=picture)


def choose_accent(
    style: RenderStyle, background: Background, cover: Floats, fallback_hue: float
) -> Accent:
    """Return the style's accent, else that of the picture or the cover on which the look stands."""
    if style.accent is not None:
        return Accent.of(parse_colour(style.accent))
    if background.picture is not None:
        step = max(min(background.picture.shape[:2]) // 90, 1)
        sample = background.picture[::step, ::step].astype(np.float32) / np.float32(255)
        return dominant_accent(sample, fallback_hue)
    return dominant_accent(cover[::4, ::4], fallback_hue)
