"""What all benchmarks share: a table for people, a record for machines."""

import argparse
import json
import platform
from collections.abc import Sequence
from typing import Any


def arguments(doc: str | None, **numbers: int) -> argparse.Namespace:
    """The command line of a benchmark: `--json`, and one option for each of `numbers`."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--json", action="store_true", help="print a record, not a table")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    return parser.parse_args()


def show(title: str, rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print `rows`, which all have the same keys."""
    if as_json:
        record = {"benchmark": title, "python": platform.python_version(), "rows": rows}
        print(json.dumps(record))
        return
    names = list(rows[0])
    lines = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    print(title)
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
