"""Show the example of each public name below its docstring: those of `reference_examples/`."""

import copy
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from griffe import Alias, Extension, Module, Object

_cells = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("cells.py"))))


class ReferenceExamples(Extension):
    """Add an example to the docstring of each name that has one."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Handle every example; an unknown name ends the build."""
        for name, code in _with_blocking_forms(_cells.read_cells()):
            _add_example(_find(pkg, name.removeprefix("mp4gen.")), code)


def _with_blocking_forms(cells: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the examples; those of calls of the async client also for the blocking one."""
    for name, code in cells.items():
        yield name, code
        blocking = name.replace("mp4gen.Client.", "mp4gen.sync.Client.")
        if blocking not in cells and not name.endswith(".aclose"):
            yield blocking, _cells.without_await(code)


def _find(pkg: Module, name: str) -> Object:
    found: Object | Alias = pkg
    for part in name.split("."):
        found = found.all_members[part]
        if isinstance(found, Alias):
            found = found.final_target
    return found


def _add_example(found: Object, code: str) -> None:
    if found.docstring is None:
        raise ValueError(f"No docstring of {found.path}. Write one above its example.")
    fenced = f"```python\n{code}\n```"
    indented = "\n".join(f"    {line}".rstrip() for line in fenced.splitlines())
    # Not the docstring itself: both clients share it.
    found.docstring = copy.copy(found.docstring)
    found.docstring.value += f"\n\nExample:\n{indented}"
