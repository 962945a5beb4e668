"""Tables of tracks: accepted forms and errors."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mp4gen.cli.exit_codes import UsageError
from mp4gen.cli.track_table import InvalidRowsError, Table, read_table
from mp4gen.models import VideoRequest

FULL = VideoRequest(
    "m", "a", author="Ann", domain_name="x.example", callback_url="https://x.example/c"
)

CONFLICT = (
    "The row repeats the track of line 2 with other values, but the API makes one video for each "
    "track."
)


def read(tmp_path: Path, text: str | bytes, name: str = "t.csv", **defaults: str) -> Table:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(str(path), defaults)


@pytest.mark.parametrize(
    "text",
    [
        "taskId,audioId,author,domainName,callBackUrl\nm,a,Ann,x.example,https://x.example/c\n",
        "task_id,audio_id,author,domain_name\nm,a,Ann,x.example",
        "Task ID;AUDIOID;Author;Domain Name \r\nm;a;Ann;x.example\r\n",
        "\ufefftaskId\taudioId\tauthor\tdomainName\n\nm\t a \tAnn\tx.example\n\n",
        '{"taskId":"m","audioId":"a","author":"Ann","domainName":"x.example"}\n',
        '\n{"task_id":"m","audio_id":"a","author":"Ann","domain_name":"x.example","x":1}',
        "taskId,audioId,author,domainName,extra\nm,a,Ann,x.example,\nm,a,Ann,x.example,{}",
    ],
)
def test_read_table_accepts_the_usual_forms(tmp_path: Path, text: str) -> None:
    """The API's names or snake_case, commas, semicolons or tabs, CSV or JSON Lines."""
    table = read(tmp_path, text)

    read_back = attrs.evolve(table.rows[0].request, callback_url=FULL.callback_url)
    assert read_back == FULL
    assert len(table.rows) == 1


def test_read_table_accepts_utf_16(tmp_path: Path) -> None:
    """Spreadsheets export it as Unicode text, with tabs."""
    table = read(tmp_path, "taskId\taudioId\tauthor\nm\ta\tJosé\n".encode("utf-16"))

    assert table.rows[0].request.author == "José"


@pytest.mark.parametrize(
    "first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;", "\ufeffsep=;", "\r\nsep=;"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_read_table_accepts_the_separator_line_of_excel(
    tmp_path: Path, first: str, end: str
) -> None:
    """The lines of errors still count it."""
    lines = [first, "taskId;audioId;author", "m;a;Ann, Ben", "m;b;x", ""]

    table = read(tmp_path, end.join(lines))

    assert [row.request.author for row in table.rows] == ["Ann, Ben", "x"]
    skipped = first.count("\n")
    assert [row.line - skipped for row in table.rows] == [3, 4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", ":"])
def test_separator_line_sets_any_delimiter(tmp_path: Path, delimiter: str) -> None:
    """Also in UTF-16, as Excel exports it."""
    rows = [f"sep={delimiter}", delimiter.join(("taskId", "audioId")), delimiter.join("ma"), ""]

    table = read(tmp_path, "\r\n".join(rows).encode("utf-16"))

    assert [row.key for row in table.rows] == [("m", "a")]


@pytest.mark.parametrize(
    "text",
    [
        "taskId,audioId\nm,a,,\nm,b,,\n",
        "taskId,audioId,,\nm,a,,\nm,b,,\n",
        "taskId,audioId\nm,a\ntaskId,audioId\nm,b\n",
        "taskId;audioId\r\nm;a\r\n taskId ; audioId \r\nm;b\r\n",
    ],
)
def test_read_table_ignores_what_spreadsheets_and_joins_leave(tmp_path: Path, text: str) -> None:
    """Empty cells at the end of rows, and the header of a second table."""
    assert [row.key for row in read(tmp_path, text).rows] == [("m", "a"), ("m", "b")]


def test_column_may_be_called_sep(tmp_path: Path) -> None:
    """Only the whole first line is a separator line."""
    table = read(tmp_path, "sep,taskId,audioId\n1,m,a\n")

    assert table.rows[0].extra_columns == {"sep": "1"}


def test_defaults_fill_empty_cells(tmp_path: Path) -> None:
    """They do not replace a value."""
    table = read(tmp_path, "taskId,audioId,author\nm,a,\nm,b,Ben\n", author="Ann")

    assert [row.request.author for row in table.rows] == ["Ann", "Ben"]


def test_other_columns_are_kept_for_file_names(tmp_path: Path) -> None:
    """They are not part of the request."""
    table = read(tmp_path, "taskId,audioId,title\nm,a,One\n")

    assert table.extra_columns == ["title"]
    assert table.rows[0].extra_columns == {"title": "One"}
    assert table.rows[0].line == 2


def test_read_table_reads_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source `-` is standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"taskId,audioId\nm,a\n")))

    assert [row.key for row in read_table("-", {}).rows] == [("m", "a")]


