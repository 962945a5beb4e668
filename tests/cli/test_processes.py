"""Whole processes, where exit codes and signals are the point; few, for they cost."""

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


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MP4GEN_")}
    return {**kept, "MP4GEN_BASE_URL": "https://api.invalid", **more}


def start(*words: object, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_PROGRAM, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**more),
    )


def run_without(missing: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A run where some packages cannot be imported."""
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in missing.split())
    script = f"import sys; {blocked}from mp4gen.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )


def test_without_its_packages_it_says_what_to_install() -> None:
    """One sentence for the command line itself."""
    ended = run_without("cyclopts rich", "demo")

    assert ended.returncode == 2
    assert ended.stderr == (
        "mp4gen: the command line needs some more packages: pip install 'mp4gen[cli]'\n"
    )


@pytest.mark.parametrize("command", ["demo", "render", "serve"])
def test_without_the_renderer_its_commands_say_what_to_install(command: str) -> None:
    """And all others work."""
    ended = run_without("av numpy PIL", command, "--help")

    assert ended.returncode == 2
    assert "pip install 'mp4gen[cli,render]'" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_without_the_renderer_help_is_there_all_the_same() -> None:
    """Also for those who only convert."""
    assert "convert" in run_without("av numpy PIL", "--help").stdout
    assert "there is no command" in run_without("av numpy PIL", "nonsense").stderr


def test_ctrl_c_ends_the_demo_clean(tmp_path: Path) -> None:
    """130, no traceback, no half video, nothing left in the temporary folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    demo = start("demo", "--to", tmp_path / "v", TMPDIR=str(scratch))
    assert demo.stderr is not None
    said = iter(demo.stderr.readline, "")
    told = [next(line for line in said if line.endswith("rendering\n"))]

    demo.send_signal(signal.SIGINT)
    told += list(said)
    demo.wait(30)

    assert demo.returncode == 130
    assert told[-1] == "mp4gen: stopped\n"
    assert "Traceback" not in "".join(told)
    assert list(scratch.iterdir()) == []
    assert list((tmp_path / "v").iterdir()) == []
    demo.communicate()


def test_a_server_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """It says where, answers there, logs a line on each end, and takes SIGTERM for a good end."""
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
    assert "the music folder holds no music yet" in err
    assert "Traceback" not in err


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """As if killed by SIGPIPE: whoever read has seen enough."""
    script = '"$0" -m mp4gen --version | true; exit ${PIPESTATUS[0]}'

    ended = subprocess.run(
        ["bash", "-c", script, sys.executable],  # noqa: S607 - whichever bash is there
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) in {(141, ""), (0, "")}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_the_output_is_one_sentence() -> None:
    """1, and no traceback at the very end either."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*_PROGRAM, "ledger", "--help"], stdout=full, stderr=subprocess.PIPE, text=True,
            check=False, env=environment(),
        )  # fmt: skip

    assert ended.returncode == 1
    assert ended.stderr.startswith("mp4gen: No space left on device; free some space")
    assert ended.stderr.count("\n") == 1


def test_closed_streams_are_no_reason_to_fail(tone: Path, tmp_path: Path) -> None:
    """And nobody else's file gets their number."""
    script = f'"$0" -m mp4gen render {tone} --to {tmp_path}/a.mp4 >&- 2>&- <&-'

    ended = subprocess.run(
        ["bash", "-c", script, sys.executable],  # noqa: S607 - whichever bash is there
        check=False, env=environment(TMPDIR=tempfile.gettempdir()),
    )  # fmt: skip

    assert ended.returncode == 0
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
