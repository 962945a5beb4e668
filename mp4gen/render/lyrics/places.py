"""Where lyrics, and the small cover and title above them, stand in a frame of any shape."""

from __future__ import annotations

from attrs import evolve, frozen

from mp4gen.render.layout import Box, LyricPlaces, Watermark, Words
from mp4gen.render.looks.shapes import Frame, Shape, frame_for, place_watermark

# In portrait, the watermark stands beside the margin of the lyrics, not in the middle.
PORTRAIT_WATERMARK_BASE = 0.166


@frozen
class Design:
    """Positions as shares of the design of a shape, sizes and distances in its units.

    Attributes:
        margin: left of all words and of the cover; at their right is as much.
        cover: (top, side) of the small cover.
        gap: between the cover and the words beside it.
        title: (baseline, size) of the title.
        author: (baseline, size) of the author.
        base: baseline of the current line in one row.
        size: of its letters.
        two_row_size: of its letters in two rows.
        two_row_step: between their baselines, which are around `base`.
        quiet_size: of the letters of other lines.
        past_up: how far above `base` the line before stands.
        next_down: how far below `base` the next line stands.
        max_ideographs: of Chinese or Japanese in a row.
    """

    margin: float
    cover: tuple[float, int]
    gap: int
    title: tuple[float, int]
    author: tuple[float, int]
    base: float
    size: int
    two_row_size: int
    two_row_step: int
    quiet_size: int
    past_up: int
    next_down: int
    max_ideographs: int


DESIGNS = {
    Shape.LANDSCAPE: Design(
        margin=0.075, cover=(0.100, 92), gap=24, title=(0.158, 28), author=(0.203, 20),
        base=0.489, size=62, two_row_size=44, two_row_step=50,
        quiet_size=38, past_up=84, next_down=76, max_ideographs=16,
    ),
    Shape.SQUARE: Design(
        margin=0.083, cover=(0.075, 64), gap=18, title=(0.115, 22), author=(0.152, 17),
        base=0.4575, size=46, two_row_size=46, two_row_step=54,
        quiet_size=28, past_up=106, next_down=103, max_ideographs=16,
    ),
    Shape.TALL: Design(
        margin=0.083, cover=(0.070, 76), gap=20, title=(0.108, 25), author=(0.140, 19),
        base=0.455, size=52, two_row_size=52, two_row_step=60,
        quiet_size=31, past_up=116, next_down=112, max_ideographs=12,
    ),
    Shape.PORTRAIT: Design(
        margin=0.120, cover=(0.188, 72), gap=18, title=(0.222, 22), author=(0.248, 16),
        base=0.4495, size=48, two_row_size=48, two_row_step=55,
        quiet_size=27, past_up=95, next_down=90, max_ideographs=8,
    ),
}  # fmt: skip


@frozen(eq=False)
class LyricFrame:
    """The places that all looks share in a frame with lyrics.

    Attributes:
        frame: the frame.
        margin: pixels at the left and right of all words.
        cover: the small cover.
        words: title and author beside it, whose sizes do not change.
        watermark: the place of the watermark.
        lyrics: the place of the lyrics.
    """

    frame: Frame
    margin: int
    cover: Box
    words: Words
    watermark: Watermark
    lyrics: LyricPlaces

    def line(self, top: float, height: float) -> Box:
        """Return the box of a progress line, from a share of the design and a height in units."""
        row = round(self.frame.y(top))
        rows = max(round(height * self.frame.unit), 2)
        return Box(self.margin, row, self.frame.width - self.margin, row + rows)


def lyric_frame(width: int, height: int, *, is_rtl: bool) -> LyricFrame:
    """Place the lyrics in a frame of width x height pixels, mirrored if `is_rtl`."""
    frame = frame_for(width, height)
    design = DESIGNS[frame.shape]
    margin = round(frame.x(design.margin))
    top, side = design.cover
    pixels = max(round(side * frame.unit / 2) * 2, 2)
    left = (width - margin - pixels if is_rtl else margin) // 2 * 2
    above = round(frame.y(top) / 2) * 2
    cover = Box(left, above, left + pixels, above + pixels)
    return LyricFrame(
        frame=frame,
        margin=margin,
        cover=cover,
        words=_words(frame, design, margin, cover, is_rtl=is_rtl),
        watermark=_watermark(frame, margin, is_rtl=is_rtl),
        lyrics=_lyrics(frame, design, margin, is_rtl=is_rtl),
    )


def _words(frame: Frame, design: Design, margin: int, cover: Box, *, is_rtl: bool) -> Words:
    gap = round(design.gap * frame.unit)
    left, right = cover.right + gap, frame.width - margin
    if is_rtl:
        left, right = margin, cover.left - gap
    author_size, author_base = design.author[1] * frame.unit, frame.y(design.author[0])
    bottom = round(author_base + 0.4 * author_size)
    return Words(
        box=Box(left, cover.top, max(right, left + 2), bottom).expanded(
            0, frame.width, frame.height
        ),
        centred=False,
        title_size=design.title[1] * frame.unit,
        title_base=frame.y(design.title[0]),
        author_size=author_size,
        author_base=author_base,
        hero_size=author_size,
        hero_base=author_base,
        at_right=is_rtl,
    )


def _watermark(frame: Frame, margin: int, *, is_rtl: bool) -> Watermark:
    place = place_watermark(frame)
    if frame.shape is not Shape.PORTRAIT:
        return place
    base = round(frame.y(PORTRAIT_WATERMARK_BASE))
    if is_rtl:
        return evolve(place, base=base, right=frame.width - margin)
    return evolve(place, base=base, left=margin)


def _lyrics(frame: Frame, design: Design, margin: int, *, is_rtl: bool) -> LyricPlaces:
    unit = frame.unit
    quiet, half = design.quiet_size * unit, design.two_row_step * unit / 2
    base = frame.y(design.base)
    past, following = base - design.past_up * unit, base + design.next_down * unit
    reach = round(design.size * unit / 2)
    right = frame.width - margin
    box = Box(
        margin - reach, round(past - 1.3 * quiet), right + reach, round(following + 0.6 * quiet)
    )
    return LyricPlaces(
        box=box.expanded(0, frame.width, frame.height),
        left=margin,
        right=right,
        is_rtl=is_rtl,
        size=design.size * unit,
        base=base,
        two_row_size=design.two_row_size * unit,
        two_row_bases=(base - half, base + half),
        quiet_size=quiet,
        past_base=past,
        next_base=following,
        max_ideographs=design.max_ideographs,
    )
