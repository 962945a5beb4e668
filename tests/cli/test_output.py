"""What reaches a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.cli.output import Output, escape_control_chars, to_json_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("abc\u202egpj.exe", r"abc\u202egpj.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u2028b", r"a\u2028b"),
        ("\ud800", r"\ud800"),
        ("[bold]not markup[/bold]", "[bold]not markup[/bold]"),
        ("日本\u3000語 naïve", "日本\u3000語 naïve"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_what_could_steer_a_terminal_is_written_out(text: str, expected: str) -> None:
    """Escape sequences, line breaks and marks that turn text around become harmless ASCII."""
    assert escape_control_chars(text) == expected


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    """Whatever comes from outside."""
    categories = {unicodedata.category(char) for char in escape_control_chars(text)}

    assert not categories & {"Cc", "Cs", "Zl", "Zp"}


@given(st.dictionaries(st.text(), st.text()))
def test_a_record_is_one_ascii_line_that_reads_back(record: dict[str, str]) -> None:
    """Also with every control character inside."""
    line = to_json_line(record)

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == record


def test_words_and_records_keep_out_of_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    """With JSON, stdout holds records only, and notes stay on stderr."""
    for_people, for_programs = Output(), Output(as_json=True)

    for screen in (for_people, for_programs):
        screen.record({"a": 1})
        screen.line("a is 1")
        screen.status("beside")

    out, err = capsys.readouterr()
    assert out == 'a is 1\n{"a": 1}\n'
    assert err == "beside\nbeside\n"


def test_a_table_is_tabs_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a heading, and with nothing in a cell that could break the columns."""
    Output().table(("id", "title"), [("1", "a\tb"), ("2", None)])

    assert capsys.readouterr().out == "1\ta\\tb\n2\t\n"
