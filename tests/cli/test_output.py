"""Output on a terminal, in a pipe, and as JSON."""

from __future__ import annotations

import json
import unicodedata
from fractions import Fraction
from typing import Any

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
def test_escape_control_chars_writes_them_as_ascii(text: str, expected: str) -> None:
    """Escape sequences, line breaks and bidirectional marks."""
    assert escape_control_chars(text) == expected


@given(st.text())
def test_escape_control_chars_leaves_none(text: str) -> None:
    """No text keeps a control character."""
    categories = {unicodedata.category(char) for char in escape_control_chars(text)}

    assert not categories & {"Cc", "Cs", "Zl", "Zp"}


@given(st.dictionaries(st.text(), st.text()))
def test_to_json_line_round_trip(record: dict[str, str]) -> None:
    """Any record becomes one line of ASCII that reads back equal."""
    line = to_json_line(record)

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == record


def test_to_json_line_writes_a_fraction_as_a_number() -> None:
    """A frame rate such as 30000/1001 can be computed with."""
    assert json.loads(to_json_line({"fps": Fraction(30000, 1001)})) == {"fps": 30000 / 1001}


def test_output_prints_either_text_or_records(capsys: pytest.CaptureFixture[str]) -> None:
    """With JSON, stdout has records only; messages stay on stderr."""
    as_text, as_json = Output(), Output(as_json=True)

    for output in (as_text, as_json):
        output.record({"a": 1})
        output.line("a is 1")
        output.status("message")

    out, err = capsys.readouterr()
    assert out == 'a is 1\n{"a": 1}\n'
    assert err == "message\nmessage\n"


def test_table_in_a_pipe_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets no header, and tabs in cells are escaped."""
    Output().table(("id", "title"), [("1", "a\tb"), ("2", None)])

    assert capsys.readouterr().out == "1\ta\\tb\n2\t\n"


@pytest.mark.parametrize("columns", ["0", "1", "9", "-1", "x", ""])
def test_help_is_readable_with_a_meaningless_width(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """Some editors and schedulers set COLUMNS to 0."""
    monkeypatch.setenv("COLUMNS", columns)

    assert "Print the number of credits left." in mp4gen("credits", "--help").out
