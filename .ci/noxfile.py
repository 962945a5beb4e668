"""The suite on every Python that is installed: `nox -f .ci/noxfile.py`; the rest is skipped."""

from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
nox.options.error_on_missing_interpreters = False


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Install the package as a user would, and run its tests."""
    session.chdir(ROOT)
    session.install("-e", ".[all,dev]")
    session.run("python", "-m", "pytest", "-q", *session.posargs)
