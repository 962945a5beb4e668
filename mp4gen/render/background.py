"""Draw the still parts of a frame: the background, the cover with its shadow, text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .background_colours import dim, gradient
from .blurred_cover import BlurredCover
from .blurring import Shade, blur, fill
from .colour import Bytes, Floats
from .cover import upscale
from .layout import Box
from .scrim import TextPlace, picture_shade, readable_shade
from .text import Line

if TYPE_CHECKING:
    from .looks.look import SceneSpec

# Units; together they blur over 90. The second also smooths edges at the limits of colours.
BLUR, SECOND_BLUR = 75, 50
SHADE = Shade(corner=0.45, bottom=0.55, portrait_bottom=0.62)
PICTURE_BRIGHTNESS = 0.80
BORDER = 0.14
SHADOW = 0.60
TEXT_SHADOW = 0.50
# Units.
CORNER_RADIUS = 20
# The corners and the shadow of a cover above lyrics, as shares of those of another one.
SMALL_COVER = 0.5


def draw_background(spec: SceneSpec, places: Iterable[TextPlace] = ()) -> Floats:
    """Fill the frame with the background, dark enough for the text in `places`."""
    layout, colour = spec.layout, spec.background.colour
    if spec.background.picture is not None:
        pixels = _draw_picture(spec, spec.background.picture)
    elif colour is not None:
        pixels = _draw_colour(colour, layout.width, layout.height)
    elif spec.background.is_blur:
        return draw_blurred_cover(spec, places).draw()
    else:
        # It is dark enough for any text.
        return _draw_dim_cover(spec)
    pixels *= readable_shade(pixels, places, layout.unit)
    return pixels


def draw_blurred_cover(spec: SceneSpec, places: Iterable[TextPlace]) -> BlurredCover:
    """Draw the blurred cover, dark enough for the text in `places`."""
    blurred = BlurredCover(spec)
    blurred.shade *= readable_shade(blurred.draw(), places, spec.layout.unit)
    return blurred


def _draw_dim_cover(spec: SceneSpec) -> Floats:
    layout = spec.layout
    # The blur is so wide that a sixteenth of the size loses nothing.
    width, height = max(layout.width // 16, 9), max(layout.height // 16, 9)
    unit = layout.unit / 16
    blurred = blur(fill(spec.cover, width, height), BLUR * unit)
    dark = blur(dim(blurred, spec.accent), SECOND_BLUR * unit)
    return upscale(dark * SHADE.draw(width, height), layout.width, layout.height)


def _draw_colour(colour: Floats, width: int, height: int) -> Floats:
    columns, rows = max(width // 16, 9), max(height // 16, 9)
    return upscale(gradient(colour, rows) * SHADE.draw(columns, rows), width, height)


def _draw_picture(spec: SceneSpec, picture: Bytes) -> Floats:
    layout = spec.layout
    left = not layout.words.centred
    pixels = picture.astype(np.float32) * np.float32(PICTURE_BRIGHTNESS / 255)
    pixels *= picture_shade(layout.width, layout.height, layout.unit, text_at_left=left)
    return pixels


def draw_own_cover(pixels: Floats, spec: SceneSpec) -> None:
    """Draw the cover of a video at its place, in place; above lyrics it is small."""
    layout = spec.layout
    unit = layout.unit if layout.lyrics is None else layout.unit * SMALL_COVER
    draw_cover(pixels, spec.cover, layout.cover, unit)


def draw_cover(
    pixels: Floats, cover: Floats, box: Box, unit: float, radius: float | None = None
) -> None:
    """Draw the cover in place, with rounded corners, a hairline and a soft shadow.

    Args:
        pixels: sRGB, where to draw.
        cover: sRGB, as large as the box.
        box: where it lies.
        unit: pixels for one unit of the design.
        radius: radius of the corners in pixels; default: `CORNER_RADIUS` units.
    """
    radius = max(round(CORNER_RADIUS * unit), 1) if radius is None else radius
    reach, drop = 24 * unit, max(round(14 * unit), 1)
    around = box.expanded(int(reach * 2.5) + drop, pixels.shape[1], pixels.shape[0])
    shadow = _shadow(around, box, radius, reach / 2, drop)
    pixels[around.slices] *= 1 - shadow[..., None] * np.float32(SHADOW)
    draw_edged(pixels[box.slices], cover, radius, unit)


def draw_edged(area: Floats, cover: Floats, radius: float, unit: float, inset: float = 0.0) -> None:
    """Draw the cover in place, with rounded corners and a hairline.

    Args:
        area: sRGB, where to draw.
        cover: sRGB, as large as the area.
        radius: radius of the corners in pixels, without the inset.
        unit: pixels for one unit of the design.
        inset: pixels that are left out on each side.
    """
    height, width = area.shape[:2]
    mask = rounded(width, height, radius + inset, inset=inset)
    hairline = mask - rounded(width, height, radius + inset, inset=inset + max(unit, 1.0))
    edged = cover + (1 - cover) * (hairline * np.float32(BORDER))[..., None]
    area += (edged - area) * mask[..., None]


def rounded(width: int, height: int, radius: float, inset: float = 0.0) -> Floats:
    """Return the coverage of a rounded rectangle, from 0 to 1, smooth at its edges."""
    x = np.abs(np.arange(width, dtype=np.float32) + 0.5 - width / 2) - (width / 2 - radius)
    y = np.abs(np.arange(height, dtype=np.float32) + 0.5 - height / 2) - (height / 2 - radius)
    return np.clip(0.5 - edge_distance(x, y, radius - inset), 0, 1).astype(np.float32)


def edge_distance(x: NDArray[Any], y: NDArray[Any], radius: float) -> NDArray[Any]:
    """Return the distance from a rounded rectangle's edge, negative inside.

    Args:
        x: each column's distance from the middle, less half the width without the corners.
        y: the same of each row.
        radius: radius of the corners.
    """
    outside = np.hypot(np.maximum(x, 0)[None], np.maximum(y, 0)[:, None])
    distance: NDArray[Any] = outside + np.minimum(np.maximum(x[None], y[:, None]), 0) - radius
    return distance


def _shadow(around: Box, box: Box, radius: float, sigma: float, drop: int) -> Floats:
    # A quarter of the size is enough: a shadow has no detail.
    small = Image.new("L", (max(around.width // 4, 1), max(around.height // 4, 1)), 0)
    inside = box.relative_to(around)
    top, bottom = (inside.top + drop) / 4, (inside.bottom + drop) / 4 - 1
    corners = (inside.left / 4, top, inside.right / 4 - 1, bottom)
    ImageDraw.Draw(small).rounded_rectangle(corners, radius / 4, fill=255)
    soft = blur(np.asarray(small, np.float32)[..., None] / np.float32(255), max(sigma / 4, 0.5))
    return upscale(soft, around.width, around.height)[..., 0]


def draw_text(
    pixels: Floats,
    line: Line,
    x: float,
    baseline: float,
    opacity: float,
    *,
    shadow: float = 0.0,
) -> None:
    """Draw a line of text in place from (x, baseline), clipped at the edges.

    Args:
        pixels: sRGB (height, width, 3).
        line: the text.
        x: pixels.
        baseline: pixels.
        opacity: from 0 to 1.
        shadow: sigma in pixels of a soft shadow around the text; 0 for none.
    """
    left, top = round(x) - line.origin[0], round(baseline) - line.origin[1]
    if shadow:
        _draw_shadow(pixels, line.pixels[..., 3], (left, top), shadow, TEXT_SHADOW * opacity)
    height, width = line.pixels.shape[:2]
    rows, columns = _overlap(top, height, pixels.shape[0]), _overlap(left, width, pixels.shape[1])
    drawn = line.pixels[rows[0], columns[0]].astype(np.float32) / 255
    area = pixels[rows[1], columns[1]]
    area += (drawn[..., :3] - area) * (drawn[..., 3:] * np.float32(opacity))


def _draw_shadow(
    pixels: Floats, shape: Bytes, place: tuple[int, int], sigma: float, opacity: float
) -> None:
    margin = round(sigma * 3) + 1
    image = Image.fromarray(np.pad(shape, margin)).filter(ImageFilter.GaussianBlur(sigma))
    soft = np.asarray(image, np.float32) * np.float32(opacity / 255)
    rows = _overlap(place[1] - margin, soft.shape[0], pixels.shape[0])
    columns = _overlap(place[0] - margin, soft.shape[1], pixels.shape[1])
    pixels[rows[1], columns[1]] *= 1 - soft[rows[0], columns[0], None]


def _overlap(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Return the visible part of what begins at `start`: within itself, and within `size`."""
    first = max(start, 0)
    end = max(min(start + length, size), first)
    return slice(first - start, end - start), slice(first, end)
