"""The commands on Windows and macOS, as `other_systems/sitecustomize.py` simulates them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest

from mp4gen import Track
from mp4gen.testing import FakeService

ROOT = Path(__file__).parents[2]
# Not in the old code pages of Windows.
TITLE = "Nacht 夜 🎵"
# Runs the demo with the music of another folder, which takes a tenth of the time.
DEMO = """
import sys
from pathlib import Path
from mp4gen.cli import demo, main
if __name__ == "__main__":
    demo._MUSIC_FOLDER = Path(sys.argv.pop(1))
    sys.exit(main())
"""
# Runs a script that sees the system as a module of mp4gen does.
AS_MP4GEN = "import sys; exec(sys.argv.pop(1), {'__name__': 'mp4gen.script'})"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="The simulation needs Linux."),
    pytest.mark.parametrize("system", ["win32", "darwin"]),
]


def start(system: str, *command: object, **variables: str) -> subprocess.Popen[str]:
    """Start Python on a simulated system, with the character set of an old Windows console."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MP4GEN_")}
    simulated = {
        "PYTHONPATH": f"{ROOT / 'tests' / 'other_systems'}{os.pathsep}{ROOT}",
        "PYTHONIOENCODING": "cp1252",
        "MP4GEN_TEST_SYSTEM": system,
    }
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="cp1252",
        env={**kept, **simulated, **variables},
    )


def run(system: str, *arguments: object, **variables: str) -> tuple[int, str, str]:
    """Run a command of mp4gen; return its exit code, stdout and stderr."""
    process = start(system, "-m", "mp4gen", *arguments, **variables)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def run_python(system: str, script: str, *arguments: object) -> str:
    """Run a script that sees the system as a module of mp4gen does; return its output."""
    process = start(system, "-c", AS_MP4GEN, script, *arguments)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def account(service: FakeService) -> dict[str, str]:
    return {"MP4GEN_BASE_URL": service.url, "MP4GEN_API_KEY": "any"}


@pytest.fixture
def music(tone: Path) -> Path:
    """Return a folder with one track."""
    folder = tone.with_name("music")
    folder.mkdir()
    tone.rename(folder / "tone.wav")
    return folder


def test_simulation_hides_what_the_system_lacks(system: str) -> None:
    """The tests below would prove nothing otherwise."""
    script = """
import os, resource, sys
print(sys.platform, hasattr(os, "sched_getaffinity"))
try:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
except ValueError as error:
    print(error)
"""
    if system == "win32":
        script = script.replace("import os, resource, sys", "import os, sys")
        script = script.replace("try:\n", "try:\n    import resource\n").replace("Value", "Import")

    out = run_python(system, script)

    reason = {
        "win32": "No module named 'resource'",
        "darwin": "current limit exceeds maximum limit",
    }
    assert out == f"{system} False\n{reason[system]}\n"


@pytest.mark.slow
def test_demo_makes_three_videos(system: str, tone: Path, tmp_path: Path) -> None:
    """The first command of the README works, and leaves nothing else."""
    music = tmp_path / "music"
    music.mkdir()
    for name in "abc":
        music.joinpath(f"{name}.opus").write_bytes(tone.read_bytes())
    real, scratch = tmp_path / "real", tmp_path / "scratch"
    real.mkdir()
    # As /tmp of macOS.
    scratch.symlink_to(real)

    videos = tmp_path / "videos"
    process = start(system, "-c", DEMO, music, "demo", "--to", videos, TMPDIR=str(scratch))
    out, err = process.communicate(timeout=200)

    assert process.returncode == 0, err
    assert out.count(".mp4") >= 3
    assert len(list(videos.iterdir())) == 3
    assert list(real.iterdir()) == []


@pytest.mark.slow
def test_render_makes_a_video(system: str, music: Path, tmp_path: Path) -> None:
    """One file, without a server."""
    target = tmp_path / "videos" / "a.mp4"
    target.parent.mkdir()

    code, _, err = run(system, "render", music / "tone.wav", "--to", target, "--author", TITLE)

    assert code == 0, err
    assert [one.name for one in target.parent.iterdir()] == ["a.mp4"]


@pytest.mark.slow
def test_serve_check_passes(system: str, music: Path, tmp_path: Path) -> None:
    """The check renders in a worker, with the limits that the system has."""
    folders = ("--music", music, "--data", tmp_path / "data")

    code, out, err = run(system, "serve", "--check", *folders, "--port", 0)

    assert code == 0, out + err
    assert "A video of one second was rendered" in out


