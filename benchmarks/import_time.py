"""CPU of `import mp4gen` against `import aiohttp`, each in fresh interpreters, in turns.

Both are compiled beforehand, into a folder of our own: installers do that, a checkout may not.
"""

import os
import resource
import subprocess
import sys
import tempfile
from typing import Any

from report import arguments, show

NEVER = ["aiohttp.web", "sqlite3", "numpy", "av", "PIL", "rich", "cyclopts", "mp4gen.testing"]
CODES = {"nothing": "pass", "aiohttp": "import aiohttp", "mp4gen": "import mp4gen"}


def run(code: str, compiled: str) -> str:
    """What an interpreter prints that runs `code`, with its compiled modules in `compiled`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    return done.stdout


def spent(code: str, compiled: str) -> float:
    """CPU seconds of one interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(code, compiled)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int, compiled: str) -> dict[str, float]:
    """The best CPU seconds of each import."""
    for code in CODES.values():
        run(code, compiled)
    best = dict.fromkeys(CODES, 1e9)
    for _ in range(rounds):
        for name, code in CODES.items():
            best[name] = min(best[name], spent(code, compiled))
    return best


def main() -> None:
    """Print the table."""
    options = arguments(__doc__, rounds=20)
    with tempfile.TemporaryDirectory() as compiled:
        best = measure(options.rounds, compiled)
        question = f"import sys, mp4gen; print(*[m for m in {NEVER} if m in sys.modules])"
        found = run(question, compiled).split()
    rows: list[dict[str, Any]] = [
        {"import": name, "cpu s": seconds, "ratio": seconds / best["aiohttp"]}
        for name, seconds in best.items()
    ]
    show("Imports", rows, as_json=options.json)
    if found:
        raise SystemExit(f"import mp4gen loads {', '.join(found)}")


if __name__ == "__main__":
    main()
