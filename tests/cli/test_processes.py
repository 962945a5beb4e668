"""Whole processes: exit codes, signals and closed streams; few, because they are slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import wave
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

import mp4gen
from mp4gen.testing import FakeService

CERTIFICATE = Path(__file__).parents[1] / "support_self_signed.pem"
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


def start_ignoring(number: int, *arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Start a command as `nohup` does: with a signal that is ignored."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        return start(*arguments, **variables)
    finally:
        signal.signal(number, before)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until `condition` holds; fail if the process ends before."""
    pause = threading.Event()
    while not condition():
        assert process.poll() is None, process.communicate()
        pause.wait(0.01)


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
@pytest.mark.parametrize(
    ("command", "extras"),
    [
        ("demo", "cli,render"),
        ("render a.mp3 --to v", "cli,render"),
        ("serve --music .", "server"),  # it includes both
    ],
)
def test_missing_render_extra_names_the_install_command(
    command: str, extras: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command that renders prints it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(mp4gen.__file__).parents[1]))

    ended = run_without("av mutagen numpy PIL", *command.split())

    assert ended.returncode == 2
    assert f"pip install 'mp4gen[{extras}]'" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
def test_missing_render_extra_keeps_the_help() -> None:
    """The other commands work without it."""
    assert "convert" in run_without("av mutagen numpy PIL", "--help").stdout
    assert "Unknown command" in run_without("av mutagen numpy PIL", "nonsense").stderr


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
def test_serve_copies_its_database_while_it_runs(tmp_path: Path) -> None:
    """`--backup` needs no music folder, and says how many tasks it has copied."""
    (tmp_path / "music").mkdir()
    data = tmp_path / "data"
    server = start("serve", "--music", tmp_path / "music", "--data", data, "--port", 0, "--json")
    assert server.stdout is not None
    server.stdout.readline()

    backup = start("serve", "--backup", tmp_path / "copy", "--data", data)
    out, err = backup.communicate(timeout=30)
    server.terminate()
    server.communicate(timeout=30)

    assert (backup.returncode, out, err) == (0, f"Copied 0 tasks to {tmp_path / 'copy'}\n", "")
    assert (tmp_path / "copy").read_bytes().startswith(b"SQLite format 3")


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


@pytest.mark.slow
def test_serve_reads_its_keys_again_on_sighup(tmp_path: Path) -> None:
    """A new key counts at once; a file that cannot be read leaves the old keys as they are."""
    (tmp_path / "music").mkdir()
    keys = tmp_path / "keys"
    keys.write_text("anna = key-a\n")
    server = start("serve", "--music", tmp_path / "music", "--port", 0, "--json",
                   "--accounts", keys, MP4GEN_SERVE_DATA=str(tmp_path / "data"))  # fmt: skip
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]

    def code_of(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        request = Request(f"{url}/api/v1/generate/credit", headers=headers)  # noqa: S310 - as above
        with urlopen(request) as answer:  # noqa: S310 - our own loopback
            return int(json.load(answer)["code"])

    before = [code_of("key-a"), code_of("key-b")]
    keys.write_text("anna = key-b\n")
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: code_of("key-b") == 200, server)
    after = code_of("key-a")
    keys.write_text("nonsense\n")
    server.send_signal(signal.SIGHUP)
    last = code_of("key-b")
    server.terminate()
    _, err = server.communicate(timeout=30)

    assert (before, after, last) == ([200, 401], 401, 200)
    assert "the keys were read again: accounts=1" in err
    assert "the keys stay as they are: Invalid line" in err
    assert "key-a" not in err
    assert "key-b" not in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_convert_survives_a_signal_ignored_at_start(tmp_path: Path, number: int) -> None:
    """Failure mode 44: `nohup mp4gen convert` finishes after the terminal is closed."""
    (tmp_path / "t.csv").write_text("taskId,audioId\nm,a\n")
    with FakeService(duration=0.5, retry_after=0.1) as service:
        convert = start_ignoring(
            number, "convert", tmp_path / "t.csv", "--to", tmp_path / "v",
            MP4GEN_BASE_URL=service.url,
        )  # fmt: skip
        wait_until(lambda: bool(service.tasks), convert)
        convert.send_signal(number)
        out, err = convert.communicate(timeout=30)

    assert (convert.returncode, err) == (0, "")
    assert out.endswith(f"1 videos in {tmp_path / 'v'}, 0 failed, 0 remaining\n")


@pytest.mark.slow
def test_serve_survives_signals_ignored_at_start(tmp_path: Path) -> None:
    """Failure mode 44: a server in the background outlives its terminal."""
    (tmp_path / "music").mkdir()
    server = start_ignoring(
        signal.SIGHUP, "serve", "--music", tmp_path / "music", "--port", 0, "--json",
        MP4GEN_SERVE_DATA=str(tmp_path / "data"),
    )  # fmt: skip
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]

    server.send_signal(signal.SIGHUP)
    with urlopen(f"{url}/healthz") as answer:  # noqa: S310 - our own loopback
        status = answer.status
    server.terminate()
    server.communicate(timeout=30)

    assert (status, server.returncode) == (200, 0)


