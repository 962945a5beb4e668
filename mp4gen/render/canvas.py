"""A picture as the encoder wants it: three 4:2:0 planes in memory that may belong to somebody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .colour import Bytes, picture_of
from .layout import Box

Planes = tuple[Bytes, Bytes, Bytes]


class Canvas:
    """Planes to draw on.

    Args:
        width: pixels, even.
        height: pixels, even.
        flat: the luma's, blue's and red's bytes, row after row; made here where not given.
        lines: bytes from one row to the next, for each plane.
    """

    def __init__(
        self,
        width: int,
        height: int,
        flat: tuple[Bytes, Bytes, Bytes] | None = None,
        lines: tuple[int, int, int] | None = None,
    ) -> None:
        self.width, self.height = width, height
        self.lines = lines or (width, width // 2, width // 2)
        rows = (height, height // 2, height // 2)
        self.flat = flat or _blank(rows, self.lines)
        self.planes: Planes = (
            self._view(0, rows[0], width),
            self._view(1, rows[1], width // 2),
            self._view(2, rows[2], width // 2),
        )

    def _view(self, plane: int, rows: int, columns: int) -> Bytes:
        line = self.lines[plane]
        return self.flat[plane][: rows * line].reshape(rows, line)[:, :columns]

    def items(self, plane: int, size: int) -> NDArray[np.void]:
        """The plane's bytes as overlapping items of `size` bytes, one starting at each byte."""
        flat = self.flat[plane]
        return np.ndarray((flat.size - size + 1,), f"V{size}", buffer=flat, strides=(1,))

    def part(self, box: Box) -> Planes:
        """Views on an even box."""
        top, bottom, left, right = box.top, box.bottom, box.left, box.right
        small = slice(top // 2, bottom // 2), slice(left // 2, right // 2)
        luma, blue, red = self.planes
        return luma[top:bottom, left:right], blue[small], red[small]

    def put(self, box: Box, planes: Planes) -> None:
        """Copy planes onto an even box."""
        for target, source in zip(self.part(box), planes, strict=True):
            target[:] = source

    def picture(self) -> Bytes:
        """8-bit sRGB, (height, width, 3)."""
        return picture_of(self.planes)


def _blank(rows: tuple[int, int, int], lines: tuple[int, int, int]) -> Planes:
    luma, blue, red = (
        np.zeros(count * line, np.uint8) for count, line in zip(rows, lines, strict=True)
    )
    return luma, blue, red
