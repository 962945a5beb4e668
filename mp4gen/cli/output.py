"""What the user sees: results on stdout, everything else on stderr; the only place that prints.

Whatever came from outside (the vendor's words, tags, names) goes through `escape_control_chars` on its way to a
terminal: control characters, escape sequences and marks that turn text around are made visible.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Joiners are part of many scripts' spelling, and of emoji.
_JOINERS = "\u200c\u200d"


def escape_control_chars(text: object) -> str:
    """`text` on one line, with all that could steer a terminal written out in ASCII."""
    return "".join(char if _is_safe(char) else _escape(char) for char in str(text))


def to_json_line(record: Mapping[str, Any]) -> str:
    """`record` as one line of JSON, in ASCII only, so that nothing in it can steer a terminal."""
    return json.dumps(record, default=_json_default).replace("\x7f", "\\u007f")


class Output:
    """Where one command writes.

    Args:
        as_json: records on stdout in place of words.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.live_console: Console | None = None

    def record(self, record: Mapping[str, Any]) -> None:
        """A result for programs: one line of JSON, where JSON was asked for."""
        if self.as_json:
            self._write_result(to_json_line(record))

    def line(self, text: str = "") -> None:
        """A result for people, where JSON was not asked for; `text` may hold anything."""
        if not self.as_json:
            self._write_result(escape_control_chars(text))

    def raw(self, text: str) -> None:
        """A whole result that is safe already, as it is."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def status(self, text: str) -> None:
        """Something beside the result; `text` may hold anything."""
        if self.live_console is not None:
            self.live_console.print(Text(escape_control_chars(text)), soft_wrap=True)
        else:
            _write(sys.stderr, escape_control_chars(text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Results in columns: aligned on a terminal, else separated by tabs, without a heading."""
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
            # The same terminal as the live display, which must make room first.
            self.live_console.print(Text(text), soft_wrap=True)
        else:
            _write(sys.stdout, text)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at `stream`."""
    return stream is not None and stream.isatty()


def display_path(path: Path) -> str:
    """A path as it is best read: relative to where the user is, where it lies below."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _is_safe(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def _json_default(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
