"""Tests of the layout: four designs at any size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.render.looks.bars import (
    BarsLayout,
    layout_for,
)
from mp4gen.render.looks.look import Content
from mp4gen.render.looks.shapes import Shape, frame_for

SIZES = [
    (1280, 720),
    (720, 1280),
    (720, 720),
    (1920, 1080),
    (1080, 1920),
    (1080, 1080),
    (1080, 1350),
    (640, 360),
    (320, 180),
    (180, 320),
    (144, 144),
    (854, 480),
    (2560, 800),
    (400, 2000),
    (144, 200),
    (146, 250),
    (144, 2560),
    (2560, 144),
    (1440, 1080),
    (3840, 2160),
    (2160, 3840),
    (2880, 2880),
    (3840, 144),
    (144, 3840),
]


@pytest.mark.parametrize(
    ("size", "shape"),
    [((1920, 1080), Shape.LANDSCAPE), ((1080, 1920), Shape.PORTRAIT), ((1080, 1080), Shape.SQUARE),
     ((1080, 1350), Shape.TALL), ((2560, 1080), Shape.LANDSCAPE), ((600, 1200), Shape.PORTRAIT)],
)  # fmt: skip
def test_shape_has_the_nearest_aspect_ratio(size, shape):
    """Landscape, square, tall and portrait sizes get their own designs."""
    assert frame_for(*size).shape is shape


def check_parts(layout: BarsLayout) -> None:
    tops = [layout.cover.top, layout.bars_base - layout.bars_height, layout.progress.top]
    ends = [layout.cover.bottom, layout.bars_base, layout.progress.bottom]
    assert 0 <= layout.cover.top < layout.cover.bottom
    assert all(end <= top for end, top in zip(ends, tops[1:], strict=False))
    assert 0 <= layout.cover.left < layout.cover.right <= layout.width
    watermark = layout.watermark
    if frame_for(layout.width, layout.height).shape is Shape.PORTRAIT:
        assert watermark.base - watermark.size > 0
        assert watermark.base < layout.cover.top
    else:
        assert layout.progress.bottom < watermark.base < layout.height


@pytest.mark.parametrize("size", SIZES)
def test_parts_do_not_overlap_or_leave_the_frame(size):
    """Cover, text, bars, line and watermark stay apart and inside."""
    width, height = size
    layout = layout_for(width, height)

    check_parts(layout)
    assert layout.words.box.bottom <= layout.bars_base - layout.bars_height
    assert layout.words.box.left >= (0 if layout.words.centred else layout.cover.right)
    assert layout.words.box.right <= width


@given(st.integers(72, 1920), st.integers(72, 1920), st.booleans())
def test_no_size_makes_parts_overlap(half_width, half_height, with_text):
    """Also not after the rounding of the cover to the encoder's blocks."""
    layout = layout_for(2 * half_width, 2 * half_height, Content(has_words=with_text))

    check_parts(layout)
    if with_text and layout.words.centred:
        assert layout.cover.bottom <= layout.words.box.top


@pytest.mark.parametrize("size", SIZES)
def test_bars_share_no_chroma_sample(size):
    """Neighbouring bars own their chroma samples."""
    layout = layout_for(*size)
    lefts, width = layout.bar_lefts, layout.bar_width
    columns = [set((left // 2 + np.arange(width // 2 + 1)).tolist()) for left in lefts]

    assert np.diff(lefts).min() - width >= 1
    assert all(not one & other for one, other in itertools.pairwise(columns))
    assert lefts[0] >= 0
    assert lefts[-1] + width <= size[0]


def test_1280x720_has_the_numbers_of_the_design():
    """The landscape design is not scaled."""
    layout = layout_for(1280, 720)

    assert (layout.cover.left, layout.cover.top, layout.cover.width) == (96, 80, 304)
    assert (layout.words.box.left, layout.words.title_base) == (456, 226)
    assert (layout.bar_lefts.size, layout.bar_width, layout.bars_base) == (64, 10, 566)
    assert (layout.progress.left, layout.progress.right, layout.progress.top) == (96, 1184, 646)
    assert layout.watermark.base == 694


@pytest.mark.parametrize(
    "size", [(1280, 720), (720, 1280), (720, 720), (1920, 1080), (3840, 2160), (2160, 3840)]
)
def test_cover_fills_whole_blocks_of_the_encoder(size):
    """Its light would else cost more bits, and leave more errors."""
    cover = layout_for(*size).cover

    assert [edge % 16 for edge in (cover.left, cover.top, cover.right, cover.bottom)] == [0] * 4


def test_portrait_keeps_words_in_the_safe_zone():
    """Platforms cover the rest of a 9:16 video with captions and buttons."""
    layout = layout_for(1080, 1920)
    words, watermark = layout.words, layout.watermark

    assert 0.10 * 1080 <= words.box.left < words.box.right <= 0.88 * 1080
    assert words.box.bottom <= 0.65 * 1920
    assert watermark.base - watermark.size >= 0.14 * 1920
    assert watermark.base + 1 >= 0.156 * 1920
    assert watermark.base <= 0.167 * 1920


def test_cover_is_centred_without_text():
    """Half of the frame is not left empty."""
    cover = layout_for(1280, 720, Content(has_words=False)).cover

    assert (cover.left + cover.right) / 2 == 640
