"""Draw lines of lyrics on the background in 4:2:0 planes, and light them from word to word.

A line is drawn once, dim or lit. The light moves over it as a share of the difference: each column
has a place in reading order, and is lit as far as the sweep has passed that place.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mp4gen.render.canvas import SCALES
from mp4gen.render.colour import Bytes, Floats, Planes, halved, rgb_to_levels
from mp4gen.render.layout import Box
from mp4gen.render.text import Line

FloatPlanes = tuple[Floats, Floats, Floats]
Spans = Sequence[Sequence[tuple[float, float]]]


@frozen(eq=False)
class Ink:
    """Letters in a block of the frame.

    Attributes:
        box: even box of the block that they can touch, with room for their light.
        alpha: their coverage of the box, (rows, columns) from 0 to 1.
        colours: luma, blue and red of emoji, (rows, columns, 3); None if all letters are white.
    """

    box: Box
    alpha: Floats
    colours: Floats | None


_WHITE = rgb_to_levels(np.ones(3, np.float32))


def place_line(line: Line, x: float, baseline: float, around: int, block: Box) -> Ink:
    """Place a line in a block.

    Args:
        line: the letters.
        x: where the line begins, in pixels of the block.
        baseline: row of its baseline in the block.
        around: pixels of room on each side for light.
        block: a box whose upper left corner is (0, 0); what lies outside is cut off.
    """
    left, top = round(x) - line.origin[0], round(baseline) - line.origin[1]
    height, width = line.pixels.shape[:2]
    box = Box(left, top, left + width, top + height).expanded(around, block.width, block.height)
    if box.width <= 0 or box.height <= 0:
        return Ink(Box(0, 0, 0, 0), np.zeros((0, 0), np.float32), None)
    first_row, first_column = max(-top, 0), max(-left, 0)
    drawn = line.pixels[first_row : box.bottom - top, first_column : box.right - left]
    row, column = max(top, 0) - box.top, max(left, 0) - box.left
    place = slice(row, row + drawn.shape[0]), slice(column, column + drawn.shape[1])
    alpha = np.zeros((box.height, box.width), np.float32)
    alpha[place] = drawn[..., 3] * np.float32(1 / 255)
    if (drawn[..., :3] == 255).all():
        return Ink(box, alpha, None)
    colours = np.ones((box.height, box.width, 3), np.float32)
    colours[place] = drawn[..., :3] * np.float32(1 / 255)
    return Ink(box, alpha, rgb_to_levels(colours))


def lay_over(planes: FloatPlanes, box: Box, alpha: Floats, colours: Floats) -> None:
    """Lay a colour over an even box of planes, in place.

    Args:
        planes: luma, blue and red.
        box: in pixels.
        alpha: opacity of each pixel of the box.
        colours: luma, blue and red, of all pixels, of each column or of each pixel.
    """
    for index, plane in enumerate(planes):
        scale = SCALES[index]
        area = plane[box.scaled_down(scale).slices]
        share, colour = alpha, colours[..., index]
        if scale == 2:
            share = halved(share)
            colour = _halved_colour(colour)
        area += (colour - area) * share


def draw_ink(planes: FloatPlanes, ink: Ink, opacity: float) -> None:
    """Draw letters in white, emoji in their colours, in place."""
    colours = _WHITE if ink.colours is None else ink.colours
    lay_over(planes, ink.box, ink.alpha * np.float32(opacity), colours)


def light_of(ink: Ink, radius: float, strength: float) -> Floats:
    """Return the opacity of the light around letters."""
    letters = Image.fromarray((ink.alpha * 255).astype(np.uint8))
    blurred = np.asarray(letters.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    glow: Floats = np.clip(blurred * np.float32(strength / 255), 0, 1)
    return glow


def _halved_colour(values: Floats) -> Floats:
    """Return the colour of half the columns, or of half the columns and rows."""
    if values.ndim == 2:
        return halved(values)
    return values if values.ndim == 0 else (values[::2] + values[1::2]) * np.float32(0.5)


class Reading:
    """The place of each column of some rows in reading order.

    Attributes:
        length: pixels in all rows.
        orders: for each row the place of each column.
    """

    def __init__(self) -> None:
        self.length = 0.0
        self.orders: list[Floats] = []

    def add_row(self, spans: Spans, left: float, columns: int) -> list[float]:
        """Add the next row.

        Args:
            spans: the stretches of its parts, in pixels from the start of the line.
            left: column at which the line starts.
            columns: number of columns of the row.

        Returns:
            The place at which each part ends.
        """
        centres = np.arange(columns, dtype=np.float32) + np.float32(0.5)
        order = np.full(columns, np.nan, np.float32)
        ends: list[float] = []
        for part in spans:
            for begin, end in part:
                away = (centres - (left + begin)) * np.float32(1 if end >= begin else -1)
                inside = (away >= 0) & (away <= abs(end - begin))
                order[inside] = self.length + away[inside]
                self.length += abs(end - begin)
            ends.append(self.length)
        self.orders.append(_filled(order))
        return ends


def _filled(order: Floats) -> Floats:
    """Return the places with those of columns beside all letters: the nearest letter's."""
    known = np.flatnonzero(~np.isnan(order))
    if not known.size:
        return np.zeros_like(order)
    columns = np.arange(order.size)
    after = np.clip(np.searchsorted(known, columns), 0, known.size - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.abs(known[before] - columns) < np.abs(known[after] - columns)
    found: Floats = order[known[np.where(nearer, before, after)]]
    return found


@frozen(eq=False)
class Picture:
    """The lyrics as they are shown for some seconds.

    Attributes:
        planes: without the light that moves.
        box: even box of the block in which light moves, or None.
        rows: for each row that is lit the difference of its light, and the place of each column.
        soft: pixels over which the edge of the light is soft.
        length: pixels of all rows in reading order.
    """

    planes: Planes
    box: Box | None = None
    rows: tuple[tuple[FloatPlanes, Floats], ...] = ()
    soft: float = 1.0
    length: float = 0.0

    def shares(self, place: float) -> list[Floats]:
        """Return how far each column of each row is lit.

        Args:
            place: of the sweep in reading order.
        """
        half = np.float32(0.5)
        return [
            np.clip((np.float32(place) - order) / np.float32(self.soft) + half, 0, 1)
            for _, order in self.rows
        ]

    def even_shares(self, share: float) -> list[Floats]:
        """Return the same share for all columns of each row."""
        return [np.full(order.size, share, np.float32) for _, order in self.rows]

    def lit(self, shares: Sequence[Floats], first: int, end: int) -> Planes:
        """Return some columns of the box, from `first` up to `end`, both even."""
        box = self.box or Box(0, 0, 0, 0)
        found: list[Bytes] = []
        for index, plane in enumerate(self.planes):
            scale = SCALES[index]
            columns = slice(first // scale, end // scale)
            area = plane[box.scaled_down(scale).slices][:, columns].astype(np.float32)
            for (light, _), share in zip(self.rows, shares, strict=True):
                part = share[first:end]
                part = part if scale == 1 else (part[::2] + part[1::2]) * np.float32(0.5)
                area += light[index][:, columns] * part
            found.append(np.rint(area, out=area).astype(np.uint8))
        luma, blue, red = found
        return luma, blue, red

    def complete(self, shares: Sequence[Floats]) -> Planes:
        """Return the whole block."""
        if self.box is None:
            return self.planes
        luma, blue, red = (plane.copy() for plane in self.planes)
        for index, area in enumerate(self.lit(shares, 0, self.box.width)):
            (luma, blue, red)[index][self.box.scaled_down(SCALES[index]).slices] = area
        return luma, blue, red


def changed_columns(
    before: Sequence[NDArray[np.float32]], after: Sequence[NDArray[np.float32]]
) -> tuple[int, int]:
    """Return the even columns, from the first up to the end, of which a share differs."""
    changed = [np.flatnonzero(old != new) for old, new in zip(before, after, strict=True)]
    columns = list(
        itertools.chain.from_iterable((found[0], found[-1]) for found in changed if found.size)
    )
    if not columns:
        return 0, 0
    return int(min(columns)) // 2 * 2, int(max(columns)) // 2 * 2 + 2
