"""The documentation is true: its lists are complete and its links lead to files."""

import importlib.util
import re
import tomllib
from pathlib import Path
from pydoc import locate
from types import ModuleType

import pytest

import mp4gen
import mp4gen.redis
import mp4gen.render
import mp4gen.server
import mp4gen.sync
import mp4gen.testing
from mp4gen.server.web.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / ".docs"
PAGES = sorted((DOCS / "pages").rglob("*.md"))
PACKAGES = (mp4gen, mp4gen.redis, mp4gen.render, mp4gen.server, mp4gen.sync, mp4gen.testing)
TEXTS = [*PAGES, *sorted(ROOT.glob("*.md")), *sorted((ROOT / ".github").glob("*.md"))]


@pytest.fixture(scope="module")
def failure_modes() -> ModuleType:
    """Load the script that updates the list of failure modes."""
    spec = importlib.util.spec_from_file_location("failure_modes", DOCS / "failure_modes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_failure_modes_name_their_tests(failure_modes: ModuleType) -> None:
    """The page lists each test that cites a number; `python .docs/failure_modes.py` updates it."""
    page = failure_modes.PAGE.read_text()

    assert failure_modes.updated(page) == page


def test_failure_modes_have_each_cited_number(failure_modes: ModuleType) -> None:
    """A failure mode that a test cites is on the page, and each one on the page has a test."""
    page = failure_modes.PAGE.read_text()

    numbers = [int(n) for n in re.findall(r"^## Failure mode (\d+):", page, re.MULTILINE)]

    assert sorted(failure_modes.tests_by_number()) == numbers


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_reference_has_each_public_name(package: ModuleType) -> None:
    """Each exported name has an entry in the reference pages."""
    entries = {
        entry
        for page in (DOCS / "pages" / "reference").glob("*.md")
        for entry in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)
    }

    missing = {f"{package.__name__}.{name}" for name in package.__all__} - entries

    assert missing == set()


def test_server_reference_has_each_operation() -> None:
    """The server's page lists exactly the operations of the API that the server has."""
    page = (DOCS / "pages" / "reference" / "server.md").read_text()

    listed = re.findall(r"`([A-Z]+) (/api/[^?`]+)", page)

    assert sorted(listed) == sorted((op.method, op.path) for op in OPERATIONS)


def test_each_example_is_shown() -> None:
    """Each example file is included by a page."""
    included = {
        name
        for page in PAGES
        for name in re.findall(r'^--8<-- "(.+)"', page.read_text(), re.MULTILINE)
    }

    examples = {path.name for path in (DOCS / "examples").glob("*.py")}
    assert included == examples | {path.name for path in (DOCS / "deploy").iterdir()}


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_files(text: Path) -> None:
    """Each relative link of a page leads to a file of the repository."""
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text.read_text())

    missing = [
        target for target in targets if "://" not in target and not (text.parent / target).exists()
    ]

    assert missing == []


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_qualified_names_exist(text: Path) -> None:
    """Each name in backticks that begins with `mp4gen.`, `Client.` or `client.` exists."""
    names = re.findall(r"`(mp4gen|[Cc]lient)((?:\.[A-Za-z_]+)+)\b", text.read_text())
    roots = {"mp4gen": "mp4gen", "Client": "mp4gen.Client", "client": "mp4gen.Client"}

    missing = [
        first + rest
        for first, rest in names
        if locate(roots[first] + rest.removesuffix(".py")) is None
    ]

    assert missing == []


def test_versioning_policy_names_the_tested_python_versions() -> None:
    """The policy, the classifiers and the workflow have the same versions of Python."""
    policy = (DOCS / "pages" / "explanation" / "versioning.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()

    line = re.search(r"\*\*Python\.\*\* (.+?)\. ", policy)
    assert line is not None
    named = re.findall(r"3\.\d+", line[1])
    classified = re.findall(r":: (3\.\d+)", " ".join(project["classifiers"]))
    matrix = re.findall(r"python: \[(.+)\]", workflow)[0]

    assert named == classified == re.findall(r"3\.\d+", matrix)
    assert project["requires-python"] == f">={named[0]}"


def test_versioning_policy_names_each_public_package() -> None:
    """The policy lists the packages whose names have examples."""
    policy = (DOCS / "pages" / "explanation" / "versioning.md").read_text()

    row = next(line for line in policy.splitlines() if line.startswith("| Python |"))

    assert {*re.findall(r"`(mp4gen[\w.]*)`", row)} == {package.__name__ for package in PACKAGES}
