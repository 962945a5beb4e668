"""Scale designs to any size: each shape of frame has its own canvas. Draws nothing."""

from __future__ import annotations

import enum
import math

from attrs import frozen

from mp4gen.render.layout import Box, TitleRows, Watermark, Words


class Shape(enum.Enum):
    """The shape of a frame, with the width and height of its design."""

    LANDSCAPE = 1280, 720
    SQUARE = 720, 720
    TALL = 720, 900
    PORTRAIT = 540, 960


# (Size, baseline) of the watermark. In portrait it stands above the cover: below, the platforms
# show captions and buttons.
WATERMARKS = {
    Shape.LANDSCAPE: (17, 1 - 26 / 720),
    Shape.SQUARE: (16, 1 - 28 / 720),
    Shape.TALL: (16, 1 - 28 / 900),
    Shape.PORTRAIT: (13, 0.156),
}
WATERMARK_WIDTH = 0.78
# How much lower the large author stands, as a share of what it is larger.
HERO_DROP = 0.7


@frozen
class Frame:
    """A design in the middle of a frame, as large as it fits.

    Attributes:
        width: pixels.
        height: pixels.
        shape: the shape with the nearest aspect ratio.
        unit: pixels for one unit of the design.
    """

    width: int
    height: int
    shape: Shape
    unit: float

    def x(self, share: float) -> float:
        """Convert a share of the design's width to a position in pixels."""
        return self.width / 2 + (share - 0.5) * self.shape.value[0] * self.unit

    def y(self, share: float) -> float:
        """Convert a share of the design's height to a position in pixels."""
        return self.height / 2 + (share - 0.5) * self.shape.value[1] * self.unit


def frame_for(width: int, height: int) -> Frame:
    """Return the frame with the design that is nearest to width x height pixels."""
    shape = min(
        Shape,
        key=lambda each: abs(math.log(width / height) - math.log(each.value[0] / each.value[1])),
    )
    unit = min(width / shape.value[0], height / shape.value[1])
    return Frame(width, height, shape, unit)


@frozen(kw_only=True)
class WordsDesign:
    """Where title and author stand: positions as shares of the design, sizes in its units.

    Attributes:
        left: left edge.
        right: right edge.
        title: (baseline, size) of the title.
        author: (baseline, size) of the author.
        hero: size of the author at the beginning.
        centred: whether the words are centred, or begin at the left edge.
        two_rows: of a title in two rows: the size, and how much lower the second row stands than a
            single one; both as shares of the title's size. Most of the block grows upwards.
    """

    left: float
    right: float
    title: tuple[float, float]
    author: tuple[float, float]
    hero: float
    centred: bool = False
    two_rows: tuple[float, float] = (1.0, 0.45)


def place_words(frame: Frame, design: WordsDesign) -> Words:
    """Return the place of title and author in a frame."""
    unit = frame.unit
    title_base, title_size = frame.y(design.title[0]), design.title[1] * unit
    author_base, author_size = frame.y(design.author[0]), design.author[1] * unit
    hero_size = design.hero * unit
    hero_base = author_base + HERO_DROP * (hero_size - author_size)
    two_rows = title_rows(title_base, title_size, *design.two_rows)
    hero_end = max(hero_base + 0.4 * hero_size, hero_base + two_rows.drop + 0.25 * hero_size)
    box = Box(
        round(frame.x(design.left)),
        round(title_base - 1.15 * title_size),
        round(frame.x(design.right)),
        round(hero_end),
    )
    return Words(
        box=box.expanded(0, frame.width, frame.height),
        centred=design.centred,
        title_size=title_size,
        title_base=round(title_base),
        author_size=author_size,
        author_base=author_base,
        hero_size=hero_size,
        hero_base=hero_base,
        two_rows=two_rows,
    )


def title_rows(base: float, size: float, scale: float, drop: float) -> TitleRows:
    """Return the place of a title in two rows.

    Args:
        base: baseline of a title in one row.
        size: its size.
        scale: size in two rows, as a share of that.
        drop: how much lower the second row stands than a single one, as a share of the size.
    """
    return TitleRows(scale * size, base + drop * size, drop * size)


def place_watermark(frame: Frame) -> Watermark:
    """Return the place of the watermark in a frame."""
    size, base = WATERMARKS[frame.shape]
    return Watermark(
        size=size * frame.unit,
        base=round(frame.y(base)),
        max_width=WATERMARK_WIDTH * frame.shape.value[0] * frame.unit,
    )


def place_line(frame: Frame, left: float, right: float, top: float, height: float) -> Box:
    """Return the box of a progress line, from shares of the design and a height in units."""
    row = round(frame.y(top))
    rows = max(round(height * frame.unit), 2)
    return Box(round(frame.x(left)), row, round(frame.x(right)), row + rows)
