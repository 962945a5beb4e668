"""The cover as a background: it fills the frame, slightly blurred and dark, and can be enlarged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .background_colours import darken
from .blurring import Shade, blur, fill
from .colour import Floats
from .cover import upscale
from .layout import Box

if TYPE_CHECKING:
    from .looks.look import SceneSpec

# Units.
BLUR = 7
SHADE = Shade(corner=0.62, bottom=0.52, portrait_bottom=0.59)
# Units for a pixel of the small image: less than the blur, so nothing is lost.
SCALE = 4
MIN_ZOOM = 1.02


class BlurredCover:
    """A small image of the background, and how dark it is in each pixel of the frame.

    Attributes:
        small: sRGB, before it is shaded.
        shade: factor of each pixel of the frame, (height, width, 1).
    """

    def __init__(self, spec: SceneSpec) -> None:
        self._size = width, height = spec.layout.width, spec.layout.height
        scale = max(SCALE * spec.layout.unit, 1.0)
        columns, rows = round(width / scale), round(height / scale)
        filled = fill(spec.cover, columns, rows)
        self.small = darken(blur(filled, BLUR * spec.layout.unit / scale), spec.accent)
        self.shade = upscale(SHADE.draw(max(columns // 4, 9), max(rows // 4, 9)), width, height)

    def draw(self) -> Floats:
        """Return the background as large as the frame, sRGB from 0 to 1."""
        frame = Box(0, 0, *self._size)
        pixels = np.empty((self._size[1], self._size[0], 3), np.float32)
        for index in range(3):
            pixels[..., index] = self.enlarged(self.small[..., index], frame, MIN_ZOOM)
        pixels *= self.shade
        return np.clip(pixels, 0, 1, out=pixels)

    def enlarged(self, channel: Floats, box: Box, zoom: float, scale: int = 1) -> Floats:
        """Enlarge a channel of the small image towards the middle, and return a box of the frame.

        Args:
            channel: (rows, columns) of the small image.
            box: pixels of the frame.
            zoom: 1 for the whole image, more for less of it.
            scale: the frame's pixels for one of the result.
        """
        rows, columns = channel.shape
        across, down = (
            np.array([(edge / size - 0.5) / zoom + 0.5 for edge in edges]) * count
            for edges, size, count in (
                ((box.left, box.right), self._size[0], columns),
                ((box.top, box.bottom), self._size[1], rows),
            )
        )
        image = Image.fromarray(np.ascontiguousarray(channel))
        size = box.width // scale, box.height // scale
        source = (across[0], down[0], across[1], down[1])
        return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=source))
