"""What an index and an installer see of the package."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mp4gen.cli import runner

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the names of the hook that completes the metadata, without its build system."""
    names = "hatchling hatchling.metadata hatchling.metadata.plugin".split()
    interface = ModuleType("hatchling.metadata.plugin.interface")
    interface.MetadataHookInterface = object  # type: ignore[attr-defined]
    for module in (*map(ModuleType, names), interface):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return runpy.run_path(str(ROOT / ".ci" / "hatch_metadata.py"))


def test_each_dependency_has_a_lower_bound() -> None:
    """The workflow installs exactly these versions and runs the suite."""
    script = ROOT / ".ci" / "lowest.py"

    found = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)

    lines = found.stdout.splitlines()
    extras = [one for name in ("cli", "render", "dask", "redis", "s3") for one in EXTRAS[name]]
    needed = [*PROJECT["dependencies"], *extras]
    packages = [re.split("[<>=]", one)[0] for one in needed if not one.startswith("mp4gen[")]
    assert sorted(line.split("==")[0] for line in lines) == sorted(packages)
    assert "attrs==23.1" in lines


def sessions() -> dict[str, list[str]]:
    """Return the sessions of nox and their versions of Python; the tests do not import nox."""
    found = {}
    for node in ast.parse((ROOT / ".ci" / "noxfile.py").read_text()).body:
        decorators = ast.unparse(getattr(node, "decorator_list", []))
        if "nox.session" in decorators:
            found[node.name] = re.findall(r"'(3\.\d+)'", decorators)
    return found


def test_ci_runs_each_session_by_its_name() -> None:
    """A check is the same command in CI and on your machine."""
    scripts = "\n".join(path.read_text() for path in (*WORKFLOWS, ROOT / ".ci" / "run"))
    scripts = scripts.replace("-${{ matrix.python }}", "")

    calls = re.findall(r"nox -f \.ci/noxfile\.py(?: --\S+)* -s (.+?)(?: -- .*)?\n", scripts)

    assert {name for call in calls for name in call.split()} == set(sessions())


def test_each_supported_python_is_tested() -> None:
    """The classifiers, the sessions and the workflow name the same versions."""
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))

    assert sessions()["tests"] == versions
    assert f"python: {versions}".replace("'", '"') in workflow


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_trust_commits_and_few_rights(path: Path) -> None:
    """A tag of an action can be moved; the token of a workflow may only read by default."""
    text = path.read_text()

    used = re.findall(r"uses: (.+)", text)
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v[\d.]+", one)] == []
    assert re.search(r"^permissions:(?: \{\}|\n  contents: read)$", text, re.MULTILINE)
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_wheel_is_tried_with_each_extra() -> None:
    """Except those for developers."""
    commands = runpy.run_path(str(ROOT / ".ci" / "check_wheel.py"))["COMMANDS"]

    assert set(commands) == {"", *EXTRAS} - {"dev", "docs"}


@pytest.fixture
def notes() -> Any:
    """Return the names of the script that prints the notes of a release."""
    return runpy.run_path(str(ROOT / ".ci" / "release_notes.py"))


def test_release_notes_are_those_of_the_version(notes: Any, capsys: Any) -> None:
    """The next tag has changes to announce."""
    notes["main"](f"v{PROJECT['version']}")

    assert capsys.readouterr().out.startswith("The first release.\n\n### Added\n")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.1.0", "### Added\n\n- b"), ("1.0.0", "- a"), ("1.0", None), ("1.2.0", None)],
)
def test_release_notes_end_at_the_next_version(
    notes: Any, version: str, expected: str | None
) -> None:
    """A section without a date is not released."""
    changelog = (
        "# Changelog\n\n## 1.2.0\n\n- c\n\n## 1.1.0 - 2026-11-26\n\n### Added\n\n- b\n\n"
        "## 1.0.0 - 2026-01-01\n\n- a\n"
    )

    if expected is None:
        with pytest.raises(SystemExit, match=rf"No changes of {version}\. Add "):
            notes["section"](changelog, version)
    else:
        assert notes["section"](changelog, version) == expected


def test_release_of_another_version_is_refused(notes: Any) -> None:
    """The tag and the metadata of the wheel must agree."""
    with pytest.raises(SystemExit, match=r"Not the version .+: v9\.9\."):
        notes["main"]("v9.9")


def test_rendering_and_serving_bring_the_command_line() -> None:
    """`pip install 'mp4gen[server]'` is enough for `mp4gen serve`."""
    assert "mp4gen[cli]" in EXTRAS["render"]
    assert EXTRAS["server"] == ["mp4gen[render]"]
    assert EXTRAS["all"] == ["mp4gen[server]"]


def test_package_page_has_absolute_links(metadata: Any) -> None:
    """An index shows the README without the files beside it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    url = "https://example.com/owner/mp4gen"

    text = metadata["absolute_links"](readme, url, "v1.0")

    targets = re.findall(r"\]\(([^)]+)\)", text)
    inside = [one.removeprefix(f"{url}/") for one in targets if one.startswith(url)]
    assert all(one.startswith(("https://", "http://", "#")) for one in targets)
    assert f"watermark]({url}/raw/v1.0/.github/demo.webp)" in text
    assert f"]({url}/blob/v1.0/CHANGELOG.md)" in text
    assert [one for one in inside if not (ROOT / one.split("v1.0/")[1]).exists()] == []


@pytest.mark.parametrize(
    ("url", "links", "picture"),
    [
        ("", {}, "](.github/demo.webp)"),
        (
            "https://example.com/x/",
            {"Source": "https://example.com/x"},
            "](https://example.com/x/raw/main/.github/demo.webp)",
        ),
    ],
)
def test_links_are_those_of_the_released_repository(
    metadata: Any,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    links: dict[str, str],
    picture: str,
) -> None:
    """A build that does not know its repository adds no links."""
    monkeypatch.setenv("MP4GEN_REPOSITORY_URL", url)
    hook = metadata["RepositoryLinks"]()
    hook.root = str(ROOT)
    built: dict[str, Any] = {}

    hook.update(built)

    assert built["urls"].items() >= links.items()
    assert bool(built["urls"]) is bool(url)
    assert built["readme"]["text"].startswith("# mp4gen\n")
    assert picture in built["readme"]["text"]


@pytest.mark.parametrize(
    ("started", "on_path", "expected"),
    [
        (".venv/bin/mp4gen", None, ".venv/bin/mp4gen"),
        (".venv/bin/mp4gen", "other/mp4gen", ".venv/bin/mp4gen"),
        (".venv/bin/mp4gen", ".venv/bin/mp4gen", "mp4gen"),
        ("mp4gen/__main__.py", None, "mp4gen"),
    ],
)
def test_suggested_commands_work_as_printed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: str,
    on_path: str | None,
    expected: str,
) -> None:
    """After `.venv/bin/mp4gen demo`, the shell does not find `mp4gen`."""
    for folder in (".venv/bin", "other"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / started), "demo"])
    monkeypatch.setattr("shutil.which", lambda _: on_path and str(tmp_path / on_path))

    assert runner.program() == expected
