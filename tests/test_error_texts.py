"""All error texts have one style: a capital letter, what is wrong, what to do, a full stop."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "mp4gen"

# Errors whose first argument is not a text: a task's id or a request.
OTHER_ARGUMENTS = {"SubmitUncertainError", "GenerationFailedError", "WaitTimeoutError"}
BANNED = re.compile(
    r"\b((no|some|any)body|whoever|told|tell|of no use|cannot be right|for ever|holds no|is no)\b",
    re.IGNORECASE,
)


@functools.cache
def modules() -> list[tuple[Path, ast.Module]]:
    """Return the modules of the package."""
    paths = sorted(ROOT.rglob("*.py"))
    return [(path.relative_to(ROOT), ast.parse(path.read_text())) for path in paths]


def error_names() -> set[str]:
    """Return the names of all error classes that the package defines."""
    return {
        node.name
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    } - OTHER_ARGUMENTS


def text_of(node: ast.expr) -> str | None:
    """Return a string as it is written, with {} for its values, or None if it is not a string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    return None


def texts() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every error that is made."""
    names = error_names()
    for path, tree in modules():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            name = ast.unparse(node.func).split(".")[-1]
            # An error with a code quotes a text of the API.
            quotes = any(keyword.arg == "code" for keyword in node.keywords)
            text = text_of(node.args[0]) if name in names and not quotes else None
            if text is not None:
                yield f"{path}:{node.lineno}", text


def problem(text: str) -> str | None:
    """Return what is wrong with a text, or None."""
    if not re.match(r"[A-Z0-9{'\"`(]", text):
        return "does not begin with a capital letter"
    if not re.search(r"([.?!]|\{\})['\")]?$", text):
        return "does not end with a full stop"
    if found := BANNED.search(text):
        return f"says {found.group()!r}"
    return None


def test_error_texts_have_one_style() -> None:
    """Each text begins with a capital letter and ends with a full stop, in plain English."""
    found = list(texts())
    wrong = [f"{place} {why}: {text}" for place, text in found if (why := problem(text))]

    assert len(found) > 100
    assert wrong == []
