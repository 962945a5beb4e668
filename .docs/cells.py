"""Read the examples of the reference pages: files of cells that begin with `# %% NAME`."""

import re
from pathlib import Path

FOLDER = Path(__file__).with_name("reference_examples")
_CELL = re.compile(r"^# %% (.+)\n", re.MULTILINE)


def read_cells() -> dict[str, str]:
    """Return the example of each public name, in the order of the files."""
    cells: dict[str, str] = {}
    for path in sorted(FOLDER.glob("*.py")):
        _, *parts = _CELL.split(path.read_text(encoding="utf-8"))
        for name, code in zip(parts[::2], parts[1::2], strict=True):
            if name in cells:
                raise ValueError(f"Two examples of {name}. Remove one in {path}.")
            cells[name] = code.strip()
    return cells


def without_await(code: str) -> str:
    """Return an example of `mp4gen.Client` as one of `mp4gen.sync.Client`."""
    return re.sub(r"\b(await|async(?= with| for)) ", "", code)
