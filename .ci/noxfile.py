"""Run the suite on each installed Python version: `nox -f .ci/noxfile.py`."""

from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Install the package as a user does, and run its tests."""
    session.chdir(ROOT)
    session.install("-e", ".[all,dev]")
    session.run("python", "-m", "pytest", "-q", *session.posargs)
