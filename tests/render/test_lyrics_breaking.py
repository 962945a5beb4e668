"""Lines that are too long: two rows, smaller letters, two lines by time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.lyrics.values import LyricLine, LyricWord
from mp4gen.render.lyrics.breaking import (
    Broken,
    Room,
    break_line,
    break_places,
    shorten,
    split_line,
)

# Every letter is one wide; twenty letters of size 1 fit into a row.
ROOM = Room(20, 1.0, 1.0, 8)


def rows_of(text: str, room: Room = ROOM) -> Broken | None:
    return break_line(text, len, room)


def test_line_that_fits_is_one_row():
    """It is not broken."""
    assert rows_of("I left my name") == Broken(("I left my name",), 1.0)


def test_longer_line_becomes_two_balanced_rows():
    """The wider row is as narrow as it can be."""
    assert rows_of("Every window is a slow goodbye") == Broken(
        ("Every window is", "a slow goodbye"), 1.0
    )


def test_no_short_word_is_alone_in_the_second_row():
    """Unless there is no other way."""
    assert rows_of("extraordinarilylong me do") == Broken(("extraordinarilylong", "me do"), 1.0)
    assert rows_of("extraordinarilylonger me!").rows == ("extraordinarilylonger", "me!")


def test_letters_shrink_to_seventy_percent():
    """Then the line must be split."""
    assert rows_of("a" * 25 + " " + "b" * 25) == Broken(("a" * 25, "b" * 25), 0.8)
    assert rows_of("a" * 29 + " " + "b" * 29) is None


def test_one_smaller_row_wins_over_two_of_smaller_letters():
    """In a wide frame two rows have less room than one."""
    room = Room(20, 1.0, 0.74, 16)

    assert rows_of("Every window is a slow", room) == Broken(("Every window is a slow",), 20 / 22)
    assert rows_of("Every window is a slow goodbye", room).rows == (
        "Every window is",
        "a slow goodbye",
    )


def test_scripts_without_spaces_break_between_characters():
    """Not before closing marks and small kana, not after opening marks; within the limit."""
    assert rows_of("夜の港に灯りが残る").rows == ("夜の港に", "灯りが残る")
    assert rows_of("夜の港") == Broken(("夜の港",), 1.0)
    assert rows_of("夜の港に灯りが残る君を待つ遠い海の") is None
    text = "「夜。」ちょっとBye bye々"
    starts = [text[place] for place in break_places(text)]
    assert starts == ["ち", "と", "B", "b"]


def test_korean_breaks_at_its_spaces():
    """Hangul has words."""
    assert break_places("밤의 항구에") == [3]


@given(st.text("ab ,。夜の", max_size=40).map(lambda text: " ".join(text.split())))
def test_rows_keep_all_letters(text):
    """Only spaces go, and no row is empty."""
    broken = rows_of(text) if text else None
    if broken is not None:
        assert "".join(broken.rows).replace(" ", "") == text.replace(" ", "")
        assert all(broken.rows)
        assert max(map(len, broken.rows)) * broken.size <= 20 + 1e-6


def test_line_is_split_at_a_pause_near_the_middle():
    """Else at the space that is nearest to the middle."""
    line = LyricLine(10.0, 14.0, "Oh, the harbour keeps, and I know them all", ())
    first, second = split_line(line, 20.0)

    assert (first.text, second.text) == ("Oh, the harbour keeps,", "and I know them all")
    assert first.end == second.start == pytest.approx(10 + 4 * 23 / 42)
    assert second.end == 14.0
    assert split_line(LyricLine(0, None, "aaaa bb cc dddd"), 5.0)[1].text in (
        "cc dddd",
        "bb cc dddd",
    )
    assert split_line(LyricLine(0, None, "aaaaaaaa"), 5.0) is None


def test_words_are_split_with_their_line():
    """The second half begins with its first word."""
    words = (
        LyricWord(1.0, "Stay "),
        LyricWord(2.0, "right "),
        LyricWord(4.0, "here "),
        LyricWord(5.0, "now"),
    )
    first, second = split_line(LyricLine(1.0, 6.0, "Stay right here now", words), 9.0)

    assert first.words == (LyricWord(1.0, "Stay "), LyricWord(2.0, "right"))
    assert (first.end, second.start) == (4.0, 4.0)
    assert second.words == words[2:]


def test_long_rows_are_shortened():
    """Lines that are not current are one row, with an ellipsis."""
    assert shorten("The harbour keeps", len, 20) == "The harbour keeps"
    assert shorten("The harbour keeps the lights", len, 12) == "The harbour…"
    assert shorten("夜の港に", len, 3) == "夜の…"
