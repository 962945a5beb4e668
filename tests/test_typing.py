"""The public API means the same to a type checker as to its documentation."""

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
