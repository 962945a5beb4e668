"""Writes results to stdout and all else to stderr; the only module that prints.

Text from outside (API messages, tags, names) passes through `escape_control_chars` on its way to a
terminal.
"""

import errno
import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Many scripts and emoji need the joiners.
_JOINERS = "\u200c\u200d"


def escape_control_chars(text: object) -> str:
    """Return `text` on one line, with all that controls a terminal escaped as ASCII."""
    return "".join(char if _is_safe(char) else _escape(char) for char in str(text))


def to_json_line(record: Mapping[str, Any]) -> str:
    """Return `record` as one line of JSON in printable ASCII, which cannot control a terminal."""
    return json.dumps(record, default=_json_default).replace("\x7f", "\\u007f")


class Output:
    """The output of one command.

    Args:
        as_json: Print records on stdout instead of text.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.live_console: Console | None = None

    def record(self, record: Mapping[str, Any]) -> None:
        """Print a result as one line of JSON, with --json only."""
        if self.as_json:
            self._write_result(to_json_line(record))

    def line(self, text: str = "") -> None:
        """Print a result as text, without --json only; escapes `text`."""
        if not self.as_json:
            self._write_result(escape_control_chars(text))

    def raw(self, text: str) -> None:
        """Print a result that is escaped already."""
        # On Windows, a text stream writes a line feed as CR LF.
        _write(sys.stdout, text.replace("\r\n", "\n") if sys.platform == "win32" else text)

    def status(self, text: str) -> None:
        """Print a message on stderr; escapes `text`."""
        if self.live_console is not None:
            self.live_console.print(Text(escape_control_chars(text)), soft_wrap=True)
        else:
            _write(sys.stderr, f"{escape_control_chars(text)}\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print results in columns: aligned on a terminal, else with tabs and without a header."""
        if self.as_json:
            return
        cells = [
            ["" if cell is None else escape_control_chars(cell) for cell in row] for row in rows
        ]
        if not is_terminal(sys.stdout):
            for row in cells:
                self._write_result("\t".join(row))
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        Console(highlight=False).print(table)

    def _write_result(self, text: str) -> None:
        if self.live_console is not None and is_terminal(sys.stdout):
            # The live display is on the same terminal and must move down first.
            self.live_console.print(Text(text), soft_wrap=True)
        else:
            _write(sys.stdout, f"{text}\n")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether `stream` is a terminal."""
    return stream is not None and stream.isatty()


def display_path(path: Path) -> str:
    """Return a path relative to the current folder if it is below it, else unchanged."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Windows reports a pipe without a reader like this.
        if sys.platform == "win32" and error.errno == errno.EINVAL:
            raise BrokenPipeError(errno.EPIPE, error.strerror) from None
        raise


def _is_safe(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def _json_default(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Fraction):
        return float(value)
    return str(value)
