"""The slow zoom of a blurred cover: what moves, what stays, and drawing from any frame on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.render.analysis import Features
from mp4gen.render.background_source import Background
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import Accent
from mp4gen.render.layout import Box
from mp4gen.render.looks import find_look
from mp4gen.render.looks.look import CONTENT, SceneSpec
from mp4gen.render.motion import Run
from mp4gen.render.parts.zoom import free_boxes, step_frames, zoom_at
from mp4gen.render.scene import Scene
from mp4gen.render.text import Typesetter

FRAMES = 3600


def a_scene(size: tuple[int, int], look: str = "bars") -> tuple[Scene, Canvas]:
    layout = find_look(look)(*size, CONTENT)
    side = layout.cover.width
    # Stripes, whose movement is visible everywhere.
    stripes = 0.5 + 0.4 * np.sin(np.arange(side, dtype=np.float32) * (40 / side))
    cover = np.stack([stripes, 0.7 * stripes, 0.3 * stripes], axis=-1)[None].repeat(side, axis=0)
    spec = SceneSpec(
        layout=layout, cover=cover, accent=Accent(60.0, 1.0), title="Title", author="Author",
        domain_name="example.com", fps=30, frame_count=FRAMES,
        background=Background(is_blur=True),
    )  # fmt: skip
    canvas = Canvas(*size)
    features = Features(np.zeros((FRAMES, layout.bands), np.uint8), FRAMES / 30)
    return Scene(spec, features, canvas, Typesetter()), canvas


def draw(size: tuple[int, int], frames: list[int], look: str = "bars") -> list[np.ndarray]:
    """Return the planes after drawing some frames."""
    scene, canvas = a_scene(size, look)
    bands = find_look(look)(*size, CONTENT).bands
    for frame in frames:
        still = np.zeros((1, bands), np.float32)
        next(scene.draw_frames(Run(frame, still, np.zeros(1, np.float32), still)))
    return list(canvas.planes)


@pytest.mark.parametrize("look", ["bars", "ring", "pulse"])
@pytest.mark.parametrize("size", [(320, 180), (146, 250)])
def test_frame_does_not_depend_on_the_frames_before(size, look):
    """Rendering in pieces is exact."""
    there, alone = draw(size, [0, 900, 1790, 1800], look), draw(size, [1800], look)

    for one, other in zip(there, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_zoom_moves_twice_a_second():
    """All frames of half a second are the same, and a step is hardly visible."""
    first, same, next_step = (draw((320, 180), [frame])[0] for frame in (600, 614, 615))
    rows = slice(0, 20)

    np.testing.assert_array_equal(first[rows], same[rows])
    difference = np.abs(first[rows].astype(int) - next_step[rows])
    assert 0 < difference.max() <= 4


def test_steps_come_with_beats():
    """One in each half second, at its strongest beat; without a beat at its beginning."""
    glows = np.zeros(75, np.float32)
    glows[[18, 24, 25, 47]] = 0.4, 0.9, 0.8, 1.0

    assert step_frames(glows, 30).tolist() == [0, 24, 30, 47, 60]
    assert step_frames(glows, 30000 / 1001).tolist() == [0, 24, 30, 47, 60]
    assert step_frames(glows[:1], 60).tolist() == [0]
    assert step_frames(glows[:0], 60).tolist() == []


def test_zoom_goes_to_the_middle_and_back():
    """It never jumps."""
    assert [round(zoom_at(second), 3) for second in (0, 30, 60, 90, 120, 150)] == [
        1.02, 1.04, 1.06, 1.04, 1.02, 1.04,
    ]  # fmt: skip


@pytest.mark.parametrize("look", ["bars", "ring", "pulse"])
def test_zoom_moves_behind_what_is_still(look):
    """Title and cover stay, and the movement fades to nothing beside other parts."""
    scene, canvas = a_scene((640, 360), look)
    zoom, layout = scene._parts[-1], find_look(look)(640, 360, CONTENT)
    zoom._draw(1.02)
    early = canvas.planes[0].astype(int)
    zoom._draw(1.06)
    late = canvas.planes[0].astype(int)

    moved = np.abs(late - early)
    letters = early[layout.words.box.slices] > 200
    assert (moved > 2).mean() > 0.05
    assert letters.any()
    assert (late[layout.words.box.slices][letters] > 190).all()
    assert not moved[layout.cover.slices][20:-20, 20:-20].any()
    for part in scene._parts[:-1]:
        for box in part.boxes:
            assert moved[box.expanded(2, 640, 360).slices].max() <= 2


def test_first_step_equals_what_was_still():
    """The mix of background and the rest is exact, but for dither."""
    scene, canvas = a_scene((320, 180))
    still = [plane.astype(int) for plane in canvas.planes]
    zoom = scene._parts[-1]

    zoom._draw(zoom_at(0.0))

    for before, after in zip(still, canvas.planes, strict=True):
        assert np.abs(before - after).max() <= 1


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 4), max_size=6))
def test_free_boxes_fill_the_rest(corners):
    """Each pixel is taken or in exactly one free box."""
    taken = [
        Box(2 * min(a, c), 2 * min(b, d), 2 * max(a, c), 2 * max(b, d)) for a, b, c, d in corners
    ]
    count = np.zeros((40, 40), int)
    for box in taken:
        count[box.slices] = 1
    for box in free_boxes(Box(0, 0, 40, 40), taken):
        count[box.slices] += 1

    assert (count == 1).all()
