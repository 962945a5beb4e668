"""The seam of looks: names, entry points, and parts that own their pixels."""

from __future__ import annotations

from importlib import metadata

import attrs
import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, looks, render_frame
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import CONTENT, check_boxes
from mp4gen.render.motion import Run, onsets


@attrs.frozen
class APart:
    boxes: tuple[Box, ...]

    def draw_frames(self, run, slow_updates):
        yield from (None for _ in slow_updates)


class AnEntryPoint:
    value = "other_package:look"

    def __init__(self, name, target):
        self.name = name
        self._target = target

    def load(self):
        if isinstance(self._target, Exception):
            raise self._target
        return self._target


@pytest.fixture
def entry_points(monkeypatch):
    found = []

    def entry_points(*, group):
        assert group == "mp4gen.looks"
        return found

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    looks._other_look.cache_clear()
    yield found
    looks._other_look.cache_clear()


def test_unknown_look_lists_those_that_exist(entry_points):
    """Also those of other packages."""
    entry_points.append(AnEntryPoint("stars", None))

    with pytest.raises(RenderError, match=r"'star'. Use one of: bars, .*, stars\.$"):
        looks.check_look("star")


def test_look_of_another_package_is_loaded(entry_points):
    """The entry point's function is the look."""
    entry_points.append(AnEntryPoint("stars", looks.find_look("bars")))

    looks.check_look("stars")

    assert looks.find_look("stars")(320, 180, CONTENT).bands > 0


def test_look_that_cannot_be_loaded_says_why(entry_points):
    """An old package may not fit."""
    entry_points.append(AnEntryPoint("stars", ImportError("no sky")))

    with pytest.raises(RenderError, match=r"Cannot load the look 'stars' from other_package:look"):
        looks.find_look("stars")


def test_own_look_wins_over_an_entry_point(entry_points):
    """No package replaces one of our looks."""
    entry_points.append(AnEntryPoint("bars", None))

    assert looks.look_names().count("bars") == 1
    assert looks.find_look("bars") is not None


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([Box(0, 0, 10, 10), Box(8, 8, 20, 20)], "overlaps"),
        ([Box(0, 0, 11, 10)], "even edges"),
        ([Box(90, 0, 102, 10)], "in the frame"),
        ([Box(-2, 0, 10, 10)], "in the frame"),
    ],
)
def test_parts_must_own_their_pixels(boxes, message):
    """Otherwise the order of drawing would decide, and pieces would differ."""
    with pytest.raises(RenderError, match=message):
        check_boxes([APart((box,)) for box in boxes], 100, 50)


def test_parts_may_touch():
    """Neighbouring boxes share no pixel."""
    check_boxes([APart((Box(0, 0, 10, 10),)), APart((Box(10, 0, 20, 10),))], 100, 50)


def test_part_of_a_run_has_the_frames_before_it():
    """What a part remembers does not depend on where the run begins."""
    heights = np.arange(40, dtype=np.float32).reshape(20, 2)
    run = Run(100, heights, heights[:, 0], np.zeros((5, 2), np.float32))

    early, late = run.part(0, 103), run.part(112, 200)

    assert (early.first, early.end, late.first, late.end) == (100, 103, 112, 120)
    np.testing.assert_array_equal(early.before, run.before)
    np.testing.assert_array_equal(late.before, heights[7:12])
    np.testing.assert_array_equal(late.heights, heights[12:])
    assert run.part(103, 103) is None
    assert run.part(120, 130) is None


def test_onsets_are_apart_and_the_strongest():
    """A weak sound shortly before a strong one starts no ring of its own."""
    levels = np.full((90, 64), 120, np.uint8)
    for frame, rise in ((15, 20), (45, 8), (51, 20), (70, 8), (75, 3)):
        levels[frame] += np.uint8(rise)

    assert onsets(levels, 30).tolist() == [15, 51, 70]


def test_silence_has_no_onsets():
    """Nothing begins to sound."""
    assert onsets(np.zeros((90, 64), np.uint8), 30).size == 0


def test_run_with_other_bands_moves_the_same():
    """Ends stay ends, and what is between is between."""
    heights = np.array([[0.0, 0.5, 1.0], [1.0, 0.0, 1.0]], np.float32)
    run = Run(7, heights, heights[:, 0], heights)

    more = run.with_bands(5)

    assert run.with_bands(3) is run
    assert more.heights.tolist() == [[0, 0.25, 0.5, 0.75, 1], [1, 0.5, 0, 0.5, 1]]
    np.testing.assert_array_equal(more.before, more.heights)
    assert (more.first, more.end) == (7, 9)


@pytest.mark.parametrize("look", looks.OWN_LOOKS)
@pytest.mark.parametrize("size", [(320, 180), (180, 320)])
def test_look_without_words_is_drawn(tone_wav, look, size):
    """What stands in the middle then overlaps no part for words."""
    style = RenderStyle(width=size[0], height=size[1], look=look, background="blur")

    assert render_frame(tone_wav, time=0.5, title="", author="", style=style).size == size
