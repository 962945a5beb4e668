"""The direction of each letter of a line: Unicode's bidirectional algorithm (UAX #9).

Without explicit embeddings and isolates, which sanitized text does not contain.
"""

import unicodedata
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_NUMBERS = ("EN", "AN")
# Deeper brackets are not paired (rule BD16).
_MAX_DEPTH = 63
_ODD_PAIRS = {"[": "]", "{": "}", "\u298d": "\u2990", "\u298f": "\u298e"}


def embedding_levels(text: str) -> list[int]:
    """Return the embedding level of each code point; odd levels run from right to left."""
    classes = [unicodedata.bidirectional(char) or "L" for char in text]
    base = base_level(text)
    sos = "R" if base else "L"
    marks = [kind == "NSM" for kind in classes]
    _weak(classes, sos)
    _brackets(classes, _bracket_pairs(text, classes), marks, sos)
    _neutral(classes, sos)
    return [base + _step(kind, base) for kind in classes]


def base_level(text: str) -> int:
    """Return 1 if the first letter with a direction runs from right to left, else 0 (rule P2)."""
    kinds = map(unicodedata.bidirectional, text)
    return next((int(kind != "L") for kind in kinds if kind in ("L", "R", "AL")), 0)


def reorder_visual(runs: Sequence[T], run_levels: Sequence[int]) -> list[T]:
    """Reorder the runs of a line from reading order to left to right (rule L2)."""
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
    """Resolve marks, numbers and separators in place (rules W1 to W7)."""
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
    """Make signs such as % and $ part of the number beside them (rule W5)."""
    for indexes in (range(len(classes)), range(len(classes) - 1, -1, -1)):
        before = ""
        for index in indexes:
            if classes[index] == "ET" and before == "EN":
                classes[index] = "EN"
            before = classes[index]


def _bracket_pairs(text: str, classes: list[str]) -> list[tuple[int, int]]:
    """Return the places of paired brackets, in the order of the opening ones (rule BD16)."""
    pairs: list[tuple[int, int]] = []
    waiting: list[tuple[str, int]] = []
    for index, char in enumerate(text):
        if classes[index] != "ON" or not unicodedata.mirrored(char):
            continue
        kind = unicodedata.category(char)
        if kind == "Ps":
            if len(waiting) == _MAX_DEPTH:
                break
            waiting.append((_ODD_PAIRS.get(char, chr(ord(char) + 1)), index))
        elif kind == "Pe":
            depth = next((d for d, (end, _) in reversed([*enumerate(waiting)]) if end == char), -1)
            if depth >= 0:
                pairs.append((waiting[depth][1], index))
                del waiting[depth:]
    return sorted(pairs)


def _brackets(
    classes: list[str], pairs: list[tuple[int, int]], marks: list[bool], sos: str
) -> None:
    """Give both brackets of a pair one direction, that of their content or context (rule N0)."""
    for start, end in pairs:
        inside = {_side(kind) for kind in classes[start + 1 : end]} & {"L", "R"}
        if not inside:
            continue
        before = (_side(kind) for kind in reversed(classes[:start]))
        context = next((kind for kind in before if kind in ("L", "R")), sos)
        direction = sos if sos in inside else context
        for place in (start, end):
            classes[place] = direction
            # A mark takes the direction of the bracket that it stands on.
            for after in range(place + 1, len(classes)):
                if not marks[after]:
                    break
                classes[after] = direction


def _neutral(classes: list[str], sos: str) -> None:
    """Give spaces and signs the direction around them, else the line's (rules N1 and N2)."""
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
