"""Tables of tracks: CSV or JSON Lines in, checked requests out; sends nothing, prints nothing.

Everything that is wrong is found before anything is sent, and told with its line.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

import attrs

from mp4gen.errors import ValidationError
from mp4gen.models import VideoRequest

from .exit_codes import UsageError

# A column's name without case and joints; the API's names and snake_case come out the same.
_FIELDS = {
    "taskid": "task_id",
    "audioid": "audio_id",
    "author": "author",
    "domainname": "domain_name",
    "callbackurl": "callback_url",
}
_WIRE = {
    "task_id": "taskId",
    "audio_id": "audioId",
    "author": "author",
    "domain_name": "domainName",
    "callback_url": "callBackUrl",
}
_HEADING = "taskId,audioId,author,domainName,callBackUrl"
_DELIMITERS = ",;\t|"
_MAX_BYTES = 256 << 20


@attrs.frozen
class Row:
    """One track that was asked for.

    Attributes:
        line: where it stands, from 1; 0 for one that was not read from a table.
        request: what is asked.
        extra_columns: the table's other columns, by their names.
    """

    line: int
    request: VideoRequest
    extra_columns: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """The track."""
        return self.request.task_id, self.request.audio_id


class InvalidRowsError(UsageError):
    """Rows that cannot be right.

    Attributes:
        problems: (line, one sentence) for each.
    """

    def __init__(self, source: str, problems: list[tuple[int, str]], rows: int) -> None:
        some = "1 row" if len(problems) == 1 else f"{len(problems)} rows"
        super().__init__(
            f"{some} of {rows} in {source} cannot be right, so nothing was sent: "
            "correct what is listed above, then run the same line again"
        )
        self.problems = tuple(problems)


@attrs.frozen
class Table:
    """What was read.

    Attributes:
        rows: one for each track.
        repeated: lines that repeat an earlier line.
        extra_columns: columns that are not the API's.
    """

    rows: list[Row]
    repeated: list[int]
    extra_columns: list[str]


def read_table(source: str, defaults: Mapping[str, str | None]) -> Table:
    """Read a whole table.

    Args:
        source: a file, or `-` for standard input.
        defaults: what a row has where it says nothing: author, domain_name, callback_url.

    Raises:
        BadRowsError: some rows cannot be right.
        UsageError: the whole cannot.
    """
    name = "standard input" if source == "-" else source
    text = _decoded(_raw(source), name)
    lines = _json_lines if _is_json(text, source) else _csv_lines
    return _build_table(name, lines(text, name), defaults)


def _raw(source: str) -> bytes:
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{source} cannot be read ({error.strerror}); name a CSV or JSON Lines file, or - for "
            "standard input"
        ) from None
    if len(raw) > _MAX_BYTES:
        raise UsageError(f"{source} has more than {_MAX_BYTES >> 20} MB; split it")
    return raw


def _decoded(raw: bytes, name: str) -> str:
    # What spreadsheets call "Unicode text".
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{name}:{line}: this is not UTF-8; save the table as UTF-8") from None


def _is_json(text: str, source: str) -> bool:
    return source.lower().endswith((".jsonl", ".ndjson")) or text.lstrip()[:1] in ("{", "[")


# (line, its cells by their names, or a sentence on what is wrong with it)
_Line = tuple[int, Mapping[str, object] | str]


def _csv_lines(text: str, name: str) -> Iterator[_Line]:
    heading, _, _ = text.lstrip("\r\n").partition("\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(heading), strict=True)
    columns: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, f"is not CSV: {error}"
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = _columns(cells, name)
        elif len(cells) > len(columns):
            yield line, f"has {len(cells)} cells, and the heading {len(columns)}"
        else:
            yield line, dict(zip(columns, (cell.strip() for cell in cells), strict=False))


def _delimiter(heading: str) -> str:
    """The one that makes the most columns of the heading that are known."""
    counts = {
        mark: sum(_normalize_column(c) in _FIELDS for c in heading.split(mark))
        for mark in _DELIMITERS
    }
    return max(counts, key=lambda mark: counts[mark])


def _columns(cells: list[str], name: str) -> list[str]:
    columns = [cell.strip() for cell in cells]
    known = [
        _normalize_column(column) for column in columns if _normalize_column(column) in _FIELDS
    ]
    for needed in ("taskid", "audioid"):
        if needed not in known:
            raise UsageError(
                f"{name} has no column {_WIRE[_FIELDS[needed]]}: its first line must name the "
                f"columns, for instance {_HEADING}"
            )
    if doubled := next((one for one in known if known.count(one) > 1), None):
        raise UsageError(f"{name} has two columns for {_WIRE[_FIELDS[doubled]]}; leave one out")
    return columns


def _json_lines(text: str, name: str) -> Iterator[_Line]:
    if text.lstrip().startswith("["):
        raise UsageError(f"{name} is one JSON array; write one object a line (JSON Lines)")
    # Not splitlines(): U+2028 may stand inside of a JSON text.
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            value = json.loads(written)
        except (ValueError, RecursionError) as error:
            yield line, f"is not JSON: {error}"
            continue
        yield line, value if isinstance(value, dict) else "is not a JSON object"


def _build_table(name: str, lines: Iterable[_Line], defaults: Mapping[str, str | None]) -> Table:
    problems: list[tuple[int, str]] = []
    rows: dict[tuple[str, str], Row] = {}
    repeated: list[int] = []
    extra_columns: dict[str, None] = {}
    count = 0
    for line, cells in lines:
        count += 1
        try:
            row = _parse_row(line, cells, defaults)
        except ValueError as error:
            problems.append((line, str(error)))
            continue
        extra_columns.update(dict.fromkeys(row.extra_columns))
        first = rows.setdefault(row.key, row)
        if first is row:
            continue
        if first.request != row.request:
            problems.append((line, _conflict_message(first.line)))
        repeated.append(line)
    if problems:
        raise InvalidRowsError(name, problems, count)
    if not rows:
        raise UsageError(f"{name} holds no rows; below its heading stands one track a line")
    for column in extra_columns:
        _reject_misspelled(name, column)
    return Table(list(rows.values()), repeated, list(extra_columns))


def _parse_row(
    line: int, cells: Mapping[str, object] | str, defaults: Mapping[str, str | None]
) -> Row:
    if isinstance(cells, str):
        raise ValueError(cells)  # noqa: TRY004 - not a wrong type, but a wrong line
    values: dict[str, object] = {}
    extra_columns: dict[str, str] = {}
    for column, value in cells.items():
        field = _FIELDS.get(_normalize_column(column))
        if field is None:
            extra_columns[column] = "" if value is None else str(value)
        elif field in values:
            raise ValueError(f"has {_WIRE[field]} twice")
        elif value not in (None, ""):
            values[field] = value.strip() if isinstance(value, str) else value
    for field in ("task_id", "audio_id"):
        if field not in values:
            raise ValueError(f"has no {_WIRE[field]}")
    return Row(line, _build_request({**_without_none(defaults), **values}), extra_columns)


def _build_request(values: Mapping[str, object]) -> VideoRequest:
    try:
        return VideoRequest(**values)  # type: ignore[arg-type]  # it checks them itself
    except ValidationError as error:
        wrong = (f"{_WIRE[field]} {problem}" for field, problem in error.problems.items())
        raise ValueError("; ".join(wrong)) from None


def _without_none(defaults: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in defaults.items() if value is not None}


def _conflict_message(line: int) -> str:
    return (
        f"asks for the track of line {line} with other words on it, and the API makes one video "
        "of a track"
    )


def _reject_misspelled(name: str, column: str) -> None:
    """A misspelt column would be left out of videos that are made only once."""
    close = get_close_matches(_normalize_column(column), _FIELDS, n=1, cutoff=0.8)
    if close:
        raise UsageError(
            f"{name} has a column {column}, which looks like {_WIRE[_FIELDS[close[0]]]}: "
            "write it so, or give it quite another name"
        )


def _normalize_column(column: str) -> str:
    return "".join(char for char in column.lower() if char.isalnum())
