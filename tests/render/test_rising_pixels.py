"""Strokes that rise pixel by pixel: exact shapes, from any state to any other."""

from __future__ import annotations

import numpy as np
import pytest

from mp4gen.render.canvas import Canvas
from mp4gen.render.layout import Box
from mp4gen.render.parts.rising_pixels import Strokes, rising_planes

BOX = Box(4, 4, 44, 20)
WIDTH, LEFT = 6.0, 8.0
MIDDLES = np.array([8.0, 16.0], np.float32)


def two_strokes(grid):
    """Two horizontal strokes that begin at the left."""
    stroke = (grid.y.mean(axis=2) > 12).astype(np.int64)
    across = grid.y - MIDDLES[stroke][..., None]
    mask = np.abs(across).min(axis=2) < WIDTH / 2 + 0.5
    return mask, Strokes(stroke[mask], (grid.x - LEFT)[mask], across[mask], WIDTH, 2)


def drawn(*lengths: tuple[float, float]) -> Canvas:
    canvas = Canvas(64, 32)
    for plane, value in zip(canvas.planes, (50, 128, 128), strict=True):
        plane[:] = value
    lit = tuple(np.full_like(plane, 200) for plane in canvas.view(BOX))
    for plane in rising_planes(canvas, BOX, lit, two_strokes):
        levels = plane.levels(np.array(lengths, np.float64))
        before = np.concatenate([np.zeros((1, 2), np.int64), levels[:-1]])
        for _ in plane.draw_frames(before, levels):
            pass
    return canvas


@pytest.mark.parametrize("length", [0.0, 0.75, 10.0, 25.5])
def test_stroke_has_the_area_of_a_capsule(length):
    """To a pixel: a circle at rest, then a longer and longer body."""
    luma = drawn((length, 0.0)).planes[0].astype(float)

    covered = (luma[:12] - 50).sum() / 150
    assert covered == pytest.approx(np.pi * (WIDTH / 2) ** 2 + length * WIDTH, abs=1.0)


def test_frame_does_not_depend_on_the_frames_before():
    """Rising and falling end in the same pixels as drawing at once."""
    path = [(3.0, 20.0), (25.0, 0.0), (0.0, 7.5), (12.25, 12.0)]

    for one, other in zip(drawn(*path).planes, drawn(path[-1]).planes, strict=True):
        np.testing.assert_array_equal(one, other)
        assert len(np.unique(one)) > 4


def test_strokes_are_drawn_apart():
    """Each has a length of its own, and colour follows luma."""
    luma, blue, _ = drawn((20.0, 4.0)).planes

    assert (luma[8, 10:27] == 200).all()
    assert (luma[16, 10:11] == 200).all()
    assert (luma[16, 18:] == 50).all()
    assert (blue[4, 5:13] > 190).all()
    assert (blue[8, 9:] == 128).all()
