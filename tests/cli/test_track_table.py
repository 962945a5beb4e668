"""Tables of tracks: what is read, and what is refused before anything is sent."""

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

CONTRADICTION = (
    "asks for the track of line 2 with other words on it, and the API makes one video of a track"
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
    ],
)
def test_a_table_is_read_in_every_usual_way(tmp_path: Path, text: str) -> None:
    """The API's names or snake_case, commas, semicolons or tabs, CSV or JSON Lines."""
    table = read(tmp_path, text)

    read_back = attrs.evolve(table.rows[0].request, callback_url=FULL.callback_url)
    assert read_back == FULL
    assert len(table.rows) == 1


def test_a_spreadsheets_unicode_text_is_read(tmp_path: Path) -> None:
    """UTF-16 with tabs."""
    table = read(tmp_path, "taskId\taudioId\tauthor\nm\ta\tJosé\n".encode("utf-16"))

    assert table.rows[0].request.author == "José"


def test_a_row_says_what_it_does_not_say_by_the_defaults(tmp_path: Path) -> None:
    """An empty cell is no author; the default is."""
    table = read(tmp_path, "taskId,audioId,author\nm,a,\nm,b,Ben\n", author="Ann")

    assert [row.request.author for row in table.rows] == ["Ann", "Ben"]


def test_other_columns_are_kept_for_the_names(tmp_path: Path) -> None:
    """They are no part of the request."""
    table = read(tmp_path, "taskId,audioId,title\nm,a,One\n")

    assert table.extra_columns == ["title"]
    assert table.rows[0].extra_columns == {"title": "One"}
    assert table.rows[0].line == 2


def test_standard_input_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the source is a dash."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"taskId,audioId\nm,a\n")))

    assert [row.key for row in read_table("-", {}).rows] == [("m", "a")]


def test_every_bad_row_is_told_with_its_line(tmp_path: Path) -> None:
    """All at once, so that a table is corrected once."""
    text = (
        'taskId,audioId,author\nm,ok,fine\nm,,x\n,a,x\n\n"m\n2",a,x\n'
        f"m,b,{'x' * 51}\nm,c,a\x1bb\nm,d,e,f\nm,ok,other\n"
    )

    with pytest.raises(InvalidRowsError) as caught:
        read(tmp_path, text)

    assert caught.value.problems == (
        (3, "has no audioId"),
        (4, "has no taskId"),
        (6, "taskId must not contain control characters"),
        (8, "author must be at most 50 characters, not 51"),
        (9, "author must not contain control characters"),
        (10, "has 4 cells, and the heading 3"),
        (11, CONTRADICTION),
    )
    assert "7 rows of 8" in str(caught.value)


def test_every_bad_json_line_is_told(tmp_path: Path) -> None:
    """A number is no author, a list is no row."""
    text = '{"taskId":"m","audioId":"a","author":5}\n{"taskId":null,"audioId":"a"}\n[1]\n{"x"\n'

    with pytest.raises(InvalidRowsError) as caught:
        read(tmp_path, text, "t.jsonl")

    assert [line for line, _ in caught.value.problems] == [1, 2, 3, 4]
    assert caught.value.problems[0][1] == "author must be text, not int"


def test_a_repeated_row_is_taken_once(tmp_path: Path) -> None:
    """And its line is told."""
    table = read(tmp_path, "taskId,audioId\nm,a\nm,b\nm,a\n")

    assert len(table.rows) == 2
    assert table.repeated == [4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no rows"),
        ("taskId,audioId\n", "holds no rows"),
        ("id,name\n1,2\n", "has no column taskId"),
        ("taskId,name\n1,2\n", "has no column audioId"),
        ("taskId,audioId,audio_id\n1,2,3\n", "two columns for audioId"),
        ("taskId,audioId,autor\n1,2,3\n", "looks like author"),
        ("taskId,audioId,domain_nam\n1,2,3\n", "looks like domainName"),
        ('[{"taskId":"m"}]', "one JSON array"),
        (b"taskId,audioId\nm,a\nm,\xff\n", ":3: this is not UTF-8"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    """In one sentence."""
    with pytest.raises(UsageError, match=expected):
        read(tmp_path, text)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It says what to name."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_table(str(tmp_path / "none.csv"), {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(raw=st.binary(max_size=200) | st.text().map(str.encode))
def test_no_table_ends_in_anything_but_a_sentence(tmp_path: Path, raw: bytes) -> None:
    """Whatever is in the file."""
    for heading in (b"", b"taskId,audioId,author\n", b'{"taskId":"'):
        with contextlib.suppress(UsageError):
            read(tmp_path, heading + raw)
