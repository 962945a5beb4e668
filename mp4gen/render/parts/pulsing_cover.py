"""Draw a cover that grows a little on each beat, in a few sizes that are drawn once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from mp4gen.render import background
from mp4gen.render.colour import Floats, Planes, rgb_to_yuv420
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run

# How much the cover grows on the loudest beat.
GROWTH, SIZES = 0.022, 8


def rest_box(largest: Box) -> Box:
    """Return the even box of the cover at rest."""
    inset = round(largest.width * GROWTH / (1 + GROWTH) / 2)
    edges = largest.left, largest.top, largest.right, largest.bottom
    return Box(*(edge + sign * inset for edge, sign in zip(edges, (1, 1, -1, -1), strict=True)))


def draw_rest(pixels: Floats, cover: Floats, largest: Box, unit: float) -> None:
    """Draw the cover at rest in place, with its shadow."""
    box = rest_box(largest)
    inset = box.left - largest.left
    inside = slice(inset, largest.width - inset)
    scaled = _scaled(cover, box.width / largest.width)[inside, inside]
    background.draw_cover(pixels, scaled, box, unit)


class PulsingCover:
    """The cover at the size of each frame.

    Args:
        stage: shows the cover at rest.
        largest: the square that the cover fills on the loudest beat.
    """

    def __init__(self, stage: Stage, largest: Box) -> None:
        layout, cover = stage.spec.layout, stage.spec.cover
        box = largest.expanded(0, layout.width, layout.height)
        self.boxes: Sequence[Box] = (box,)
        self._canvas, self._size = stage.canvas, 0
        area = stage.pixels[box.slices]
        luma, blue, red = stage.canvas.view(box)
        self._sizes: list[Planes] = [(luma.copy(), blue.copy(), red.copy())]
        rest = rest_box(largest).width / largest.width
        inside = largest.relative_to(box).slices
        for scale in np.linspace(rest, 1, SIZES)[1:].tolist():
            grown = area.copy()
            inset = largest.width * (1 - scale) / 2
            scaled, unit = _scaled(cover, scale), layout.unit
            radius = background.CORNER_RADIUS * unit
            background.draw_edged(grown[inside], scaled, radius, unit, inset)
            self._sizes.append(rgb_to_yuv420(grown))

    def draw_frames(self, run: Run, _slow_updates: Flags) -> Iterator[None]:
        """Draw the frames; the cover only changes when its size does."""
        for size in np.rint(run.glows * (SIZES - 1)).astype(np.int64).tolist():
            if size != self._size:
                self._size = size
                self._canvas.put(self.boxes[0], self._sizes[size])
            yield


def _scaled(cover: Floats, scale: float) -> Floats:
    """Return a cover of the same number of pixels, scaled around its middle."""
    image = Image.fromarray((cover * 255 + 0.5).astype(np.uint8))
    back = 1 / scale
    shift = image.width / 2 * (1 - back)
    matrix = (back, 0, shift, 0, back, shift)
    moved = image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(moved, np.float32) / np.float32(255)
