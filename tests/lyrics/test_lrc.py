"""LRC as people and programs write it, and as we write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.errors import RenderError
from mp4gen.lyrics.files import parse_lyrics
from mp4gen.lyrics.lrc import format_lrc
from mp4gen.lyrics.values import LyricLine, Lyrics, LyricWord


def lines_of(text: str, name: str = "song.lrc") -> tuple[LyricLine, ...]:
    return parse_lyrics(text.encode(), name).lines


def test_a_line_has_its_time_and_text():
    """Tags of the song, sections and lines without a time are left out."""
    text = "[ti:Lights]\n[ar: Ferry]\n[Chorus]\nby ear\n[00:12.50] I left my name \n[01:02.5]upon"

    assert lines_of(text) == (
        LyricLine(12.5, None, "I left my name"),
        LyricLine(62.5, None, "upon"),
    )


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ("[00:01]", 1.0),
        ("[0:01.5]", 1.5),
        ("[00:01.25]", 1.25),
        ("[00:01.257]", 1.257),
        ("[00:01:25]", 1.25),
        ("[00:01,25]", 1.25),
        ("[ 75:01.00 ]", 4501.0),
        ("[01:00:01.00]", 3601.0),
    ],
)
def test_times_are_read_as_programs_write_them(tag, seconds):
    """Tenths to milliseconds, colons and commas, and hours."""
    assert lines_of(f"{tag}word")[0].start == pytest.approx(seconds)


def test_a_repeated_line_is_written_once():
    """A line with several times stands at each, its words as far from each as from the first."""
    first, other = lines_of("[00:10.00][01:10.00]<00:10.00>Stay <00:10.50>here")

    assert (first.start, other.start) == (10.0, 70.0)
    assert [word.start for word in other.words] == [70.0, 70.5]


def test_words_have_times_and_the_last_may_end():
    """The form of A2 Media Player: spaces around times are one space, the last time is the end."""
    (line,) = lines_of("[00:10.00] <00:10.00> Stay <00:10.50> he<00:10.80>re <00:12.00> ")

    assert line.text == "Stay here"
    assert line.words == (LyricWord(10.0, "Stay "), LyricWord(10.5, "he"), LyricWord(10.8, "re"))
    assert line.end == 12.0


def test_words_may_have_times_in_square_brackets():
    """Other programs write the times of words as those of lines."""
    (line,) = lines_of("[00:10.00]Stay [00:10.50]here")

    assert line.words == (LyricWord(10.0, "Stay "), LyricWord(10.5, "here"))


def test_a_time_that_goes_back_waits_for_the_word_before():
    """Words begin in the order in which they stand."""
    (line,) = lines_of("[00:10.00]<00:11.00>Stay <00:10.50>here")

    assert [word.start for word in line.words] == [11.0, 11.0]


def test_a_positive_offset_is_earlier():
    """The offset counts for all lines, also for those before it."""
    assert [line.start for line in lines_of("[00:10.00]a\n[offset:+500]\n[00:20.00]b")] == [
        9.5,
        19.5,
    ]


def test_an_empty_line_ends_the_one_before():
    """Such lines end the line before them only, and only once."""
    found = lines_of("[00:10.00]a\n[00:12.00]\n[00:13.00]\n[00:20.00]b\n[00:30.00]c")

    assert [line.end for line in found] == [12.0, None, None]


def test_lines_are_sorted_and_the_first_of_one_time_is_kept():
    """The second line at a time is a translation."""
    found = lines_of("[00:20.00]b\n[00:10.00]a\n[00:10.00]translated")

    assert [line.text for line in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "number", "problem"),
    [
        ("[00:10.00]a\n[00:75.00]b", 2, "invalid time [00:75.00]"),
        ("[00:1x.00]b", 1, "invalid time [00:1x.00]"),
        ("\n\n[00:10.00]a <00:1x>b", 3, "invalid time <00:1x>"),
        ("[offset:soon]", 1, "invalid offset 'soon'"),
        ("a\0b", 1, "it is not text"),
    ],
)
def test_an_error_names_file_line_and_problem(text, number, problem):
    """The text says what is wrong where, and what to do."""
    with pytest.raises(RenderError, match=r"\. (Write|Choose) .*\.$") as error:
        lines_of(text)

    assert f"file song.lrc, line {number}: {problem}" in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        "[00:01.00]Für Élise".encode(),
        "[00:01.00]Für Élise".encode("utf-8-sig"),
        "[00:01.00]Für Élise".encode("utf-16"),
        "\ufeff[00:01.00]Für Élise".encode("utf-16-be"),
        "[00:01.00]Für Élise".encode("cp1252"),
        b"\r[00:01.00]F\xc3\xbcr \xc3\x89lise\r\n",
    ],
)
def test_encodings_are_recognized(data):
    """UTF-8, UTF-16 with its mark, and Windows-1252; any line ends."""
    assert [line.text for line in parse_lyrics(data, "song.lrc").lines] == ["Für Élise"]


def test_a_damaged_encoding_names_its_line():
    """UTF-16 that breaks off in the middle of a letter."""
    data = "[00:01.00]a\n[00:02.00]b".encode("utf-16") + b"\0"

    with pytest.raises(RenderError, match=r"line 2: the encoding is damaged\. Save"):
        parse_lyrics(data, "song.lrc")


@pytest.mark.parametrize("data", [b"x" * 2_000_001, b"\n" * 20_000])
def test_large_files_are_refused(data):
    """A file cannot take much memory or time."""
    with pytest.raises(RenderError, match=r"song\.lrc\. Use"):
        parse_lyrics(data, "song.lrc")


def test_text_without_times_gives_no_lines():
    """The caller decides what this means."""
    assert lines_of("Just words\n[Chorus]\n[ar:Me]") == ()


@st.composite
def some_lyrics(draw) -> Lyrics:
    texts = st.text("abcÄ夜", min_size=1, max_size=5)
    lines, time = [], 0
    for words in draw(st.lists(st.lists(texts, min_size=1, max_size=4), max_size=5)):
        starts = [time := time + draw(st.integers(1, 3000)) for _ in words]
        time += draw(st.integers(1, 3000))
        end = draw(st.sampled_from([None, time / 100]))
        spaced = [f"{word} " for word in words]
        spaced[-1] = spaced[-1].rstrip()
        timed = tuple(LyricWord(at / 100, word) for at, word in zip(starts, spaced, strict=True))
        has_words = draw(st.booleans())
        lines.append(LyricLine(starts[0] / 100, end, "".join(spaced), timed if has_words else ()))
        time += 100
    return Lyrics(tuple(lines))


@given(some_lyrics())
def test_written_lyrics_are_read_as_they_were(lyrics):
    """Both ends of the format agree, to 10 ms."""
    assert parse_lyrics(format_lrc(lyrics).encode(), "song.lrc") == lyrics


@given(st.text("[]<>:.,0123456789ab \n", max_size=60))
def test_any_text_is_read_or_refused(text):
    """No other error than that of the format."""
    try:
        found = lines_of(text)
    except RenderError:
        return
    assert [line.start for line in found] == sorted({line.start for line in found})


def test_a_clip_moves_the_times_and_keeps_the_neighbours():
    """Times count from the start of the clip; a clip without a line of its own is empty."""
    lyrics = parse_lyrics(b"[00:10.00]a\n[00:20.00]b\n[00:22.00]\n[00:40.00]c", "song.lrc")

    assert [line.start for line in lyrics.clipped(15, 25).lines] == [-5.0, 5.0, 25.0]
    assert lyrics.clipped(15, 25).lines[1].end == 7.0
    assert lyrics.clipped(23, 39).lines == ()
    assert lyrics.clipped(0, float("inf")) == lyrics
