"""CPU of `import mp4gen` against `import aiohttp`, each in fresh interpreters, in turns."""

import os
import subprocess
import sys
from typing import Any

from report import arguments, show

NEVER = ["aiohttp.web", "sqlite3", "numpy", "av", "PIL", "rich", "cyclopts", "mp4gen.testing"]


def spent(code: str) -> float:
    """CPU seconds of one interpreter that runs `code`."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own code
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


def loaded() -> list[str]:
    """Which of the modules that must not be there are, after `import mp4gen`."""
    code = f"import sys, mp4gen; print(*[m for m in {NEVER} if m in sys.modules])"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def main() -> None:
    """Print the table."""
    options = arguments(__doc__, rounds=10)
    codes = {"nothing": "pass", "aiohttp": "import aiohttp", "mp4gen": "import mp4gen"}
    best = dict.fromkeys(codes, 1e9)
    for _ in range(options.rounds):
        for name, code in codes.items():
            best[name] = min(best[name], spent(code))
    rows: list[dict[str, Any]] = [
        {"import": name, "cpu s": seconds, "ratio": seconds / best["aiohttp"]}
        for name, seconds in best.items()
    ]
    show("Imports", rows, as_json=options.json)
    if found := loaded():
        raise SystemExit(f"import mp4gen loads {', '.join(found)}")


if __name__ == "__main__":
    main()
