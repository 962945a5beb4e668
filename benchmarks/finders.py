"""Find a figure in the tables that a benchmark wrote. Knows neither the figures nor their goals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

# The tables that a benchmark wrote, one line of JSON each.
Records = list[dict[str, Any]]
Peer = tuple[str, float] | None


@frozen
class Found:
    """A measured value, and the (name, value) of the best peer of the same run."""

    ours: float
    peer: Peer = None


Finder = Callable[[Records], Found | None]


def all_rows(records: Records) -> Iterator[dict[str, Any]]:
    """Yield the rows of all tables."""
    for record in records:
        yield from record.get("rows", [])


def best_of(found: dict[str, float], best: Callable[..., float] = min) -> Peer:
    """Return the (name, value) of the best, or None if there is none."""
    if not found:
        return None
    name = best(found, key=lambda each: found[each])
    return str(name), found[str(name)]


def measured(start: str, end: str = "", peers: dict[str, str] | None = None) -> Finder:
    """Find the figure whose name has this start and end, and those of peers by their names."""

    def find(records: Records) -> Found | None:
        values = {
            str(row["figure"]): row["measured"] for row in all_rows(records) if "figure" in row
        }
        ours = [
            float(value)
            for name, value in values.items()
            if name.startswith(start) and name.endswith(end)
        ]
        theirs = {
            peer: float(value)
            for peer, figure in (peers or {}).items()
            for name, value in values.items()
            if name.startswith(figure)
        }
        return Found(ours[0], best_of(theirs)) if ours else None

    return find


def total(end: str, ours: str, peer: str) -> Finder:
    """Find the sum of the figures with this end, of ours and of a peer."""

    def find(records: Records) -> Found | None:
        sums: dict[str, float] = {}
        for row in all_rows(records):
            name = str(row.get("figure", ""))
            if name.endswith(end):
                who = name.partition(",")[0]
                sums[who] = sums.get(who, 0.0) + float(row["measured"])
        theirs = (peer, sums[peer]) if peer in sums else None
        return Found(sums[ours], theirs) if ours in sums else None

    return find


def cell(column: str, **where: object) -> Finder:
    """Find a column in the first row that has the given values."""

    def find(records: Records) -> Found | None:
        for row in all_rows(records):
            if column in row and all(row.get(key) == value for key, value in where.items()):
                return Found(float(row[column]))
        return None

    return find


def against(
    column: str,
    key: str,
    ours: str,
    *others: str,
    best: Callable[..., float] = min,
    base: str | None = None,
) -> Finder:
    """Find the worst of our rows, and the best of those of others, all relative to a base row."""
    worst = max if best is min else min

    def find(records: Records) -> Found | None:
        values: dict[str, list[float]] = {}
        for row in all_rows(records):
            if key in row and column in row:
                values.setdefault(str(row[key]), []).append(float(row[column]))
        if ours not in values or (base is not None and base not in values):
            return None
        unit = values[base][0] if base is not None else 1.0
        theirs = {name: best(values[name]) / unit for name in others if name in values}
        return Found(worst(values[ours]) / unit, best_of(theirs, best))

    return find


def relative(ours: str, base: str, *others: str) -> Finder:
    """Find our CPU of a minute of video and that of others, relative to that of a base."""

    def find(records: Records) -> Found | None:
        spent = {
            str(row["figure"]).removesuffix(CPU): float(row["measured"])
            for row in all_rows(records)
            if str(row.get("figure", "")).endswith(CPU)
        }
        if ours not in spent or base not in spent:
            return None
        theirs = {name: spent[name] / spent[base] for name in others if name in spent}
        return Found(spent[ours] / spent[base], best_of(theirs))

    return find


CPU = ": CPU s a minute"


def summed(*keys: str) -> Finder:
    """Find the sum of some values of a table that is one object."""

    def find(records: Records) -> Found | None:
        found = [record for record in records if keys[0] in record]
        return Found(float(sum(found[0][key] for key in keys))) if found else None

    return find


def looks(what: str, *without: str) -> Finder:
    """Find the largest ratio of a look to bars."""

    def find(records: Records) -> Found | None:
        ratios = {
            str(row["figure"]).partition(" / ")[0]: float(row["measured"])
            for row in all_rows(records)
            if str(row.get("figure", "")).endswith(f"/ bars: {what}")
        }
        kept = [ratio for name, ratio in ratios.items() if name not in without]
        return Found(max(kept)) if kept else None

    return find


def lost_in_trouble(records: Records) -> Found | None:
    """Find the tracks that were paid for and lost, beside those of the README's loop."""
    rows = [row for row in all_rows(records) if "trouble" in row]
    ours, theirs = (
        float(sum(row[column] for row in rows))
        for column in ("paid for and lost by it", "paid for and lost")
    )
    return Found(ours, ("the loop", theirs)) if rows else None
