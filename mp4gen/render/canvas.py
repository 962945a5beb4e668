"""A frame as the encoder reads it: three 4:2:0 planes, also in memory owned by the encoder."""

import numpy as np
from numpy.typing import NDArray

from .colour import Bytes, Planes, yuv420_to_rgb
from .layout import Box

# Pixels of the frame for one row or column of luma, blue and red.
SCALES = (1, 2, 2)


class Canvas:
    """Planes to draw on.

    Args:
        width: pixels, even.
        height: pixels, even.
        buffers: bytes of luma, blue and red, row after row; default: allocated here.
        line_sizes: bytes from one row to the next, for each plane.
    """

    def __init__(
        self,
        width: int,
        height: int,
        buffers: Planes | None = None,
        line_sizes: tuple[int, int, int] | None = None,
    ) -> None:
        self.width, self.height = width, height
        self.line_sizes = line_sizes or (width, width // 2, width // 2)
        self.buffers = buffers or (
            np.zeros(height * self.line_sizes[0], np.uint8),
            np.zeros(height // 2 * self.line_sizes[1], np.uint8),
            np.zeros(height // 2 * self.line_sizes[2], np.uint8),
        )
        luma, blue, red = (
            buffer[: height // scale * line].reshape(-1, line)[:, : width // scale]
            for buffer, line, scale in zip(self.buffers, self.line_sizes, SCALES, strict=True)
        )
        self.planes: Planes = luma, blue, red

    def items(self, plane: int, size: int) -> NDArray[np.void]:
        """View the plane as overlapping items of `size` bytes, one starting at each byte."""
        buffer = self.buffers[plane]
        return np.ndarray((buffer.size - size + 1,), f"V{size}", buffer=buffer, strides=(1,))

    def words(self, plane: int) -> NDArray[np.uint64]:
        """View the plane as overlapping numbers of 8 bytes, one starting at each byte."""
        buffer = self.buffers[plane]
        return np.ndarray((buffer.size - 7,), np.uint64, buffer=buffer, strides=(1,))

    def view(self, box: Box) -> Planes:
        """View an even box of the planes."""
        return crop(self.planes, box)

    def put(self, box: Box, planes: Planes) -> None:
        """Copy planes onto an even box."""
        for target, source in zip(self.view(box), planes, strict=True):
            target[:] = source

    def to_rgb(self) -> Bytes:
        """Return the frame as 8-bit sRGB, (height, width, 3)."""
        return yuv420_to_rgb(self.planes)


def crop(planes: Planes, box: Box) -> Planes:
    """View an even box of planes."""
    luma, blue, red = planes
    half = box.scaled_down(2).slices
    return luma[box.slices], blue[half], red[half]
