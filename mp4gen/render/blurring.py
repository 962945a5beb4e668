"""Small images for blurred backgrounds: fill a frame with a cover, blur it, shade its edges."""

import numpy as np
from attrs import frozen
from PIL import Image

from .colour import Floats


@frozen
class Shade:
    """Brightness of a background in its corners and at its bottom, from 0 to 1."""

    corner: float
    bottom: float
    portrait_bottom: float

    def draw(self, width: int, height: int) -> Floats:
        """Return the factor of each pixel, (height, width, 1); 1 in the middle."""
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        distance = np.clip((x**2 + y**2) / 2, 0, 1)
        corners = 1 - (1 - self.corner) * distance**1.2
        low = np.clip((y - 0.1) / 0.9, 0, 1)
        bottom = self.portrait_bottom if height > width else self.bottom
        lower = 1 - (1 - bottom) * low * low * (3 - 2 * low)
        shade: Floats = (corners * lower).astype(np.float32)[..., None]
        return shade


def fill(cover: Floats, width: int, height: int) -> Floats:
    """Scale a square cover to fill width x height, and crop what is outside."""
    side = max(width, height)
    image = Image.fromarray((cover * 255).astype(np.uint8))
    image = image.resize((side, side), Image.Resampling.BICUBIC)
    left, top = (side - width) // 2, (side - height) // 2
    cropped = image.crop((left, top, left + width, top + height))
    return np.asarray(cropped, np.float32) / np.float32(255)


def blur(pixels: Floats, radius: float) -> Floats:
    """Blur in floats, so that dark gradients keep their steps; `radius` is the sigma in pixels."""
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
