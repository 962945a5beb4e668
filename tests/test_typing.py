"""The public API means the same to two type checkers as to its documentation."""

import json
import re
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parent / "typing" / "api.py"


def test_the_type_tests_hold() -> None:
    """A strict mypy finds no fault, and every expected one (each has its ignore)."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(FILE)]
    done = subprocess.run(
        [*command, "--follow-imports=silent"],
        cwd=FILE.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("", 0)


def test_a_second_checker_agrees(tmp_path: Path) -> None:
    """Pyrefly finds a fault on each line that is marked as one, and on no other."""
    lines = FILE.read_text().splitlines()
    marked = [number for number, line in enumerate(lines, 1) if "# type: ignore" in line]
    bare = tmp_path / "api.py"
    bare.write_text("\n".join(re.sub(r" *# type: ignore.*", "", line) for line in lines))
    command = ["-m", "pyrefly", "check", "--preset", "strict", "--output-format", "json"]
    done = subprocess.run(
        [sys.executable, *command, "--python-interpreter-path", sys.executable, str(bare)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    found = {error["line"] for error in json.loads(done.stdout)["errors"]}

    assert sorted(found) == marked