def test_read_table_reports_all_invalid_rows(tmp_path: Path) -> None:
    """Each problem has its line, so that the user can correct the table in one go."""
    text = (
        'taskId,audioId,author\nm,ok,fine\nm,,x\n,a,x\n\n"m\n2",a,x\n'
        f"m,b,{'x' * 51}\nm,c,a\x1bb\nm,d,e,f\nm,ok,other\n"
    )

    with pytest.raises(InvalidRowsError) as caught:
        read(tmp_path, text)

    assert caught.value.problems == (
        (3, "The row has no audioId."),
        (4, "The row has no taskId."),
        (6, "Invalid taskId: must not contain control characters."),
        (8, "Invalid author: must be at most 50 characters, not 51."),
        (9, "Invalid author: must not contain control characters."),
        (10, "The row has 4 cells, but the header has 3."),
        (11, CONFLICT),
    )
    assert ": 7 of 8. Nothing was sent." in str(caught.value)


def test_read_table_reports_all_invalid_json_lines(tmp_path: Path) -> None:
    """A number is not an author, and a list is not a row."""
    text = '{"taskId":"m","audioId":"a","author":5}\n{"taskId":null,"audioId":"a"}\n[1]\n{"x"\n'
    text += '{"taskId":"m","audioId":"a","extra":"look"}\n'
    text += '{"taskId":"m","audioId":"a","extra":{"author":"x"}}\n'

    with pytest.raises(InvalidRowsError) as caught:
        read(tmp_path, text, "t.jsonl")

    assert [line for line, _ in caught.value.problems] == [1, 2, 3, 4, 5, 6]
    assert caught.value.problems[0][1] == "Invalid author: must be text, not int."
    assert caught.value.problems[4][1].startswith("The value of extra is not a JSON object")
    assert caught.value.problems[5][1].startswith("Invalid extra: must not hold author")


def test_repeated_row_is_skipped(tmp_path: Path) -> None:
    """Its line is reported."""
    table = read(tmp_path, "taskId,audioId\nm,a\nm,b\nm,a\n")

    assert len(table.rows) == 2
    assert table.repeated == [4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no rows"),
        ("taskId,audioId\n", "has no rows"),
        ("id,name\n1,2\n", "has no column taskId"),
        ("taskId,name\n1,2\n", "has no column audioId"),
        ("taskId,audioId,audio_id\n1,2,3\n", "two columns for audioId"),
        ("taskId,audioId,autor\n1,2,3\n", "looks like author"),
        ("taskId,audioId,domain_nam\n1,2,3\n", "looks like domainName"),
        ('[{"taskId":"m"}]', "one JSON array"),
        (b"taskId,audioId\nm,a\nm,\xff\n", ":3: The line is not UTF-8"),
        ("taskId,audioId\nm,a\n".encode("utf-16-le"), "not text in UTF-8"),
        ("taskId,audioId\nm,a\n".encode("utf-32"), "not text in UTF-8"),
        (b"PK\x03\x04\x14\0\x06\0", "is a spreadsheet file. Save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a spreadsheet file. Save it as CSV"),
        ("sep=;\n", "has no rows"),
        ("sep=;\ntaskId,audioId\nm,a\n", "has no column taskId"),
    ],
)
def test_read_table_rejects_an_invalid_table(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    """The error is one sentence with a hint."""
    with pytest.raises(UsageError, match=expected):
        read(tmp_path, text)


def test_read_table_rejects_a_missing_file(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(UsageError, match="Cannot read"):
        read_table(str(tmp_path / "none.csv"), {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(raw=st.binary(max_size=200) | st.text().map(str.encode))
def test_read_table_raises_only_usage_errors(tmp_path: Path, raw: bytes) -> None:
    """Any content is a table or a usage error."""
    for heading in (b"", b"taskId,audioId,author\n", b'{"taskId":"'):
        with contextlib.suppress(UsageError):
            read(tmp_path, heading + raw)
