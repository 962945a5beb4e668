"""The README is true: its programs run as written, its commands are the ones that CI runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mp4gen
from mp4gen.testing import CallbackBehavior, FakeService

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SHELL = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
# Before Python 3.13, discord.py imports a module of the standard library that was on its way out.
OF_DISCORD = "ignore:'audioop' is deprecated:DeprecationWarning"


def purpose(program: str) -> str:
    return "-".join(re.findall(r"convert\w*|wait_for\w*|FakeService|CallbackReceiver", program)[:2])


@pytest.fixture
def service() -> Iterator[FakeService]:
    """The API on loopback; it also calls back."""
    with FakeService(callbacks=CallbackBehavior()) as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS, ids=purpose)
def test_the_programs_run_as_written(program: str, service: FakeService, tmp_path: Path) -> None:
    """Whoever copies a program from the README gets what it promises."""
    surroundings = {
        **os.environ,
        "MP4GEN_BASE_URL": service.url,
        "MP4GEN_API_KEY": "a-key-for-the-readme",
        "DISCORD_TOKEN": "",  # whoever runs the tests may have a bot
    }

    ended = subprocess.run(
        [sys.executable, "-W", "error", "-W", OF_DISCORD, "-c", program],
        env=surroundings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_two_commands_do_all_the_set_up() -> None:
    """One line runs the main job, one passes the tests, each in an environment of its own."""
    lines = [line for block in SHELL for line in block.splitlines() if "venv" in line]

    assert [line.split(" && ")[0] for line in lines] == ["python3 -m venv .venv"] * 2
    assert "mp4gen demo" in lines[0]
    assert "pytest" in lines[1]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """CI reads the command from the README, so that the two cannot come apart."""
    script = (ROOT / ".ci" / "run").read_text()

    pattern = next(part for part in script.split("'") if part.startswith("^python3"))

    assert len([line for line in README.splitlines() if re.match(pattern, line)]) == 1


def test_every_public_error_is_explained() -> None:
    """A user who meets an error finds it in the README."""
    errors = {name for name in mp4gen.__all__ if name.endswith("Error")}
    details = {"ApiError", "Mp4GenError", "RenderCancelledError"}

    missing = {name for name in errors - details if f"`{name}`" not in README}

    assert missing == set()
