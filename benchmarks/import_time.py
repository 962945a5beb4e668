"""Measure the CPU of importing the SDK and of its pytest plugin, in fresh interpreters, in turns.

    python benchmarks/import_time.py [--rounds 20] [--json [FILE]]

The SDK and suno-easy, if it is installed (`benchmarks/peers.py`), are compared with aiohttp, and an
empty run of pytest with the plugin with one without it. All are compiled beforehand, as installers
do. Exits with an error if the import loads a module that only a server, a renderer or a terminal
needs. About 20 s.
"""

import os
import resource
import subprocess
import sys
import tempfile
from typing import Any

import peers
from report import parse_arguments, show

NEVER = [
    "aiohttp.web",
    "sqlite3",
    "mutagen",
    "numpy",
    "av",
    "PIL",
    "rich",
    "cyclopts",
    "mp4gen.testing",
    "mp4gen.lyrics",
]
PYTEST = """
import os, sys, pytest
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"], sys.stdout = "1", None
pytest.main({})
"""
PYTEST_ARGUMENTS = ["-q", "-p", "no:cacheprovider", os.devnull]
CODES = {
    "nothing": "pass",
    "aiohttp": "import aiohttp",
    # The public names are loaded on first use.
    "mp4gen": "import mp4gen; mp4gen.Client",
    "pytest": PYTEST.format(PYTEST_ARGUMENTS),
    "pytest with the plugin": PYTEST.format([*PYTEST_ARGUMENTS, "-p", "mp4gen.testing.plugin"]),
}
if peers.packages("suno-easy"):
    CODES["suno-easy"] = f"import sys; sys.path += {peers.packages('suno-easy')}; import suno_easy"
# What each is compared with.
BASES = {"pytest": "pytest", "pytest with the plugin": "pytest"}


def run(code: str, compiled: str) -> str:
    """Return the output of an interpreter that runs `code`, with its bytecode in `compiled`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


def cpu_seconds(code: str, compiled: str) -> float:
    """Return the CPU seconds of an interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(code, compiled)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int, compiled: str) -> dict[str, float]:
    """Return the lowest CPU seconds of each import."""
    for code in CODES.values():
        run(code, compiled)
    best = dict.fromkeys(CODES, 1e9)
    for _ in range(rounds):
        for name, code in CODES.items():
            best[name] = min(best[name], cpu_seconds(code, compiled))
    return best


def main() -> None:
    """Run the benchmark."""
    options = parse_arguments(__doc__, rounds=20)
    with tempfile.TemporaryDirectory() as compiled:
        best = measure(options.rounds, compiled)
        code = (
            f"import sys, mp4gen; mp4gen.Client; print(*[m for m in {NEVER} if m in sys.modules])"
        )
        found = run(code, compiled).split()
    rows: list[dict[str, Any]] = [
        {"import": name, "cpu s": seconds, "ratio": seconds / best[BASES.get(name, "aiohttp")]}
        for name, seconds in best.items()
    ]
    show("Imports", rows, options.json)
    if found:
        raise SystemExit(f"import mp4gen loads {', '.join(found)}")


if __name__ == "__main__":
    main()
