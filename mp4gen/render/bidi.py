"""Which way each letter of a line runs: Unicode's bidirectional algorithm for one plain line.

Follows UAX #9 without explicit embeddings and isolates, which cleaned text does not hold. Pure.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_NUMBERS = ("EN", "AN")


def embedding_levels(text: str) -> list[int]:
    """The embedding level of each code point; odd ones run from right to left."""
    classes = [unicodedata.bidirectional(char) or "L" for char in text]
    base = next((int(kind != "L") for kind in classes if kind in ("L", "R", "AL")), 0)
    sos = "R" if base else "L"
    _weak(classes, sos)
    _neutral(classes, sos)
    return [base + _step(kind, base) for kind in classes]


def reorder_visual(runs: Sequence[T], run_levels: Sequence[int]) -> list[T]:
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


def _step(bidi_class: str, base: int) -> int:
    if base:
        return int(bidi_class == "L" or bidi_class in _NUMBERS)
    return {"L": 0, "R": 1}.get(bidi_class, 2)


def _weak(classes: list[str], sos: str) -> None:
    """Settle marks, numbers and what stands between numbers, in place (rules W1 to W7)."""
    strong, before = sos, sos
    for index, bidi_class in enumerate(classes):
        classes[index] = before if bidi_class in ("NSM", "BN") else bidi_class
        if bidi_class in ("L", "R", "AL"):
            strong = bidi_class
        elif classes[index] == "EN" and strong == "AL":
            classes[index] = "AN"
        before = classes[index]
    for index in range(1, len(classes) - 1):
        left, here, right = classes[index - 1 : index + 2]
        joins = here == "CS" or (here == "ES" and left == "EN")
        if joins and left == right and left in _NUMBERS:
            classes[index] = left
    _signs(classes)
    strong = sos
    for index, bidi_class in enumerate(classes):
        if bidi_class == "AL":
            classes[index] = "R"
        if classes[index] in ("L", "R"):
            strong = classes[index]
        elif bidi_class == "EN" and strong == "L":
            classes[index] = "L"


def _signs(classes: list[str]) -> None:
    """Signs such as % and $ belong to the number beside them (rule W5)."""
    for indexes in (range(len(classes)), range(len(classes) - 1, -1, -1)):
        before = ""
        for index in indexes:
            if classes[index] == "ET" and before == "EN":
                classes[index] = "EN"
            before = classes[index]


def _neutral(classes: list[str], sos: str) -> None:
    """Spaces and signs go with what surrounds them, else with the line (rules N1 and N2)."""
    settled = ("L", "R", *_NUMBERS)
    index = 0
    while index < len(classes):
        end = index
        while end < len(classes) and classes[end] not in settled:
            end += 1
        if end > index:
            left = _side(classes[index - 1]) if index else sos
            right = _side(classes[end]) if end < len(classes) else sos
            classes[index:end] = [left if left == right else sos] * (end - index)
        index = end + 1


def _side(bidi_class: str) -> str:
    return "R" if bidi_class in _NUMBERS else bidi_class
