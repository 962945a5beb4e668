"""The title: one row, else two, then smaller, then cut."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from mp4gen.render.colour import Accent
from mp4gen.render.looks import OWN_LOOKS, find_look
from mp4gen.render.looks.look import Content, SceneSpec
from mp4gen.render.looks.lyric_bars import lyrics_layout
from mp4gen.render.parts.title import MIN_SCALE, Title, fit_title
from mp4gen.render.parts.words import ASCENT, DESCENT, fit_author
from mp4gen.render.text import Typesetter

LONG = "Midnight Over Lisbon and the Long Way Home Along the River"
SHAPES = [(1280, 720), (720, 720), (720, 900), (720, 1280)]


def spec_of(title: str, size: tuple[int, int] = (1280, 720), look: str = "bars") -> SceneSpec:
    layout = find_look(look)(*size, Content())
    return SceneSpec(
        layout=layout, cover=np.zeros((2, 2, 3), np.float32), accent=Accent(0.0, 1.0), title=title,
        author="Suno Artist", domain_name="", fps=30, frame_count=300,
    )  # fmt: skip


def fitted(title: str) -> Title:
    return fit_title(spec_of(title), Typesetter())


def test_short_title_is_one_row_of_full_size():
    """Nothing moves."""
    words = spec_of("Lisbon").layout.words

    assert fitted("Lisbon") == Title((("Lisbon", words.title_base),), words.title_size)


def test_wide_title_breaks_into_rows_of_nearly_equal_width():
    """Before it shrinks."""
    title, words = fitted("Midnight Over Lisbon and the Long"), spec_of("").layout.words
    (first, upper), (second, lower) = title.rows

    assert (first, second) == ("Midnight Over", "Lisbon and the Long")
    assert title.size == words.two_rows.size
    assert lower - upper == pytest.approx(1.12 * title.size)
    assert title.drop > 0


def test_wider_title_shrinks_to_the_width():
    """Both rows together."""
    words, typesetter = spec_of("").layout.words, Typesetter()
    title = fitted(LONG)
    widths = [typesetter.width(text, title.size, "semibold") for text, _ in title.rows]

    assert " ".join(text for text, _ in title.rows) == LONG
    assert MIN_SCALE * words.title_size <= title.size < words.two_rows.size
    assert 0.98 * words.box.width < max(widths) <= words.box.width


def test_widest_title_is_cut_at_sixty_percent():
    """The first row is full and whole; an ellipsis ends the second."""
    words, typesetter, text = spec_of("").layout.words, Typesetter(), " ".join([LONG] * 3)
    title = fitted(text)
    (first, _), (second, _) = title.rows
    longer = text[: text.index(" ", len(first) + 1)]

    assert title.size == pytest.approx(MIN_SCALE * words.title_size)
    assert text.startswith(f"{first} {second[:-1]}")
    assert second.endswith("\u2026")
    assert typesetter.width(longer, title.size, "semibold") > words.box.width


def test_title_without_a_space_stays_in_one_row():
    """It shrinks, then it is cut."""
    title = fitted("W" * 40)

    assert len(title.rows) == 1
    assert title.rows[0][0].endswith("\u2026")
    assert title.size == pytest.approx(MIN_SCALE * spec_of("").layout.words.title_size)


def test_title_stays_in_one_row_without_room_for_two():
    """A small header beside lyrics has one row."""
    spec = spec_of(LONG)
    words = attrs.evolve(spec.layout.words, two_rows=None)
    spec = attrs.evolve(spec, layout=attrs.evolve(spec.layout, words=words))

    assert len(fit_title(spec, Typesetter()).rows) == 1


@pytest.mark.parametrize("size", SHAPES)
def test_title_beside_lyrics_is_not_smaller_than_the_author(size):
    """It is cut sooner there."""
    spec, typesetter = spec_of(LONG * 3), Typesetter()
    layout = lyrics_layout(find_look("bars"), *size, Content(lyrics="ltr"))
    spec = attrs.evolve(spec, layout=layout)
    ((text, _),) = fit_title(spec, typesetter).rows

    assert fit_title(spec, typesetter).size >= fit_author(spec, typesetter).quiet_size
    assert text.endswith("\u2026")


@pytest.mark.parametrize("size", [*SHAPES, (320, 180), (1080, 1920)])
@pytest.mark.parametrize("look", OWN_LOOKS)
def test_two_rows_have_room_in_every_look(look, size):
    """They stay apart from a cover above and from the author below."""
    spec, typesetter = spec_of(LONG, size, look), Typesetter()
    title, author = fit_title(spec, typesetter), fit_author(spec, typesetter)
    layout, words = spec.layout, spec.layout.words
    (_, upper), (_, lower) = title.rows

    if words.centred:
        assert upper - ASCENT * title.size > layout.cover.bottom
    assert lower < author.hero_base - 0.70 * author.hero_size
    assert author.hero_base + DESCENT * author.hero_size <= words.box.bottom + 1