@pytest.mark.slow
def test_render_survives_a_signal_ignored_at_start(tone: Path, tmp_path: Path) -> None:
    """Failure mode 44: the video is complete."""
    render = start_ignoring(signal.SIGHUP, "render", tone, "--to", tmp_path / "a.mp4")
    wait_until(lambda: any(tmp_path.glob(".mp4gen-*")) or render.poll() is not None, render)
    render.send_signal(signal.SIGHUP)
    render.communicate(timeout=30)

    assert render.returncode == 0
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


def processes_of(group: int) -> list[str]:
    """Return the names of the living processes of a group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text().rpartition(") ")
            state, _, pgrp = rest.split()[:3]
            if int(pgrp) == group and state not in "ZX":
                found.append(name)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists processes by /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_render_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """A stopped render of many files leaves no partial video and no process, even if killed."""
    for name in ("a", "b", "c"):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16_000 * 100))
    videos = tmp_path / "v"
    render = subprocess.Popen(
        [*_PROGRAM, "render", *tmp_path.glob("*.wav"), "--to", videos, "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: len([*videos.glob(".mp4gen-*")]) == 2, render)

    if number == signal.SIGKILL:
        render.kill()
    else:
        # As a terminal does, to someone in a hurry.
        os.killpg(render.pid, number)
        os.killpg(render.pid, number)
    out, err = render.communicate(timeout=30)
    pause = threading.Event()
    while processes_of(render.pid):
        pause.wait(0.01)

    assert [*videos.iterdir()] == []
    assert "Traceback" not in err
    if number != signal.SIGKILL:
        assert render.returncode == 128 + number
        assert out == "0 videos rendered, 0 skipped, 0 failed, 3 remaining\n"
        assert "Resume with: mp4gen render" in err


@pytest.mark.slow
def test_client_trusts_the_certificate_of_our_server(
    mp4gen: Any, tone: Path, tmp_path: Path
) -> None:
    """Two machines of one network: --tls-cert and --tls-key there, --ca-file here."""
    (tmp_path / "music").mkdir()
    tone.rename(tmp_path / "music" / "tone.wav")
    server = start(
        "serve", "--music", tmp_path / "music", "--port", 0, "--key", "sentinel-key-7f3a",
        "--tls-cert", CERTIFICATE, "--tls-key", CERTIFICATE,
        MP4GEN_SERVE_DATA=str(tmp_path / "data"),
    )  # fmt: skip
    assert server.stdout is not None
    url = server.stdout.readline().split()[-1]
    options = ("--base-url", url, "--key", "sentinel-key-7f3a")

    trusted = mp4gen("credits", *options, "--ca-file", CERTIFICATE)
    refused = mp4gen("credits", *options)
    server.terminate()
    _, err = server.communicate(timeout=30)

    assert url.startswith("https://127.0.0.1:")
    assert f"--ca-file {CERTIFICATE}" in err
    assert trusted.code == 0
    assert refused.code == 2
    assert "self-signed certificate" in refused.err
    assert "--ca-file" in refused.err


def test_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """The process ends as if by SIGPIPE."""
    script = '"$0" -m mp4gen --version | true; exit ${PIPESTATUS[0]}'

    ended = subprocess.run(
        ["bash", "-c", script, sys.executable],  # noqa: S607 - whichever bash is there
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert (ended.returncode, ended.stderr) in {(141, ""), (0, "")}


def test_closed_standard_input_is_an_empty_table(tmp_path: Path) -> None:
    """2 and one line, as for an empty file."""
    script = f'"$0" -m mp4gen convert - --to {tmp_path}/v <&-'

    ended = subprocess.run(
        ["bash", "-c", script, sys.executable],  # noqa: S607 - whichever bash is there
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip

    assert ended.returncode == 2
    assert ended.stderr.startswith("mp4gen: standard input has no rows.")


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


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_json_log_has_nothing_else_on_stderr(tmp_path: Path, stop: signal.Signals) -> None:
    """From the start to a stop by any signal, each line is an object."""
    (tmp_path / "music").mkdir()
    places = ("--music", tmp_path / "music", "--data", tmp_path / "data", "--port", 0)
    server = start("serve", *places, "--log-format", "json")
    assert server.stdout is not None
    server.stdout.readline()

    server.send_signal(stop)
    _, log = server.communicate(timeout=30)

    lines = [json.loads(line) for line in log.splitlines()]
    assert "contains no audio yet" in lines[0]["message"]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
