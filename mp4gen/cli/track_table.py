"""Tables of tracks: CSV or JSON Lines in, valid requests out; sends nothing, prints nothing.

One read finds all invalid rows, with their lines.
"""

import codecs
import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import attrs

from mp4gen.api.converters import VIDEO_REQUEST
from mp4gen.errors import ValidationError
from mp4gen.models import VideoRequest

from .exit_codes import UsageError

_WIRE_NAMES = VIDEO_REQUEST | {"extra": "extra"}
# Normalized column name -> field; the API's names and snake_case normalize to the same.
_FIELDS = {field.replace("_", ""): field for field in _WIRE_NAMES}
_EXAMPLE_HEADER = "taskId,audioId,author,domainName,callBackUrl"
_REQUIRED = ("task_id", "audio_id")
_DELIMITERS = ",;\t|"
# The first bytes of zip files (.xlsx, .ods) and of old Excel files.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SEPARATOR_LINE = re.compile(
    r"\s*(?P<line>\"?sep=(?P<delimiter>[^\r\n])\"?[,;|\t ]*)(?=[\r\n]|$)", re.IGNORECASE
)
_FIRST_LINE = re.compile(r"[^\r\n]*[^\s][^\r\n]*")
_MAX_BYTES = 256 << 20
_CONFLICT = (
    "The row repeats the track of line {} with other values, but the API makes one video for each "
    "track."
)


@attrs.frozen
class Row:
    """One track to convert.

    Attributes:
        line: Its line in the table, from 1; 0 if it is not from a table.
        request: The request for its video.
        extra_columns: The other columns of the row, by name.
    """

    line: int
    request: VideoRequest
    extra_columns: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """The ids that identify the track."""
        return self.request.task_id, self.request.audio_id


class InvalidRowsError(UsageError):
    """A table has invalid rows.

    Attributes:
        problems: (line, one sentence) for each.
    """

    def __init__(self, source: str, problems: list[tuple[int, str]], rows: int) -> None:
        super().__init__(
            f"Invalid rows in {source}: {len(problems)} of {rows}. Nothing was sent. Correct the "
            "rows listed above, then run the command again."
        )
        self.problems = tuple(problems)


@attrs.frozen
class Table:
    """The content of a table.

    Attributes:
        rows: One for each track.
        repeated: Lines that repeat an earlier line.
        extra_columns: Names of columns that are not fields of the API.
    """

    rows: list[Row]
    repeated: list[int]
    extra_columns: list[str]


def read_table(source: str, defaults: Mapping[str, Any]) -> Table:
    """Read and validate a complete table.

    Args:
        source: A path, or `-` for standard input.
        defaults: Values for empty cells, by field: author, domain_name, callback_url; and
            the fields that are added to those of `extra`.

    Raises:
        InvalidRowsError: Some rows are invalid.
        UsageError: The table cannot be read.
    """
    name = "standard input" if source == "-" else source
    text = _decode(_read_bytes(source), name)
    is_json = source.lower().endswith((".jsonl", ".ndjson")) or text.lstrip()[:1] in ("{", "[")
    lines = _json_lines if is_json else _csv_lines
    return _build_table(name, lines(text, name), defaults)


def _read_bytes(source: str) -> bytes:
    try:
        with nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"Cannot read {source}: {error.strerror}. Use a CSV or JSON Lines file, or - for "
            "standard input."
        ) from None
    if len(raw) > _MAX_BYTES:
        raise UsageError(f"{source} is larger than {_MAX_BYTES >> 20} MB. Split it.")
    return raw


def _decode(raw: bytes, name: str) -> str:
    if raw.startswith(_WORKBOOKS):
        raise UsageError(f"{name} is a spreadsheet file. Save it as CSV (UTF-8).")
    # Spreadsheets export this as "Unicode text".
    is_utf_32 = raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE))
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not is_utf_32:
        return raw.decode("utf-16", "replace")
    if b"\0" in raw:
        raise UsageError(f"{name} is not text in UTF-8. Save the table as CSV (UTF-8).")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{name}:{line}: The line is not UTF-8. Save the table as UTF-8."
        ) from None


# (line number, its cells by column, or what is wrong with it)
_Line = tuple[int, Mapping[str, object] | str]


