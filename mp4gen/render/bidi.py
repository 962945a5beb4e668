"""Which way each letter of a line runs: Unicode's bidirectional algorithm for one plain line.

Follows UAX #9 without explicit embeddings and isolates, which cleaned text does not hold. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_NUMBERS = ("EN", "AN")


def levels(text: str) -> list[int]:
    """The embedding level of each code point; odd ones run from right to left."""
    kinds = [unicodedata.bidirectional(char) or "L" for char in text]
    base = next((int(kind != "L") for kind in kinds if kind in ("L", "R", "AL")), 0)
    edge = "R" if base else "L"
    _weak(kinds, edge)
    _neutral(kinds, edge)
    return [base + _step(kind, base) for kind in kinds]


def visual(runs: Sequence[T], run_levels: Sequence[int]) -> list[T]:
    """The runs of a line, given in reading order, as they stand from left to right."""
    order = list(range(len(runs)))
    for level in range(max(run_levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and run_levels[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = max(end, start + 1)
    return [runs[index] for index in order]


def _step(kind: str, base: int) -> int:
    if base:
        return int(kind == "L" or kind in _NUMBERS)
    return {"L": 0, "R": 1}.get(kind, 2)


def _weak(kinds: list[str], edge: str) -> None:
    """Settle marks, numbers and what stands between numbers, in place (rules W1 to W7)."""
    strong, before = edge, edge
    for index, kind in enumerate(kinds):
        kinds[index] = before if kind in ("NSM", "BN") else kind
        if kind in ("L", "R", "AL"):
            strong = kind
        elif kinds[index] == "EN" and strong == "AL":
            kinds[index] = "AN"
        before = kinds[index]
    for index in range(1, len(kinds) - 1):
        left, here, right = kinds[index - 1 : index + 2]
        joins = here == "CS" or (here == "ES" and left == "EN")
        if joins and left == right and left in _NUMBERS:
            kinds[index] = left
    _signs(kinds)
    strong = edge
    for index, kind in enumerate(kinds):
        if kind == "AL":
            kinds[index] = "R"
        if kinds[index] in ("L", "R"):
            strong = kinds[index]
        elif kind == "EN" and strong == "L":
            kinds[index] = "L"


def _signs(kinds: list[str]) -> None:
    """Signs such as % and $ belong to the number beside them (rule W5)."""
    for indexes in (range(len(kinds)), range(len(kinds) - 1, -1, -1)):
        before = ""
        for index in indexes:
            if kinds[index] == "ET" and before == "EN":
                kinds[index] = "EN"
            before = kinds[index]


def _neutral(kinds: list[str], edge: str) -> None:
    """Spaces and signs go with what surrounds them, else with the line (rules N1 and N2)."""
    settled = ("L", "R", *_NUMBERS)
    index = 0
    while index < len(kinds):
        end = index
        while end < len(kinds) and kinds[end] not in settled:
            end += 1
        if end > index:
            left = _side(kinds[index - 1]) if index else edge
            right = _side(kinds[end]) if end < len(kinds) else edge
            kinds[index:end] = [left if left == right else edge] * (end - index)
        index = end + 1


def _side(kind: str) -> str:
    return "R" if kind in _NUMBERS else kind
