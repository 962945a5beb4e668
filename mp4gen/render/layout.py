"""Boxes, and the places of words and covers. Draws nothing."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

# The encoder's unit in pixels. Light round a cover that is aligned to it costs a tenth fewer bits
# and leaves fewer errors, because no block holds an edge of the light.
BLOCK = 16


@frozen
class Box:
    """A rectangle in pixels, without its right column and bottom row."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of (rows, columns)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def relative_to(self, other: Box) -> Box:
        """Move the origin to the upper left corner of `other`."""
        left, top = other.left, other.top
        return Box(self.left - left, self.top - top, self.right - left, self.bottom - top)

    def scaled_down(self, scale: int) -> Box:
        """Return the box in a plane that has a row and a column for each `scale` pixels."""
        left, top = self.left // scale, self.top // scale
        return Box(left, top, self.right // scale, self.bottom // scale)

    def overlaps(self, other: Box) -> bool:
        """Return whether a pixel lies in both boxes."""
        across = max(self.left, other.left) < min(self.right, other.right)
        return across and max(self.top, other.top) < min(self.bottom, other.bottom)

    def expanded(self, by: int, width: int, height: int) -> Box:
        """Add `by` pixels on each side, then round outwards to even, within width x height."""
        return Box(
            max(self.left - by, 0) // 2 * 2,
            max(self.top - by, 0) // 2 * 2,
            min(-(-(self.right + by) // 2) * 2, width),
            min(-(-(self.bottom + by) // 2) * 2, height),
        )


def around(boxes: Sequence[Box]) -> Box:
    """Return the smallest box that holds all boxes."""
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


@frozen
class TitleRows:
    """Where a title stands that is too wide for one row, in pixels.

    Attributes:
        size: size of the title, at most.
        base: baseline of the second row.
        drop: how much lower the author then stands.
    """

    size: float
    base: float
    drop: float


@frozen(eq=False, kw_only=True)
class Words:
    """Where title and author stand, in pixels; `_base` means a baseline.

    Attributes:
        box: the opening changes nothing outside of it.
        centred: whether the words are centred in the frame, or begin at the left of the box.
        title_size: size of the title.
        title_base: baseline of the title.
        author_size: size of the author after the opening.
        author_base: baseline of the author after the opening.
        hero_size: size of the author at the beginning.
        hero_base: baseline of the author at the beginning.
        at_right: whether the words end at the right of the box.
        two_rows: where a title of two rows stands; None if there is room for one only.
    """

    box: Box
    centred: bool
    title_size: float
    title_base: float
    author_size: float
    author_base: float
    hero_size: float
    hero_base: float
    at_right: bool = False
    two_rows: TitleRows | None = None


@frozen(eq=False, kw_only=True)
class LyricPlaces:
    """Where lyrics stand, in pixels; `_base` means a baseline.

    Attributes:
        box: all that they change: even edges.
        left: where the lines begin.
        right: where they end, and begin if `is_rtl`.
        is_rtl: whether the lines are aligned at the right.
        size: size of the current line in one row.
        base: its baseline.
        two_row_size: size of the current line in two rows.
        two_row_bases: their baselines.
        quiet_size: size of the other lines.
        past_base: baseline of the line before.
        next_base: baseline of the line after.
        max_ideographs: of Chinese or Japanese in a row.
    """

    box: Box
    left: float
    right: float
    is_rtl: bool
    size: float
    base: float
    two_row_size: float
    two_row_bases: tuple[float, float]
    quiet_size: float
    past_base: float
    next_base: float
    max_ideographs: int

    @property
    def text_box(self) -> Box:
        """The box of the letters, without room for light."""
        return Box(round(self.left), self.box.top, round(self.right), self.box.bottom)


@frozen(eq=False, kw_only=True)
class Watermark:
    """Where the watermark stands, in pixels: centred or at one side, on a baseline.

    Attributes:
        size: size of its letters.
        base: its baseline.
        max_width: a longer one is set smaller, then cut.
        left: where it begins, or None.
        right: where it ends, or None; if both are None it is centred.
    """

    size: float
    base: float
    max_width: float
    left: float | None = None
    right: float | None = None


def cover_box(left: float, top: float, side: float, unit: float) -> Box:
    """Return a square on the encoder's grid.

    Args:
        left: pixels; the square is placed at the nearest line of the grid.
        top: pixels; the square is placed at the next line of the grid above.
        side: pixels.
        unit: pixels for one unit of the design.
    """
    grid = block_grid(unit)
    x, y = round(left / grid) * grid, int(top // grid) * grid
    rounded = max(round(side / grid) * grid, grid)
    return Box(x, y, x + rounded, y + rounded)


def centred_cover_box(width: int, top: float, side: float, unit: float) -> Box:
    """Return a square in the middle of the width, on the encoder's grid."""
    grid = block_grid(unit)
    left, y = round((width - side) / 2 / grid) * grid, int(top // grid) * grid
    return Box(left, y, width - left, y + width - 2 * left)


def block_grid(unit: float) -> int:
    """Return the pixels to which a cover is aligned."""
    # Small frames use half a block or less, since whole blocks would change the design.
    grid = BLOCK
    while grid > max(BLOCK * unit, 2):
        grid //= 2
    return grid
