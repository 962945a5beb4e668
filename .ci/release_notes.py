"""Print the changelog of a release: `python .ci/release_notes.py v0.1.0`.

Refuses a tag that is not the version of the package, and one without a dated section.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def section(changelog: str, version: str) -> str:
    """Return the changes of a version, without its heading."""
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    found = re.search(rf"{heading}\n(.+?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"No changes of {version}. Add '## {version} - DATE' to CHANGELOG.md.")
    return found[1].strip()


def main(tag: str) -> None:
    """Print the notes of a tag."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if tag != f"v{project['version']}":
        raise SystemExit(f"Not the version of pyproject.toml, {project['version']}: {tag}.")
    print(section((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), project["version"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
