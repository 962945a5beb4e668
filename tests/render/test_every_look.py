"""What holds for each look: golden frames, and drawing from any frame."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from mp4gen.render.canvas import Canvas
from mp4gen.render.looks import OWN_LOOKS

from .support_scenes import FRAMES, a_scene, draw, layout_of, movement

# Mean luma of a 12 x 8 grid over a frame after the opening, by look and size. The comparison is
# strict on places and tolerates a few levels, because font rasterisers differ.
GOLDEN = json.loads(Path(__file__).with_name("golden_looks.json").read_text(encoding="utf-8"))
GOLDEN_FRAME = 152
SHAPES = [(320, 180), (240, 240), (240, 300), (180, 320)]

pytestmark = pytest.mark.parametrize("look", OWN_LOOKS)


def drawn(look: str, size: tuple[int, int], *frames: int, canvas: Canvas | None = None) -> Canvas:
    scene, canvas = a_scene(look, size, canvas)
    draw(scene, movement(look, size), list(frames))
    return canvas


def assert_equal(one: Canvas, other: Canvas) -> None:
    for plane, same in zip(one.planes, other.planes, strict=True):
        np.testing.assert_array_equal(plane, same)


def grid(canvas: Canvas) -> list[list[int]]:
    luma = canvas.planes[0].astype(float)
    rows = np.array_split(np.arange(luma.shape[0]), 8)
    columns = np.array_split(np.arange(luma.shape[1]), 12)
    return [[round(luma[np.ix_(row, column)].mean()) for column in columns] for row in rows]


@pytest.mark.parametrize("size", SHAPES)
def test_frame_equals_the_golden_grid(look, size):
    """The grid of each shape is the one that was approved by eye."""
    found, golden = grid(drawn(look, size, GOLDEN_FRAME)), GOLDEN[look][f"{size[0]}x{size[1]}"]

    assert np.abs(np.array(found) - golden).max() <= 3, found


@pytest.mark.slow
@pytest.mark.parametrize("size", [*SHAPES, (250, 146), (146, 250), (400, 2000), (1000, 144)])
def test_frame_does_not_depend_on_the_frames_before(look, size):
    """Drawing only what changed gives the same frame as drawing it alone."""
    # Light may dim in these frames; in the others it would be late.
    for end in (201, 228):
        assert_equal(drawn(look, size, 0, 46, 111, 180, 291, end), drawn(look, size, end))


def test_last_frame_is_up_to_date(look):
    """Slow parts are updated out of turn: players may stop there."""
    last = FRAMES - 1

    assert_equal(drawn(look, (320, 180), last - 2, last - 1, last), drawn(look, (320, 180), last))


@pytest.mark.parametrize("size", [(250, 146), (146, 250)])
def test_canvas_accepts_padded_lines(look, size):
    """Codecs may pad each row; the padding is left alone."""
    width, height = size
    lines = (width + 38, width // 2 + 23, width // 2 + 23)
    rows = (height, height // 2, height // 2)
    flat = [np.full(row * line, 7, np.uint8) for row, line in zip(rows, lines, strict=True)]
    roomy = Canvas(width, height, (flat[0], flat[1], flat[2]), lines)

    padded = drawn(look, size, 0, 42, 201, canvas=roomy)

    assert_equal(padded, drawn(look, size, 0, 42, 201))
    for plane, line, across in zip(flat, lines, (width, width // 2, width // 2), strict=True):
        assert (plane.reshape(-1, line)[:, across:] == 7).all()


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (250, 146)])
def test_runs_may_be_cut_anywhere(look, size):
    """Many frames at once are equal to each of them alone."""
    scenes, canvases = zip(*(a_scene(look, size) for _ in range(3)), strict=True)
    whole, single, cut = scenes
    run = movement(look, size).part(100, 140)

    together = whole.draw_frames(run)
    apart = (
        number for row in range(100, 140) for number in single.draw_frames(run.part(row, row + 1))
    )
    halves = itertools.chain(
        cut.draw_frames(run.part(0, 113)),
        cut.draw_frames(run.part(113, 140)),
    )
    for numbers in zip(together, apart, halves, strict=True):
        assert len(set(numbers)) == 1
        assert_equal(canvases[0], canvases[1])
        assert_equal(canvases[0], canvases[2])


def test_something_moves_with_the_music(look):
    """Two frames after the opening differ, but not in the words, the edges and the watermark."""
    layout = layout_of(look, (640, 360))
    first, second = (drawn(look, (640, 360), frame).planes[0] for frame in (149, 152))
    moved = first != second
    words = layout.words.box

    assert moved.mean() > 0.002
    assert not moved[words.top : round(layout.words.author_base), words.left + 2 :].any()
    assert not moved[-8:].any()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 720), (720, 720), (720, 900), (720, 1280), (320, 180)])
def test_margins_stay_empty_with_long_text(look, size):
    """Even the longest text leaves the margins to the background."""
    width, height = size
    layout = layout_of(look, size)

    def luma(text: str) -> np.ndarray:
        scene, canvas = a_scene(look, size, texts=(text, text, text))
        draw(scene, movement(look, size), [0])
        return canvas.planes[0].astype(int)

    ink = np.abs(luma("W" * 300) - luma("")) > 25
    half = layout.watermark.max_width / 2
    left = min(layout.words.box.left, round(width / 2 - half))
    right = max(layout.words.box.right, round(width / 2 + half))
    assert ink.any()
    assert not ink[:, : left - 2].any()
    assert not ink[:, right + 2 :].any()
    assert not ink[height - max(round(10 * layout.unit), 1) :].any()