@pytest.mark.slow
def test_serve_stops_at_ctrl_c(system: str, music: Path, tmp_path: Path) -> None:
    """The signal wakes the event loop, and the server ends clean."""
    folders = ("--music", music, "--data", tmp_path / "data")
    server = start(system, "-m", "mp4gen", "serve", *folders, "--port", 0, "--json")
    assert server.stdout is not None
    url = json.loads(server.stdout.readline())["url"]
    with urlopen(f"{url}/healthz") as response:  # noqa: S310 - our own server
        health = response.status

    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=60)

    assert (health, server.returncode) == (200, 130)
    assert "Traceback" not in err


@pytest.mark.slow
def test_convert_stops_and_resumes(system: str, tmp_path: Path) -> None:
    """A signal ends the run clean; the same line finishes it, and nothing is submitted twice."""
    table, videos = tmp_path / "tracks.csv", tmp_path / "videos"
    rows = "".join(f"music,track-{number},{TITLE}\n" for number in range(3))
    table.write_text(f"taskId,audioId,author\n{rows}music,aux:1,\n", encoding="utf-8")
    line = ("convert", table, "--to", videos)
    # Ctrl-Break, which the simulation has in place of SIGQUIT.
    stop = signal.SIGQUIT if system == "win32" else signal.SIGTERM
    with FakeService(duration=1e6, retry_after=0.2) as service:
        first = start(system, "-m", "mp4gen", *line, **account(service))
        pause = threading.Event()
        while len(service.tasks) < 4:
            pause.wait(0.01)
        first.send_signal(stop)
        _, stopped = first.communicate(timeout=60)
        for task in service.tasks.values():
            task.finish()
        code, _, err = run(system, *line, **account(service))
        tasks = len(service.tasks)

    assert (first.returncode, stopped.splitlines()[-1]) == (128 + stop, "mp4gen: Stopped.")
    assert (code, tasks) == (0, 4), err
    names = sorted(one.name for one in videos.glob("*.mp4"))
    assert names[1:] == ["track-0.mp4", "track-1.mp4", "track-2.mp4"]
    assert names[0].startswith("aux_1-")


@pytest.mark.slow
def test_account_commands_answer(system: str, tmp_path: Path, service: FakeService) -> None:
    """`tracks`, `credits`, `create`, `wait` and `download` need nothing that the system lacks."""
    variables = account(service)
    service.music["music"] = [Track("music", "track", title=TITLE)]
    created = run(system, "create", "music", "track", "--author", TITLE, "--json", **variables)
    task_id = json.loads(created[1])["task_id"]
    commands = [
        ("wait", task_id, "--to", tmp_path / "first.mp4"),
        ("download", task_id, "--to", tmp_path / "second.mp4"),
        ("credits",),
        ("tracks", "music"),
    ]
    ended = [run(system, *command, **variables) for command in commands]

    assert [code for code, _, _ in ended] == [0, 0, 0, 0], ended
    assert ended[-1][1].startswith(r"track\tNacht \u591c \U0001f3b5".replace("\\t", "\t"))
    assert sorted(one.name for one in tmp_path.glob("*.mp4")) == ["first.mp4", "second.mp4"]


LOCK_SCRIPT = """
import os, sqlite3, sys
from pathlib import Path
from mp4gen.filesystem import open_locked, remove, replace
path = Path(sys.argv[1])
file = open_locked(path)
try:
    open_locked(path)
except BlockingIOError:
    print("locked")
print(file.tell(), path.read_bytes())
file.write(b"a\\nb\\n")
db = sqlite3.connect(path.with_suffix(".sqlite"))
locked = open_locked(path.with_suffix(".sqlite"))
db.execute("CREATE TABLE one (two)")
db.commit()
db.close()
locked.close()
print(remove(path) if sys.platform == "win32" else False)
file.close()
open_locked(path).close()
replace(path, path.with_suffix(".new"))
print(path.with_suffix(".new").read_bytes())
"""


def test_lock_is_exclusive_and_ends_with_its_file(system: str, tmp_path: Path) -> None:
    """The lock covers no byte that SQLite or another program reads, and moves no file position."""
    out = run_python(system, LOCK_SCRIPT, tmp_path / "file")

    assert out.splitlines() == ["locked", "0 b''", "False", r"b'a\nb\n'"]


OPEN = (
    "import sys, time; from pathlib import Path; from mp4gen.filesystem import open_locked; "
    "file = open_locked(Path(sys.argv[1]))"
)


def test_lock_ends_with_its_process(system: str, tmp_path: Path) -> None:
    """A killed run leaves no lock."""
    path = tmp_path / "file"
    hold = f"{OPEN}; print('held', flush=True); time.sleep(60)"
    holder = start(system, "-c", AS_MP4GEN, hold, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    attempt = f"try:\n {OPEN}; print('free')\nexcept BlockingIOError:\n print('locked')"
    before = run_python(system, attempt, path)
    holder.kill()
    holder.communicate()

    assert (before, run_python(system, attempt, path)) == ("locked\n", "free\n")
