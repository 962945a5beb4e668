"""Timed words as tags and the API deliver them, joined into lines."""

from __future__ import annotations

from mp4gen.lyrics.events import LyricEvent, join_events
from mp4gen.lyrics.values import LyricLine, LyricWord


def lines_of(*pieces: tuple[float, str] | tuple[float, str, float]) -> tuple[LyricLine, ...]:
    return join_events([LyricEvent(*piece) for piece in pieces]).lines


def test_line_breaks_separate_lines():
    """Breaks stand before or behind the words; the line ends with its last word."""
    found = lines_of(
        (1.0, "Winter ", 1.4), (1.5, "winds\n", 2.0), (3.0, "cut ", 3.2), (3.3, "\nso deep", 4.0)
    )

    assert [(line.text, line.start, line.end) for line in found] == [
        ("Winter winds", 1.0, 2.0),
        ("cut", 3.0, 3.2),
        ("so deep", 3.3, 4.0),
    ]
    assert found[0].words == (LyricWord(1.0, "Winter "), LyricWord(1.5, "winds"))


def test_section_names_are_left_out():
    """They stand on lines of their own, within the first or the last word of another."""
    found = lines_of((1.0, "[Verse 1]\nWinter ", 1.4), (1.5, "winds\n[Chorus]\n", 2.0), (3.0, "So"))

    assert [line.text for line in found] == ["Winter winds", "So"]
    assert [line.start for line in found] == [1.0, 3.0]


def test_words_without_spaces_get_them():
    """Unless the script has none: then nothing is between the words."""
    assert lines_of((1.0, "Winter"), (1.5, "winds"))[0].text == "Winter winds"
    assert lines_of((1.0, "夜の"), (1.5, "海"))[0].text == "夜の海"


def test_pauses_separate_lines_without_breaks():
    """A second of silence, and a word that makes the line too long, begin a new one."""
    pause = lines_of((1.0, "Winter ", 1.4), (2.5, "winds", 3.0))
    long = lines_of(*((n * 0.3, "another ", n * 0.3 + 0.2) for n in range(8)))

    assert [line.text for line in pause] == ["Winter", "winds"]
    assert [len(line.words) for line in long] == [5, 3]


def test_nothing_gives_no_lines():
    """No words, or only section names."""
    assert lines_of() == ()
    assert lines_of((1.0, "[Instrumental]\n")) == ()
