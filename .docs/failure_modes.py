"""Keep the test lists of explanation/failure-modes.md true: `python .docs/failure_modes.py`.

A test cites numbers in its docstring: "Failure mode 21", "failure modes 31 and 33", "1 to 4".
A module's docstring counts for the failure modes that none of its tests cites.
"""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / ".docs" / "pages" / "explanation" / "failure-modes.md"
_CITED = re.compile(r"\b[Ff]ailure modes? (\d{1,2})\b((?:(?:, | and | to )\d{1,2}\b)*)")
_SECTION = re.compile(r"(?<=^## Failure mode )(\d+)(:.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
_SHOWN = "\nShown by:\n"


def cited(text: str) -> Iterator[int]:
    """Yield the numbers of the failure modes that `text` cites."""
    for match in _CITED.finditer(text):
        last = int(match[1])
        yield last
        for joint, number in re.findall(r"(, | and | to )(\d+)", match[2]):
            yield from range(last + 1 if joint == " to " else int(number), int(number) + 1)
            last = int(number)


@functools.cache
def tests_by_number() -> dict[int, list[str]]:
    """Return the tests of each failure mode: names of functions, or paths of modules."""
    tests: dict[int, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        inside: set[int] = set()
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                numbers = {*cited(ast.get_docstring(node) or "")}
                inside |= numbers
                for number in numbers:
                    tests[number].append(node.name)
        for number in {*cited(ast.get_docstring(module) or "")} - inside:
            tests[number].append(path.relative_to(ROOT).as_posix())
    return dict(tests)


def updated(page: str) -> str:
    """Return `page` with the current list of tests for each failure mode."""
    tests = tests_by_number()

    def section(match: re.Match[str]) -> str:
        text = match[2].partition(_SHOWN)[0].rstrip("\n")
        names = "\n".join(f"- `{name}`" for name in tests.get(int(match[1]), ()))
        return f"{match[1]}{text}\n{_SHOWN}\n{names}\n\n"

    return _SECTION.sub(section, page).rstrip("\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
