"""Print the lowest supported version of each dependency, as constraints for pip and uv.

pip install -c <(python .ci/lowest.py) -e '.[all,dev]'
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The extras for users; the tools of the developers are always the newest.
EXTRAS = ("render", "server", "cli", "all", "dask", "redis", "s3")


def requirements() -> Iterator[str]:
    """Yield the requirements of the package and of its extras, except those of itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield from project["dependencies"]
    for extra in EXTRAS:
        found = project["optional-dependencies"][extra]
        yield from (one for one in found if not one.startswith(f"{project['name']}["))


def lowest(requirement: str) -> str:
    """Return a requirement of exactly the lowest version that it allows."""
    found = re.fullmatch(r"([\w.-]+)>=([\w.]+)(,.*)?", requirement)
    if found is None:
        raise SystemExit(f"No lower bound: {requirement}. Write name>=version.")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    print("\n".join(map(lowest, requirements())))
