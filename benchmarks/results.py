"""Turn what the benchmarks wrote into the table of figures, and put it into README and docs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import frozen
from figures import BENCHMARKS, FIGURES, Figure
from finders import Found, Records

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGE = ROOT / ".docs" / "pages" / "explanation" / "benchmarks.md"
PICTURES = ROOT / ".docs" / "pages" / "pictures"
TABLE = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)


@frozen
class Result:
    """A figure and what was found of it, None if the benchmark failed or was left out."""

    figure: Figure
    found: Found | None

    @property
    def is_held(self) -> bool:
        """Return whether it was measured and holds its goal."""
        return self.found is not None and self.figure.is_held(self.found.ours)

    @property
    def ours(self) -> str:
        """The measured value as text."""
        return "-" if self.found is None else self.figure.format(self.found.ours)

    @property
    def peer(self) -> str:
        """The value of the best peer as text, with its name."""
        if self.found is None or self.found.peer is None:
            return "-"
        name, value = self.found.peer
        return f"{self.figure.format(value)} ({name})"

    def row(self) -> dict[str, Any]:
        """Return the row of the printed table."""
        return {
            "figure": self.figure.name,
            "goal": self.figure.goal_text,
            "ours": self.ours,
            "best peer": self.peer,
            "held": "missing" if self.found is None else self.is_held,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the figure with its numbers, ready for JSON."""
        found = self.found or Found(float("nan"))
        return self.row() | {
            "benchmark": self.figure.benchmark,
            "value": None if self.found is None else found.ours,
            "peer": found.peer,
        }


def results_of(records: dict[str, Records]) -> list[Result]:
    """Return one result for each figure whose benchmark was started."""
    return [
        Result(figure, find(figure, records[figure.benchmark]))
        for figure in FIGURES
        if figure.benchmark in records
    ]


def find(figure: Figure, records: Records) -> Found | None:
    """Return what a figure's finder finds; a table in another form counts as missing."""
    try:
        return figure.find(records)
    except (KeyError, TypeError, ValueError):
        return None


def markdown(results: Iterable[Result]) -> str:
    """Return the table for README and documentation."""
    head = "| figure | goal | mp4gen | best peer | script |\n| --- | --- | --- | --- | --- |\n"
    lines = (
        f"| {each.figure.name} | {each.figure.goal_text} | {each.ours} | {each.peer} |"
        f" `{BENCHMARKS[each.figure.benchmark].script}` |\n"
        for each in results
    )
    return head + "".join(lines)


def publish(results: list[Result]) -> None:
    """Write the tables of the README and of the page about benchmarks."""
    _replace(README, markdown(each for each in results if each.figure.in_readme))
    _replace(PAGE, markdown(results))


def _replace(path: Path, table: str) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(TABLE.sub(rf"\g<1>{table}\g<2>", text), encoding="utf-8")