def _csv_lines(text: str, name: str) -> Iterator[_Line]:
    text, delimiter = _split_separator_line(text)
    if not delimiter:
        header = _FIRST_LINE.search(text)
        delimiter = _delimiter(header[0] if header else "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, f"The row is not CSV: {error}."
            return
        if cells is None:
            return
        cells = [cell.strip() for cell in cells]
        # Joined tables repeat their header.
        if not any(cells) or cells == columns:
            continue
        if not columns:
            columns = _columns(cells, name)
        elif any(cells[len(columns) :]):
            yield line, f"The row has {len(cells)} cells, but the header has {len(columns)}."
        else:
            yield line, dict(zip(columns, cells, strict=False))


def _split_separator_line(text: str) -> tuple[str, str]:
    """Return the table without Excel's first line `sep=;`, whose line stays empty, and the `;`."""
    found = _SEPARATOR_LINE.match(text)
    if found is None:
        return text, ""
    return text[: found.start("line")] + text[found.end("line") :], found["delimiter"]


def _delimiter(header: str) -> str:
    """Return the delimiter that splits the header into the most known columns."""

    def known_columns(delimiter: str) -> int:
        return sum(_normalize_column(column) in _FIELDS for column in header.split(delimiter))

    return max(_DELIMITERS, key=known_columns)


def _columns(cells: list[str], name: str) -> list[str]:
    fields = [_FIELDS.get(_normalize_column(column)) for column in cells]
    for field in _REQUIRED:
        if field not in fields:
            raise UsageError(
                f"{name} has no column {VIDEO_REQUEST[field]}. Name the columns in its first line, "
                f"for instance {_EXAMPLE_HEADER}."
            )
    for field, wire_name in _WIRE_NAMES.items():
        if fields.count(field) > 1:
            raise UsageError(f"{name} has two columns for {wire_name}. Remove one of them.")
    return cells


def _json_lines(text: str, name: str) -> Iterator[_Line]:
    if text.lstrip().startswith("["):
        raise UsageError(f"{name} is one JSON array. Write one object a line (JSON Lines).")
    # Not splitlines(): a JSON string may contain U+2028.
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            yield line, f"The line is not JSON: {error}."
            continue
        yield line, value if isinstance(value, dict) else "The line is not a JSON object."


def _build_table(name: str, lines: Iterable[_Line], defaults: Mapping[str, Any]) -> Table:
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
            problems.append((line, _CONFLICT.format(first.line)))
        repeated.append(line)
    if problems:
        raise InvalidRowsError(name, problems, count)
    if not rows:
        raise UsageError(f"{name} has no rows. Write one track a line, below the header.")
    for column in extra_columns:
        _reject_misspelled(name, column)
    return Table(list(rows.values()), repeated, list(extra_columns))


def _parse_row(line: int, cells: Mapping[str, object] | str, defaults: Mapping[str, Any]) -> Row:
    if isinstance(cells, str):
        raise ValueError(cells)  # noqa: TRY004 - an invalid line, not a wrong type
    values: dict[str, object] = {}
    extra_columns: dict[str, str] = {}
    for column, value in cells.items():
        field = _FIELDS.get(_normalize_column(column))
        if field is None:
            extra_columns[column] = "" if value is None else str(value)
        elif field in values:
            raise ValueError(f"The row has two values for {_WIRE_NAMES[field]}.")
        elif value not in (None, ""):
            values[field] = value.strip() if isinstance(value, str) else value
    for field in _REQUIRED:
        if field not in values:
            raise ValueError(f"The row has no {_WIRE_NAMES[field]}.")
    extra = {**(defaults.get("extra") or {}), **_parse_extra(values.get("extra"))}
    return Row(line, _build_request({**defaults, **values, "extra": extra}), extra_columns)


def _parse_extra(value: object) -> Mapping[str, Any]:
    """Return the fields of a cell: a JSON object, which in CSV is text."""
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if value is not None and not isinstance(value, dict):
        raise ValueError('The value of extra is not a JSON object such as {"look": "ring"}.')
    return value or {}


def _build_request(values: Mapping[str, Any]) -> VideoRequest:
    try:
        return VideoRequest(**values)
    except ValidationError as error:
        problems = {_WIRE_NAMES[field]: text for field, text in error.problems.items()}
        raise ValidationError(problems) from None


def _reject_misspelled(name: str, column: str) -> None:
    """Reject a column that resembles a field: its values would be missing from paid videos."""
    close = get_close_matches(_normalize_column(column), _FIELDS, n=1, cutoff=0.8)
    if close:
        raise UsageError(
            f"{name} has a column {column!r}, which looks like {_WIRE_NAMES[_FIELDS[close[0]]]}. "
            "Write that, or rename the column."
        )


def _normalize_column(column: str) -> str:
    return "".join(char for char in column.lower() if char.isalnum())
