"""When lines become current, words are lit, dots fill and the lyrics leave."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from mp4gen.lyrics.values import LyricLine, LyricWord
from mp4gen.render.lyrics.timing import Step, schedule


def a_line(*starts: float, end: float | None = None) -> LyricLine:
    """Return a line whose words begin at `starts`; one start is that of a line without times."""
    words = tuple(LyricWord(start, "word ") for start in starts) if len(starts) > 1 else ()
    return LyricLine(starts[0], end, "word " * len(starts), words)


def test_line_becomes_current_before_its_first_word():
    """0.4 s, with the lines before and after it beside it."""
    found = schedule([a_line(1, 2), a_line(4, 5), a_line(7, 8)], 10)

    assert [step.start for step in found.steps] == pytest.approx([0.6, 3.6, 6.6])
    assert found.steps[1] == Step(found.steps[1].start, 1, 0, 2)
    assert (found.steps[0].past, found.steps[2].following) == (None, None)
    assert found.interludes == ()


def test_line_waits_for_the_last_word_before_it():
    """The last word is shown for 0.3 s, but no line comes after its own first word."""
    found = schedule([a_line(1, 3.5), a_line(4, 5.9), a_line(6, 7)], 10)

    assert [step.start for step in found.steps[1:]] == pytest.approx([3.8, 6.0])


def test_words_sweep_to_the_next_and_the_last_is_held():
    """For 1.5 s, unless the line ends or the next one becomes current before."""
    lines = [a_line(1, 2), a_line(6, 7, end=7.5), a_line(10, 11), a_line(12, 13, end=20)]

    assert schedule(lines, 30).sweeps == (
        (1, 2, 3.5),
        (6, 7, 7.5),
        (10, 11, pytest.approx(11.6)),
        (12, 13, 14.5),
    )


def test_line_without_word_times_is_lit_as_a_whole():
    """No times of words are invented."""
    assert schedule([a_line(2)], 5).sweeps == ((2, 2.25),)


def test_dots_fill_a_gap_of_more_than_six_seconds():
    """From the end of the line to the next, and from the beginning of the video."""
    start = schedule([a_line(6.5, 7)], 10)
    between = schedule([a_line(1, 2, end=3), a_line(9.5, 10)], 12)
    short = schedule([a_line(1, 2, end=3), a_line(8.5, 9)], 12)

    assert start.steps[0] == Step(0.0, None, None, 0, (0.0, pytest.approx(6.1)))
    assert between.steps[1] == Step(pytest.approx(3.3), None, 0, 1, (pytest.approx(3.3), 9.1))
    assert len(short.steps) == 2


def test_lyrics_leave_in_a_gap_of_more_than_twelve_seconds():
    """They return in time for three seconds of dots; at the ends they come late or stay away."""
    found = schedule([a_line(20, 21, end=22), a_line(40, 41, end=42)], 60)

    assert found.interludes == (
        (-math.inf, pytest.approx(16.4)),
        (pytest.approx(22.8), pytest.approx(36.4)),
        (pytest.approx(42.8), math.inf),
    )
    assert found.steps[2].dots == (37, pytest.approx(39.6))


def test_long_lines_without_an_end_are_no_gap():
    """How long a line is sung is estimated from its length, if the file does not say."""
    line = LyricLine(0, None, "many words in a line of lyrics that is sung slowly", ())

    assert schedule([line, a_line(13, 14)], 20).interludes == ()
    assert len(schedule([a_line(0), a_line(13, 14)], 20).interludes) == 0


@pytest.mark.parametrize("fps", [24, Fraction(30000, 1001), 30, 60])
def test_step_of_a_frame_is_within_one_frame(fps):
    """The first frame at or after the time of a step shows it."""
    found = schedule([a_line(n * 0.9 + 0.777, n * 0.9 + 1) for n in range(50)], 60)
    for number, step in enumerate(found.steps[1:], 1):
        frame = next(n for n in range(3000) if found.step_at(float(n / fps)) == number)
        assert 0 <= frame / fps - step.start + 1e-6 <= 1 / fps + 1e-6


def test_first_step_is_shown_from_the_beginning():
    """Also if it begins before or after the video."""
    assert schedule([a_line(5, 6)], 10).step_at(0.0) == 0
    assert schedule([a_line(-5, -4), a_line(-1, 1)], 10).step_at(0.0) == 1
