"""Golden frames in every aspect ratio, and drawing from any frame."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mp4gen.render.analysis import Features
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import dominant_accent
from mp4gen.render.cover import generate_cover
from mp4gen.render.looks.bars import BarsLayout, layout_for
from mp4gen.render.looks.look import SceneSpec
from mp4gen.render.motion import Run
from mp4gen.render.scene import Scene
from mp4gen.render.text import Typesetter

# Mean luma of a 12 x 8 grid over the frame at full bars, after the opening. The comparison is
# strict on layout and tolerates a few levels, because font rasterisers differ.
GOLDEN = {
    (320, 180): [
        [30, 44, 46, 44, 37, 37, 37, 36, 35, 34, 32, 29],
        [43, 120, 124, 99, 42, 42, 41, 40, 39, 37, 35, 33],
        [46, 124, 126, 100, 79, 88, 70, 68, 73, 54, 37, 35],
        [47, 126, 126, 100, 43, 43, 43, 42, 41, 40, 38, 36],
        [39, 56, 57, 53, 45, 45, 45, 44, 43, 42, 40, 36],
        [44, 96, 102, 103, 98, 104, 103, 98, 100, 105, 99, 38],
        [32, 49, 52, 53, 52, 53, 53, 51, 51, 52, 49, 29],
        [26, 42, 43, 44, 49, 54, 41, 34, 30, 29, 28, 23],
    ],
    (180, 320): [
        [30, 32, 35, 36, 37, 38, 38, 37, 36, 34, 32, 29],
        [33, 36, 40, 80, 85, 86, 87, 86, 84, 40, 35, 33],
        [36, 38, 46, 122, 124, 125, 126, 125, 124, 45, 37, 35],
        [37, 39, 45, 107, 108, 108, 108, 107, 105, 44, 38, 36],
        [37, 39, 62, 60, 65, 61, 64, 54, 60, 56, 39, 36],
        [34, 78, 93, 87, 88, 95, 95, 88, 87, 93, 78, 33],
        [29, 48, 55, 54, 55, 56, 49, 47, 46, 47, 42, 28],
        [25, 27, 28, 29, 29, 30, 29, 29, 28, 27, 26, 24],
    ],
    (240, 240): [
        [30, 32, 35, 42, 74, 76, 77, 77, 42, 34, 32, 29],
        [34, 36, 38, 54, 121, 124, 125, 125, 55, 38, 35, 33],
        [36, 39, 40, 57, 125, 126, 127, 125, 56, 39, 38, 35],
        [38, 40, 42, 48, 79, 79, 78, 77, 46, 40, 39, 36],
        [38, 40, 54, 71, 72, 73, 75, 61, 66, 49, 38, 36],
        [34, 61, 60, 63, 61, 64, 64, 61, 63, 59, 60, 33],
        [29, 60, 58, 62, 59, 62, 62, 59, 61, 58, 59, 28],
        [24, 38, 39, 40, 47, 47, 38, 36, 29, 29, 27, 23],
    ],
}


def a_scene(width: int, height: int, canvas: Canvas | None = None) -> tuple[Scene, Canvas]:
    layout = layout_for(width, height)
    cover, hue = generate_cover(b"golden--", layout.cover.width)
    spec = SceneSpec(
        layout=layout,
        cover=cover,
        accent=dominant_accent(cover, hue),
        title="Midnight Over Lisbon",
        author="Suno Artist",
        domain_name="music.example.com",
        fps=30,
        frame_count=300,
    )
    canvas = canvas or Canvas(width, height)
    return Scene(spec, features_of(layout), canvas, Typesetter()), canvas


def drawn(
    width: int,
    height: int,
    moments: list[tuple[int, float, float]],
    canvas: Canvas | None = None,
) -> Canvas:
    scene, canvas = a_scene(width, height, canvas)
    for frame, height_of, glow in moments:
        next(scene.draw_frames(still(frame, layout_for(width, height), height_of, glow)))
    return canvas


def features_of(layout: BarsLayout) -> Features:
    return Features(np.zeros((300, layout.bands), np.uint8), 10.0)


def still(frame: int, layout: BarsLayout, height: float, glow: float) -> Run:
    """Return a run of one frame: all bars at a height, and a glow."""
    heights = np.full((1, layout.bands), height, np.float32)
    return Run(frame, heights, np.full(1, glow, np.float32), heights)


def grid(canvas: Canvas) -> list[list[int]]:
    luma = canvas.planes[0].astype(float)
    rows = np.array_split(np.arange(luma.shape[0]), 8)
    columns = np.array_split(np.arange(luma.shape[1]), 12)
    return [[round(luma[np.ix_(row, column)].mean()) for column in columns] for row in rows]


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (240, 240)])
def test_frame_equals_the_golden_grid(size):
    """The grid of each aspect ratio is the one that was approved by eye."""
    assert np.abs(np.array(grid(drawn(*size, [(150, 0.7, 0.0)]))) - GOLDEN[size]).max() <= 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [(320, 180), (180, 320), (240, 240), (250, 146), (146, 250), (400, 2000)]
)
def test_frame_does_not_depend_on_the_frames_before(size):
    """Drawing only what changed gives the same frame as drawing it alone."""
    # Light may dim in each of these frames; in the others it would be late.
    states = [(0, 0.1, 0.0), (42, 1.0, 1.0), (111, 0.4, 0.5), (291, 0.9, 0.9)]
    for end in ((201, 0.55, 0.75), (201, 1.0, 0.0)):
        there, alone = drawn(*size, [*states, end]), drawn(*size, [end])

        for one, other in zip(there.planes, alone.planes, strict=True):
            np.testing.assert_array_equal(one, other)


def test_last_frame_is_up_to_date():
    """Slow parts are updated out of turn: players may stop there."""
    states = [(297, 0.2, 0.9), (298, 0.8, 0.5), (299, 0.6, 0.2)]

    for one, other in zip(
        drawn(320, 180, states).planes, drawn(320, 180, states[-1:]).planes, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_frame_drawn_alone_is_up_to_date():
    """Slow parts are updated, also between two of their turns."""
    layout = layout_for(320, 180)
    rows = slice(layout.bars_base, layout.progress.top)

    own, other = (drawn(320, 180, [(frame, 0.8, 0.6)]).planes[0] for frame in (200, 201))

    np.testing.assert_array_equal(own[rows], other[rows])


def test_glow_rises_at_once_and_dims_at_slow_updates():
    """A beat is visible in its own frame; its end waits for the next slow update."""
    cover = layout_for(320, 180).cover
    light = (slice(cover.top, cover.bottom), slice(cover.left - 4, cover.left - 1))

    dark, lit, up, down, later = (
        float(drawn(320, 180, states).planes[0][light].mean())
        for states in (
            [(201, 0.0, 0.0)],
            [(201, 0.0, 1.0)],
            [(201, 0.0, 0.0), (202, 0.0, 1.0)],
            [(201, 0.0, 1.0), (202, 0.0, 0.0)],
            [(201, 0.0, 1.0), (202, 0.0, 0.0), (204, 0.0, 0.0)],
        )
    )

    assert lit > dark + 20
    assert (up, down, later) == (lit, lit, dark)


def test_reflections_change_at_slow_updates_only():
    """A third of the frames changes them, to the latest heights."""
    layout = layout_for(320, 180)
    rows = slice(layout.bars_base + 1, layout.progress.top)
    states = [(201, 0.2, 0.0), (202, 0.9, 0.0), (203, 0.9, 0.0), (204, 0.9, 0.0)]

    first, waits, moved = (drawn(320, 180, states[:end]).planes[0][rows] for end in (1, 3, 4))

    np.testing.assert_array_equal(first, waits)
    np.testing.assert_array_equal(moved, drawn(320, 180, states[-1:]).planes[0][rows])
    assert (moved != first).any()


def test_progress_line_grows_by_parts_of_a_pixel():
    """Half a pixel a frame is visible in each frame."""
    line = layout_for(160, 160).progress
    light = [
        int(drawn(160, 160, [(frame, 0.0, 0.0)]).planes[0][line.top, line.left : line.right].sum())
        for frame in range(150, 158)
    ]

    assert line.width / 300 < 0.6
    assert all(here < after for here, after in itertools.pairwise(light))


@pytest.mark.parametrize("size", [(250, 146), (146, 250)])
def test_canvas_accepts_padded_lines(size):
    """Codecs may pad each row; the padding is left alone."""
    width, height = size
    lines = (width + 38, width // 2 + 23, width // 2 + 23)
    rows = (height, height // 2, height // 2)
    flat = [np.full(row * line, 7, np.uint8) for row, line in zip(rows, lines, strict=True)]
    roomy = Canvas(width, height, (flat[0], flat[1], flat[2]), lines)
    states = [(0, 0.1, 0.0), (42, 1.0, 1.0), (201, 0.55, 0.75)]

    padded, tight = drawn(width, height, states, roomy), drawn(width, height, states)

    for one, other in zip(padded.planes, tight.planes, strict=True):
        np.testing.assert_array_equal(one, other)
    for plane, line, across in zip(flat, lines, (width, width // 2, width // 2), strict=True):
        assert (plane.reshape(-1, line)[:, across:] == 7).all()


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (250, 146)])
def test_runs_may_be_cut_anywhere(size):
    """Many frames at once are equal to each of them alone."""
    rng = np.random.default_rng(5)
    heights = rng.random((40, layout_for(*size).bar_lefts.size), np.float32)
    glows = rng.random(40, np.float32)
    scenes, canvases = zip(*(a_scene(*size) for _ in range(3)), strict=True)

    whole, single, cut = scenes
    run = Run(100, heights, glows, np.zeros((30, heights.shape[1]), np.float32))
    together = whole.draw_frames(run)
    apart = (
        number for row in range(40) for number in single.draw_frames(run.part(100 + row, 101 + row))
    )
    halves = itertools.chain(
        cut.draw_frames(run.part(0, 113)),
        cut.draw_frames(run.part(113, 140)),
    )
    for numbers in zip(together, apart, halves, strict=True):
        assert len(set(numbers)) == 1
        for one, two, three in zip(*(canvas.planes for canvas in canvases), strict=True):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_array_equal(one, three)


@pytest.mark.slow
def test_bars_have_their_height_to_the_pixel():
    """A bar at rest is a dot, a full one reaches the top, both with round ends."""
    layout = layout_for(1280, 720)
    left, width, base = int(layout.bar_lefts[20]), layout.bar_width, layout.bars_base
    for height, pixels in ((0.0, width), (1.0, layout.bars_height)):
        before = drawn(1280, 720, [(150, 0.0, 0.0)]).planes[0]
        luma = drawn(1280, 720, [(150, height, 0.0)]).planes[0].astype(int)
        lit = luma[base - layout.bars_height - 4 : base + 4, left + width // 2] > 110
        corner = luma[base - pixels, left]
        assert int(lit.sum()) == pytest.approx(pixels, abs=1)
        assert corner < 110
        assert before[base - 1, left] < 110


def test_only_moving_parts_change_after_the_opening():
    """Two frames differ in bars, line, glow and reflection only."""
    layout = layout_for(640, 360)
    first = drawn(640, 360, [(150, 0.2, 0.0)]).planes[0]
    second = drawn(640, 360, [(151, 0.9, 0.0)]).planes[0]

    rows = np.flatnonzero((first != second).any(axis=1))
    assert rows.min() >= layout.bars_base - layout.bars_height
    assert rows.max() <= layout.progress.bottom
    assert not (first != second)[:, : layout.progress.left - 1].any()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (720, 720), (320, 180)])
def test_margins_stay_empty_with_long_text(size):
    """Even the longest text leaves the margins to the background."""
    width, height = size
    layout = layout_for(width, height)
    cover, hue = generate_cover(b"golden--", layout.cover.width)

    def luma(text: str) -> np.ndarray:
        spec = SceneSpec(
            layout=layout, cover=cover, accent=dominant_accent(cover, hue), title=text, author=text,
            domain_name=text, fps=30, frame_count=300,
        )  # fmt: skip
        canvas = Canvas(width, height)
        scene = Scene(spec, features_of(layout), canvas, Typesetter())
        next(scene.draw_frames(still(0, layout, 0.0, 0.0)))
        return canvas.planes[0].astype(int)

    ink = np.abs(luma("W" * 300) - luma("")) > 25
    edge = layout.progress.left - 2
    assert ink.any()
    assert not ink[:, :edge].any()
    assert not ink[:, width - edge :].any()
    assert not ink[height - max(round(10 * layout.unit), 1) :].any()
