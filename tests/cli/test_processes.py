"""Whole processes: exit codes, signals and closed streams; few, because they are slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

import pytest

_PROGRAM = (sys.executable, "-m", "mp4gen")


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MP4GEN_")}
    return {**kept, "MP4GEN_BASE_URL": "https://api.invalid", **variables}


def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_PROGRAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )


def run_without(missing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process in which some packages cannot be imported."""
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in missing.split())
    script = f"import sys; {blocked}from mp4gen.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def test_missing_cli_extra_names_the_install_command() -> None:
    """One line, without a traceback."""
    ended = run_without("cyclopts rich", "demo")

    assert ended.returncode == 2
    assert ended.stderr == (
        "mp4gen: The command line needs more packages. Run: pip install 'mp4gen[cli]'\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["demo", "render", "serve"])
def test_missing_render_extra_names_the_install_command(command: str) -> None:
    """Each command that renders prints it."""
    ended = run_without("av numpy PIL", command, "--help")

    assert ended.returncode == 2
    assert "pip install 'mp4gen[cli,render]'" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_missing_render_extra_keeps_the_help() -> None:
    """The other commands work without it."""
    assert "convert" in run_without("av numpy PIL", "--help").stdout
    assert "Unknown command" in run_without("av numpy PIL", "nonsense").stderr


@pytest.mark.slow
def test_ctrl_c_stops_the_demo_without_a_trace(tmp_path: Path) -> None:
    """130, no traceback, no partial video, no temporary file."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    demo = start("demo", "--to", tmp_path / "v", TMPDIR=str(scratch))
    assert demo.stderr is not None
    lines = iter(demo.stderr.readline, "")
    errors = [next(line for line in lines if line.endswith("rendering\n"))]

    demo.send_signal(signal.SIGINT)
    errors += lines
    demo.wait(30)

    assert demo.returncode == 130
    assert errors[-1] == "mp4gen: Stopped.\n"
    assert "Traceback" not in "".join(errors)
    assert list(scratch.iterdir()) == []
    assert list((tmp_path / "v").iterdir()) == []
    demo.communicate()


@pytest.mark.slow
def test_serve_answers_until_sigterm(tmp_path: Path) -> None:
    """It prints its URL, and SIGTERM is a success."""
    (tmp_path / "music").mkdir()
    server = start("serve", "--music", tmp_path / "music", "--port", 0, "--json",
                   MP4GEN_SERVE_DATA=str(tmp_path / "data"))  # fmt: skip
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]

    with urlopen(f"{url}/api/v1/generate/credit") as answer:  # noqa: S310 - our own loopback
        body = json.load(answer)
    server.terminate()
    _, err = server.communicate(timeout=30)

    assert body["code"] == 200
    assert server.returncode == 0
    assert "The music folder contains no audio yet" in err
    assert "Traceback" not in err


def test_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """The process ends as if by SIGPIPE."""
    script = '"$0" -m mp4gen --version | true; exit ${PIPESTATUS[0]}'

    ended = subprocess.run(
        ["bash", "-c", script, sys.executable],  # noqa: S607 - whichever bash is there
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) in {(141, ""), (0, "")}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_full_disk_under_stdout_prints_one_line() -> None:
    """1, and no traceback from the interpreter's exit."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*_PROGRAM, "ledger", "--help"], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False, env=environment(),
        )  # fmt: skip

    assert ended.returncode == 1
    assert ended.stderr.startswith("mp4gen: No space left on device. Free some space")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_render_works_with_closed_streams(tone: Path, tmp_path: Path) -> None:
    """No other file gets their descriptors."""
    script = f'"$0" -m mp4gen render {tone} --to {tmp_path}/a.mp4 >&- 2>&- <&-'

    ended = subprocess.run(
        ["bash", "-c", script, sys.executable],  # noqa: S607 - whichever bash is there
        check=False, env=environment(TMPDIR=tempfile.gettempdir()),
    )  # fmt: skip

    assert ended.returncode == 0
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
