"""The parts of the look `bars`: what changes, when, and to which pixel."""

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


def a_scene(width: int, height: int) -> tuple[Scene, Canvas]:
    layout = layout_for(width, height)
    cover = generate_cover(b"golden--", layout.cover.width)
    spec = SceneSpec(
        layout=layout,
        cover=cover,
        accent=dominant_accent(cover, 0.0),
        title="Midnight Over Lisbon",
        author="Suno Artist",
        domain_name="music.example.com",
        fps=30,
        frame_count=300,
    )
    canvas = Canvas(width, height)
    return Scene(spec, features_of(layout), canvas, Typesetter()), canvas


def drawn(width: int, height: int, moments: list[tuple[int, float, float]]) -> Canvas:
    scene, canvas = a_scene(width, height)
    for frame, height_of, glow in moments:
        next(scene.draw_frames(still(frame, layout_for(width, height), height_of, glow)))
    return canvas


def features_of(layout: BarsLayout) -> Features:
    return Features(np.zeros((300, layout.bands), np.uint8), 10.0)


def still(frame: int, layout: BarsLayout, height: float, glow: float) -> Run:
    """Return a run of one frame: all bars at a height, and a glow."""
    heights = np.full((1, layout.bands), height, np.float32)
    return Run(frame, heights, np.full(1, glow, np.float32), heights)


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
