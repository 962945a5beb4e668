"""Darken a background where text stands on it, as far as the text needs. Knows no text."""

from collections.abc import Iterable

import numpy as np
from attrs import frozen

from .colour import Floats, relative_luminance
from .cover import upscale
from .layout import Box

# The step by which text's surroundings are darkened, and the most. At the most, text stands out
# on white.
STEP, MAX_OPACITY = 0.06, 0.85
# Units: around text all is as dark, and less and less from there on, but darker everywhere.
AROUND, REACH, FAR_SHARE = 14, 260, 0.35
# So much of a box reaches the contrast.
SHARE = 0.95
# Of a picture: the lower part from this height on, the left, and the top over these units.
LOWER_TOP, LOWER_OPACITY = 0.46, 0.74
LEFT_OPACITY, RIGHT_OPACITY, RIGHT_END = 0.40, 0.04, 0.98
TOP_OPACITY, TOP_REACH = 0.30, 150


@frozen
class TextPlace:
    """A box of white text.

    Attributes:
        box: the text, without margins.
        opacity: of the text, from 0 to 1.
        contrast: the least ratio of luminance of text to background, as WCAG 2 defines it.
    """

    box: Box
    opacity: float
    contrast: float


def contrast_of(pixels: Floats, opacity: float) -> float:
    """Return the contrast of white text that 95 % of the pixels (h, w, 3) reach."""
    behind = relative_luminance(pixels)
    text = relative_luminance(pixels + (1 - pixels) * np.float32(opacity))
    return float(np.percentile((text + 0.05) / (behind + 0.05), 100 * (1 - SHARE)))


def readable_shade(pixels: Floats, places: Iterable[TextPlace], unit: float) -> Floats:
    """Return the factors (h, w, 1) by which text reaches its contrast on `pixels`."""
    height, width = pixels.shape[:2]
    rows, columns = max(height // 8, 9), max(width // 8, 9)
    opacity = np.zeros((rows, columns, 1), np.float32)
    for place in places:
        needed = _needed(pixels[place.box.slices], place)
        if needed:
            box = place.box.expanded(round(AROUND * unit), width, height)
            np.maximum(opacity, needed * _surroundings(box, pixels, opacity, unit), out=opacity)
    return 1 - upscale(opacity, width, height)


def _needed(pixels: Floats, place: TextPlace) -> float:
    # A pixel in four is enough to measure.
    sample = pixels[::2, ::2]
    if not sample.size:
        return 0.0
    for step in range(round(MAX_OPACITY / STEP)):
        if contrast_of(sample * np.float32(1 - step * STEP), place.opacity) >= place.contrast:
            return step * STEP
    return MAX_OPACITY


def _surroundings(box: Box, pixels: Floats, small: Floats, unit: float) -> Floats:
    """Return 1 in the box, and less the farther a pixel of the small image is from it."""
    down = _distances(box.top, box.bottom, pixels.shape[0], small.shape[0])
    across = _distances(box.left, box.right, pixels.shape[1], small.shape[1])
    far: Floats = np.clip(np.hypot(down[:, None], across[None]) / np.float32(REACH * unit), 0, 1)
    share: Floats = 1 - (1 - FAR_SHARE) * far * far * (3 - 2 * far)
    return share[..., None]


def _distances(low: int, high: int, size: int, count: int) -> Floats:
    """Return how far each of `count` pixels, which share `size` pixels, is from low to high."""
    centres = (np.arange(count) + 0.5) * (size / count)
    distances: Floats = np.maximum(np.maximum(low - centres, centres - high), 0).astype(np.float32)
    return distances


def picture_shade(width: int, height: int, unit: float, *, text_at_left: bool) -> Floats:
    """Return the factors (h, w, 1) that darken a picture at its bottom, its top and the left."""
    y, x = (np.linspace(0, 1, count, dtype=np.float32) for count in (height, width))
    low = np.clip((y - LOWER_TOP) / (1 - LOWER_TOP), 0, 1)
    lower = 1 - LOWER_OPACITY * low * low * (3 - 2 * low)
    top = 1 - TOP_OPACITY * np.clip(1 - y * height / (TOP_REACH * unit), 0, 1)
    across = LEFT_OPACITY + (RIGHT_OPACITY - LEFT_OPACITY) * np.clip(x / RIGHT_END, 0, 1)
    if not text_at_left:
        across = np.full_like(x, (LEFT_OPACITY + RIGHT_OPACITY) / 2)
    shade: Floats = ((lower * top)[:, None] * (1 - across)[None])[..., None]
    return shade
