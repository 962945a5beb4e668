"""A picture as the encoder wants it: three 4:2:0 planes in memory that may belong to somebody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .colour import Bytes, yuv420_to_rgb
from .layout import Box

Planes = tuple[Bytes, Bytes, Bytes]


class Canvas:
    """Planes to draw on.

    Args:
        width: pixels, even.
        height: pixels, even.
        buffers: the luma's, blue's and red's bytes, row after row; made here where not given.
        line_sizes: bytes from one row to the next, for each plane.
    """

    def __init__(
        self,
        width: int,
        height: int,
        buffers: tuple[Bytes, Bytes, Bytes] | None = None,
        line_sizes: tuple[int, int, int] | None = None,
    ) -> None:
        self.width, self.height = width, height
        self.line_sizes = line_sizes or (width, width // 2, width // 2)
        rows = (height, height // 2, height // 2)
        self.buffers = buffers or _blank(rows, self.line_sizes)
        self.planes: Planes = (
            self._plane_view(0, rows[0], width),
            self._plane_view(1, rows[1], width // 2),
            self._plane_view(2, rows[2], width // 2),
        )

    def _plane_view(self, plane: int, rows: int, columns: int) -> Bytes:
        line_size = self.line_sizes[plane]
        return self.buffers[plane][: rows * line_size].reshape(rows, line_size)[:, :columns]

    def items(self, plane: int, size: int) -> NDArray[np.void]:
        """The plane's bytes as overlapping items of `size` bytes, one starting at each byte."""
        buffer = self.buffers[plane]
        return np.ndarray((buffer.size - size + 1,), f"V{size}", buffer=buffer, strides=(1,))

    def view(self, box: Box) -> Planes:
        """Views on an even box."""
        top, bottom, left, right = box.top, box.bottom, box.left, box.right
        small = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        luma, blue, red = self.planes
        return luma[top:bottom, left:right], blue[small], red[small]

    def put(self, box: Box, planes: Planes) -> None:
        """Copy planes onto an even box."""
        for target, source in zip(self.view(box), planes, strict=True):
            target[:] = source

    def to_rgb(self) -> Bytes:
        """8-bit sRGB, (height, width, 3)."""
        return yuv420_to_rgb(self.planes)


def _blank(rows: tuple[int, int, int], line_sizes: tuple[int, int, int]) -> Planes:
    luma, blue, red = (
        np.zeros(count * line, np.uint8) for count, line in zip(rows, line_sizes, strict=True)
    )
    return luma, blue, red
