"""Fill the marks of the reference pages from the code, so that the two never differ."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mp4gen
from mp4gen.cli.app import build
from mp4gen.testing import FAULT_MEANINGS

_WHAT_TO_DO = re.compile(r"^What to do:\n((?:    .+\n?)+)", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace each mark of a page by its text."""
    for mark, text in _TEXTS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, text())
    return markdown


def _commands() -> str:
    """Return the help of each command."""
    text = build().generate_docs(output_format="markdown", heading_level=1)
    # From the first command on; the introduction above it is written by hand.
    commands: str = text[text.index("## mp4gen ") :]
    return commands.replace(str(Path.home()), "~")


def _cures() -> str:
    """Return a table of the errors with what to do about each."""
    rows = "\n".join(f"| [`{name}`][mp4gen.{name}] | {text} |" for name, text in cures())
    return f"| error | what to do |\n| --- | --- |\n{rows}"


def cures() -> Iterator[tuple[str, str]]:
    """Yield each public error and what its docstring says to do."""
    for name in mp4gen.__all__:
        if name.endswith("Error"):
            found = _WHAT_TO_DO.search(inspect.getdoc(getattr(mp4gen, name)) or "")
            yield name, " ".join(found[1].split()) if found else ""


def _faults() -> str:
    """Return a table of the faults with what each simulates."""
    rows = "\n".join(f"| `{name}` | {text} |" for name, text in FAULT_MEANINGS.items())
    return f"| fault | what it simulates |\n| --- | --- |\n{rows}"


_TEXTS: dict[str, Callable[[], str]] = {
    "<!-- commands -->": _commands,
    "<!-- cures -->": _cures,
    "<!-- faults -->": _faults,
}
