"""Places of the looks at any size: nothing overlaps or leaves the frame."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mp4gen.render.layout import Box
from mp4gen.render.looks import find_look
from mp4gen.render.looks.look import Content, Layout
from mp4gen.render.looks.pulse import PulseLayout
from mp4gen.render.looks.waveform import WaveformLayout

SIDES = st.integers(72, 1920).map(lambda half: 2 * half)


def text_box(left: float, right: float, base: float, size: float) -> Box:
    return Box(round(left), round(base - 0.8 * size), round(right), round(base + 0.25 * size))


def places_of(layout: Layout, *, has_words: bool) -> dict[str, Box]:
    """Return the boxes that must stay apart, by name."""
    watermark, half = layout.watermark, layout.watermark.max_width / 2
    middle = layout.width / 2
    places = {
        "cover": layout.cover,
        "watermark": text_box(middle - half, middle + half, watermark.base, watermark.size),
    }
    if has_words:
        places["words"] = layout.words.box
    if isinstance(layout, WaveformLayout):
        place, times = layout.waveform, layout.times
        right = place.left + place.count * place.pitch
        places["waveform"] = Box(place.left, place.rows[0], right, place.rows[1])
        places["times"] = text_box(times.left, times.right, times.base, times.size)
    if isinstance(layout, PulseLayout):
        places["progress"] = layout.progress
    return places


@given(st.sampled_from(["waveform", "pulse"]), SIDES, SIDES, st.booleans())
@example("waveform", 144, 3840, True)
@example("pulse", 144, 3840, True)
@example("waveform", 3840, 144, True)
@example("pulse", 3840, 144, True)
def test_no_size_makes_places_overlap(look, width, height, has_words):
    """From the smallest square to the longest strip."""
    layout = find_look(look)(width, height, Content(has_words=has_words))
    places = places_of(layout, has_words=has_words)

    for name, box in places.items():
        assert 0 <= box.left < box.right <= width, name
        assert 0 <= box.top < box.bottom <= height, name
    for one, other in itertools.combinations(places, 2):
        assert not places[one].overlaps(places[other]), (one, other)


@given(SIDES, SIDES)
def test_waveform_owns_all_rows_of_its_columns(width, height):
    """A column that grows stays in the waveform's box, on whole chroma samples."""
    place = find_look("waveform")(width, height, Content()).waveform

    assert place.box.top <= place.rows[0] < place.axis < place.rows[1] <= place.box.bottom
    assert [edge % 2 for edge in (place.left, place.pitch, place.axis, *place.rows)] == [0] * 5
    assert place.count >= 20


@pytest.mark.parametrize(
    ("size", "count"),
    [((1280, 720), 136), ((1080, 1080), 90), ((1080, 1350), 90), ((1080, 1920), 72)],
)
def test_waveform_has_the_columns_of_the_design(size, count):
    """As many as a person can tell apart, on whole pixels."""
    assert find_look("waveform")(*size, Content()).waveform.count == count


@given(SIDES, SIDES)
def test_rings_own_what_nothing_else_changes(width, height):
    """They leave out the cover, and end above the author and the progress line."""
    layout = find_look("pulse")(width, height, Content())
    others = [layout.cover.expanded(0, width, height), layout.progress]

    for box in layout.rings.boxes:
        assert 0 <= box.left <= box.right <= width
        assert 0 <= box.top <= box.bottom <= height
        assert [edge % 2 for edge in (box.left, box.top, box.right, box.bottom)] == [0] * 4
        assert not any(box.overlaps(other) for other in others)
        assert box.bottom <= layout.words.author_base - layout.words.author_size


@pytest.mark.parametrize("content", [Content(), Content(lyrics="ltr")])
@pytest.mark.parametrize("size", [(1280, 720), (720, 720), (720, 900), (720, 1280)])
def test_light_of_the_waveform_is_not_deeper_than_high(size, content):
    """Where nothing stands below the columns, it does not hang from them."""
    place = find_look("waveform")(*size, content).waveform

    assert place.box.bottom - place.axis <= place.axis - place.box.top
