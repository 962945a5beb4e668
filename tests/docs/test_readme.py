"""The programs of README, pages and examples run as written; CI uses the README's commands."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mp4gen
from mp4gen.testing import CallbackBehavior, FakeService

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / ".docs" / "examples").glob("*.py"))
ERRORS = ROOT / ".docs" / "pages" / "reference" / "errors.md"
TESTED_APP = runpy.run_path(str(ROOT / ".docs" / "examples" / "test_an_app.py"))
README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
# Only these examples import the packages.
OPTIONAL = {
    "django_app": "django",
    "opentelemetry_spans": "opentelemetry.sdk",
    "pandas_tracks": "pandas",
}


def programs() -> Iterator[object]:
    """Yield each program of the README, of the pages, and of the examples."""
    for page in (ROOT / "README.md", *sorted((ROOT / ".docs" / "pages").rglob("*.md"))):
        found = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        for number, program in enumerate(found, 1):
            yield pytest.param(program, id=f"{page.stem}-{number}")
    for example in EXAMPLES:
        if not example.stem.endswith("_bot"):  # run by tests of their own: a bot ends with a signal
            yield pytest.param(example.read_text(), id=example.stem)


@pytest.fixture
def service() -> Iterator[FakeService]:
    """Run the API on loopback, with callbacks."""
    with FakeService(callbacks=CallbackBehavior()) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("program", list(programs()))
def test_programs_run_as_written(
    program: str, service: FakeService, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each program ends without an error and without a warning."""
    if module := OPTIONAL.get(request.node.callspec.id):
        pytest.importorskip(module, reason="the dev extra installs it")
    environment = {
        **os.environ,
        "MP4GEN_BASE_URL": service.url,
        "MP4GEN_API_KEY": "a-key-for-the-readme",
        "CALLBACK_TOKEN": "a-token-for-the-readme",
        "PUBLIC_URL": "https://app.example.com",
        "DATABASE": "videos.db",
    }

    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_set_up_takes_two_commands() -> None:
    """One line runs the demo and one the tests, each in a new environment."""
    lines = [line for block in SHELL for line in block.splitlines() if "venv" in line]

    assert [line.split(" && ")[0] for line in lines] == ["python3 -m venv .venv"] * 2
    assert "mp4gen demo" in lines[0]
    assert "pytest" in lines[1]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """`.ci/run` finds exactly one test command in the README."""
    script = (ROOT / ".ci" / "run").read_text()

    pattern = next(part for part in script.split("'") if part.startswith("^python3"))

    assert len([line for line in README.splitlines() if re.match(pattern, line)]) == 1


def test_each_public_error_is_explained() -> None:
    """The table of errors in the reference names each exported error."""
    table = ERRORS.read_text()
    errors = {name for name in mp4gen.__all__ if name.endswith("Error")}
    details = {"ApiError", "Mp4GenError", "RenderCancelledError"}

    missing = {name for name in errors - details if f"`{name}`" not in table}

    assert missing == set()


@pytest.mark.parametrize("name", [name for name in TESTED_APP if name.startswith("test_")])
def test_example_of_a_tested_app_passes(name: str, mp4gen_service: FakeService) -> None:
    """Each test of the example passes with the fixture of the plugin."""
    TESTED_APP[name](mp4gen_service)
