"""Two type checkers read the public API as it is documented."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FILE = Path(__file__).parent / "typing" / "api.py"


def test_mypy_finds_only_the_marked_errors() -> None:
    """A strict mypy reports no error, and no `type: ignore` without one."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(FILE)]
    result = subprocess.run(
        [*command, "--follow-imports=silent"],
        cwd=FILE.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.stdout, result.returncode) == ("", 0)


def test_pyrefly_finds_the_same_errors(tmp_path: Path) -> None:
    """Pyrefly reports an error on each line with a `type: ignore`, and on no other line."""
    lines = FILE.read_text().splitlines()
    marked = [number for number, line in enumerate(lines, 1) if "# type: ignore" in line]
    bare = tmp_path / "api.py"
    bare.write_text("\n".join(re.sub(r" *# type: ignore.*", "", line) for line in lines))
    command = ["-m", "pyrefly", "check", "--preset", "strict", "--output-format", "json"]
    result = subprocess.run(
        [sys.executable, *command, "--python-interpreter-path", sys.executable, str(bare)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    found = {error["line"] for error in json.loads(result.stdout)["errors"]}

    assert sorted(found) == marked
