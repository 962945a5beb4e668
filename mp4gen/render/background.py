"""Draw the still parts of a frame: the blurred background, the cover with its shadow, text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .background_colours import dim
from .colour import Floats
from .cover import upscale
from .layout import Box
from .text import Line

if TYPE_CHECKING:
    from .looks.look import SceneSpec

# Units; together they blur over 90. The second also smooths edges at the limits of colours.
BLUR, SECOND_BLUR = 75, 50
CORNER = 0.45
LOWER_THIRD, PORTRAIT_LOWER_THIRD = 0.55, 0.62
BORDER = 0.14
SHADOW = 0.60


def draw_background(spec: SceneSpec) -> Floats:
    """Fill the frame with the cover, blurred and dark, darker in the corners and at the bottom."""
    layout = spec.layout
    # The blur is so wide that a sixteenth of the size loses nothing.
    width, height = max(layout.width // 16, 9), max(layout.height // 16, 9)
    unit = layout.unit / 16
    blurred = _blur(_fill(spec.cover, width, height), BLUR * unit)
    dark = _blur(dim(blurred, spec.accent), SECOND_BLUR * unit)
    lower = PORTRAIT_LOWER_THIRD if layout.height > layout.width else LOWER_THIRD
    shade = _vignette(width, height, lower)[..., None]
    return upscale(dark * shade, layout.width, layout.height)


def _fill(cover: Floats, width: int, height: int) -> Floats:
    side = max(width, height)
    image = Image.fromarray((cover * 255).astype(np.uint8)).resize(
        (side, side), Image.Resampling.BOX
    )
    left, top = (side - width) // 2, (side - height) // 2
    cropped = image.crop((left, top, left + width, top + height))
    return np.asarray(cropped, np.float32) / np.float32(255)


def _blur(pixels: Floats, radius: float) -> Floats:
    reach = max(int(radius * 2.5), 1)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * radius**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        margins = [(reach, reach) if here == axis else (0, 0) for here in range(pixels.ndim)]
        padded = np.pad(pixels, margins, mode="edge")
        size = pixels.shape[axis]
        parts = (
            padded.take(range(shift, shift + size), axis) * weight
            for shift, weight in enumerate(weights)
        )
        pixels = sum(parts, np.zeros((), np.float32))
    return pixels


def _vignette(width: int, height: int, lower_third: float) -> Floats:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    distance = np.clip((x**2 + y**2) / 2, 0, 1)
    corners = 1 - (1 - CORNER) * distance**1.2
    low = np.clip((y - 0.1) / 0.9, 0, 1)
    lower = 1 - (1 - lower_third) * low * low * (3 - 2 * low)
    shade: Floats = (corners * lower).astype(np.float32)
    return shade


def draw_cover(
    pixels: Floats, cover: Floats, box: Box, unit: float, radius: float | None = None
) -> None:
    """Draw the cover in place, with rounded corners, a hairline and a soft shadow.

    Args:
        pixels: sRGB, where to draw.
        cover: sRGB, as large as the box.
        box: where it lies.
        unit: pixels for one unit of the design.
        radius: radius of the corners in pixels; default: 20 units.
    """
    radius = max(round(20 * unit), 1) if radius is None else radius
    blur, drop = 24 * unit, max(round(14 * unit), 1)
    around = box.expanded(int(blur * 2.5) + drop, pixels.shape[1], pixels.shape[0])
    shadow = _shadow(around, box, radius, blur / 2, drop)
    pixels[around.slices] *= 1 - shadow[..., None] * np.float32(SHADOW)
    inside = pixels[box.slices]
    mask = rounded(box.width, box.height, radius)
    hairline = mask - rounded(box.width, box.height, radius, inset=max(unit, 1.0))
    edged = cover + (1 - cover) * (hairline * np.float32(BORDER))[..., None]
    inside += (edged - inside) * mask[..., None]


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


def _shadow(around: Box, box: Box, radius: float, blur: float, drop: int) -> Floats:
    # A quarter of the size is enough: a shadow has no detail.
    small = Image.new("L", (max(around.width // 4, 1), max(around.height // 4, 1)), 0)
    inside = box.relative_to(around)
    top, bottom = (inside.top + drop) / 4, (inside.bottom + drop) / 4 - 1
    corners = (inside.left / 4, top, inside.right / 4 - 1, bottom)
    ImageDraw.Draw(small).rounded_rectangle(corners, radius / 4, fill=255)
    soft = _blur(np.asarray(small, np.float32)[..., None] / np.float32(255), max(blur / 4, 0.5))
    return upscale(soft, around.width, around.height)[..., 0]


def draw_text(pixels: Floats, line: Line, x: float, baseline: float, opacity: float) -> None:
    """Draw a line of text in place from (x, baseline), clipped at the edges."""
    left, top = round(x) - line.origin[0], round(baseline) - line.origin[1]
    height, width = line.pixels.shape[:2]
    first_row, first_column = max(-top, 0), max(-left, 0)
    rows = min(height, pixels.shape[0] - top)
    columns = min(width, pixels.shape[1] - left)
    if rows <= first_row or columns <= first_column:
        return
    drawn = line.pixels[first_row:rows, first_column:columns].astype(np.float32) / 255
    area = pixels[top + first_row : top + rows, left + first_column : left + columns]
    area += (drawn[..., :3] - area) * (drawn[..., 3:] * np.float32(opacity))
