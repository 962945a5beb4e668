"""The command line and the output of all benchmarks; measures nothing itself."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

# A figure: what is measured, the value, the goal, and if the goal is reached.
Figure = tuple[str, str, str, bool]


def parse_arguments(doc: str | None, **defaults: Any) -> argparse.Namespace:
    """Parse `--json [FILE]` and one option for each default; False makes a flag."""
    parser = argument_parser(doc)
    for name, default in defaults.items():
        option = f"--{name.replace('_', '-')}"
        if default is False:
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(
                option, type=type(default), default=default, help=f"default {default}"
            )
    return parser.parse_args()


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of `--json [FILE]`."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const=sys.stdout,
        type=_open,
        metavar="FILE",
        help="print each table as a line of JSON, or write the lines to FILE",
    )
    return parser


def _open(path: str) -> TextIO:
    return sys.stdout if path == "-" else Path(path).open("w", encoding="utf-8")


def show(title: str, rows: Sequence[dict[str, Any]], to: TextIO | None) -> None:
    """Print rows of equal keys as a table, and write them to `to` as a line of JSON."""
    if to is not None:
        record = {"benchmark": title, "python": platform.python_version(), "rows": rows}
        print(json.dumps(record), file=to, flush=True)
    if to is not sys.stdout:
        names = list(rows[0])
        lines = [names, *([_text(row[name]) for name in names] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print(title)
        for line in lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "MISSED"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def at_most(what: str, value: float, goal: float, form: str = "{:g}") -> Figure:
    """Return a figure that must not exceed its goal."""
    return what, form.format(value), f"<= {goal:g}" if goal else "0", value <= goal


def at_least(what: str, value: float, goal: float, form: str = "{:g}") -> Figure:
    """Return a figure that must not fall below its goal."""
    return what, form.format(value), f">= {goal:g}", value >= goal


def show_figures(title: str, figures: Sequence[Figure], to: TextIO | None) -> None:
    """Print figures beside their goals."""
    names = ("figure", "measured", "goal", "reached")
    show(title, [dict(zip(names, figure, strict=True)) for figure in figures], to)


def note(text: str) -> None:
    """Print a line beside the tables, to standard error."""
    print(f"# {text}", file=sys.stderr, flush=True)


def resident_memory() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
