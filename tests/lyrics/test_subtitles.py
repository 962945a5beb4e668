"""SubRip and WebVTT as lyrics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.errors import RenderError
from mp4gen.lyrics.files import parse_lyrics
from mp4gen.lyrics.values import LyricLine, LyricWord


def lines_of(text: str, name: str = "song.srt") -> tuple[LyricLine, ...]:
    return parse_lyrics(text.encode(), name).lines


def test_subrip_cues_become_lines():
    """Numbers, hours, commas, tags, positions and several rows of text."""
    text = (
        "1\n00:00:01,500 --> 00:00:04,000\nI left <i>my name</i>\nupon the water\n\n"
        "2\r\n0:01:00.5 --> 0:01:02 X1:10 X2:20\r\n"
        "{\\an8}♪ The <font color='red'>harbour</font> ♪\r\n"
    )

    assert lines_of(text) == (
        LyricLine(1.5, 4.0, "I left my name upon the water"),
        LyricLine(60.5, 62.0, "The harbour"),
    )


def test_webvtt_cues_become_lines():
    """Blocks that are not cues, names, settings, voices, classes, reading aids, entities."""
    text = (
        "WEBVTT - Lyrics\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:fred\n\n"
        "NOTE a note with a time\n00:00:01 is not a cue\n\n"
        "verse-1\n00:01.000 --> 00:04.000 align:start line:0\n"
        "<v Ana Lisboa>Fish &amp; <c.a.b>chips</c></v>\n\n"
        "01:00:05.000 --> 01:00:06.000\n<ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>\n"
    )

    assert lines_of(text, "song.vtt") == (
        LyricLine(1.0, 4.0, "Fish & chips"),
        LyricLine(3605.0, 3606.0, "漢字"),
    )


def test_webvtt_words_have_times():
    """The times within a cue are those of its words, as in karaoke."""
    (line,) = lines_of(
        "WEBVTT\n\n00:01.000 --> 00:04.000\nStay <00:00:02.000><c>right</c> <00:03.500>here",
        "song.vtt",
    )

    assert line.words == (
        LyricWord(1.0, "Stay "),
        LyricWord(2.0, "right "),
        LyricWord(3.5, "here"),
    )


@pytest.mark.parametrize(
    ("name", "text", "number", "problem"),
    [
        ("a.srt", "1\n00:00:01,000 -> oops\nx", 2, "invalid times '00:00:01,000 -> oops'"),
        ("a.srt", "1\n00:00:01 --> 00:00:02\nx\n\n2\n00:61:00 --> 00:62:00\ny", 6, "invalid times"),
        ("a.srt", "1\n00:00:05,000 --> 00:00:02,000\nx", 2, "the cue ends before its start"),
        ("a.vtt", "00:01.000 --> 00:02.000\nx", 1, "a WebVTT file begins with WEBVTT"),
        ("a.vtt", "WEBVTT\n\nname\nnow --> later\nx", 4, "invalid times 'now --> later'"),
    ],
)
def test_an_error_names_file_line_and_problem(name, text, number, problem):
    """The text says what is wrong where, and what to do."""
    with pytest.raises(RenderError, match=r"\. (Write|Add) .*\.$") as error:
        lines_of(text, name)

    assert f"file {name}, line {number}: {problem}" in str(error.value)


def test_text_without_cues_gives_no_lines():
    """The caller decides what this means."""
    assert lines_of("Just words\n\nand more") == ()
    assert lines_of("WEBVTT\n\nNOTE nothing", "song.vtt") == ()


@given(st.text("<>/rt ruby:.-0123456789\n", max_size=80), st.sampled_from(["a.srt", "a.vtt"]))
def test_any_text_is_read_or_refused(text, name):
    """No other error than that of the format."""
    try:
        found = lines_of(f"WEBVTT\n\n{text}", name)
    except RenderError:
        return
    assert [line.start for line in found] == sorted({line.start for line in found})


@pytest.mark.parametrize("part", ["<rt ", "<rt>", "<c.", "{\\", "&am", "00:01 -", "<00:01"])
def test_hostile_text_is_read_in_one_pass(part):
    """Text in which a search could begin anywhere; a quadratic one would take hours."""
    text = "WEBVTT\n\n00:01.000 --> 00:02.000\n" + part * (1_000_000 // len(part))

    assert len(lines_of(text, "song.vtt")) <= 1
