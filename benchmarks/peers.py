"""Install the peers that benchmarks run, each into a virtual environment of its own.

    python benchmarks/peers.py [NAME ...]

They are installed once, with pip and its usual settings, in `~/.cache/mp4gen-benchmarks`, or in the
folder that the variable MP4GEN_PEERS names. A peer that cannot be installed is reported, and the
benchmarks leave it out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from report import note

PEERS = {
    "suno-easy": ["suno-easy==0.2.0"],
    "limiters": [
        "aiolimiter==1.3.0",
        "limits==5.8.0",
        "pyrate-limiter==4.5.1",
        "throttled-py==3.5.0",
    ],
    "moviepy": ["moviepy==2.2.1"],
    # Its pycairo is compiled: it needs a C compiler and the headers of cairo.
    "seewav": ["seewav==0.1.1"],
}
TIMEOUT = 300


def folder() -> Path:
    """Return the folder of the environments."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MP4GEN_PEERS") or Path(cache) / "mp4gen-benchmarks")


def find_program(peer: str, program: str) -> str | None:
    """Return the path of a program in the environment of a peer, None if it is not installed."""
    path = _environment(peer) / "bin" / program
    return str(path) if _mark(peer).exists() and path.exists() else None


def packages(peer: str) -> list[str]:
    """Return the folder with the packages of a peer; nothing if it is not installed."""
    if not _mark(peer).exists():
        return []
    return [str(path) for path in _environment(peer).glob("lib/python*/site-packages")]


def use(peer: str) -> bool:
    """Make the packages of a peer importable, after our own, and return if it is installed."""
    found = packages(peer)
    sys.path.extend(path for path in found if path not in sys.path)
    return bool(found)


def install(peer: str) -> str:
    """Install a peer unless it is there; return what went wrong, or an empty text."""
    if _mark(peer).exists():
        return ""
    target = _environment(peer)
    shutil.rmtree(target, ignore_errors=True)
    try:
        venv.create(target, with_pip=True)
        command = [str(target / "bin" / "python"), "-m", "pip", "install", "-q", *PEERS[peer]]
        subprocess.run(  # noqa: S603 - the fixed list above
            command, check=True, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.CalledProcessError as error:
        lines = [line for line in str(error.stderr).splitlines() if "rror" in line]
        return (lines or ["pip failed"])[0].strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    _mark(peer).touch()
    return ""


def install_all(names: list[str]) -> list[str]:
    """Install peers, report each that cannot be, and return these."""
    failed = []
    for name in names:
        trouble = install(name)
        if trouble:
            note(f"{name} is not installed and is left out: {trouble}")
            failed.append(name)
    return failed


def _environment(peer: str) -> Path:
    # Another version of Python, or of a peer, needs another environment.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return folder() / f"{peer}-python{version}"


def _mark(peer: str) -> Path:
    """Return the file that an installation ends with, named after the versions in it."""
    return _environment(peer) / "-".join(["installed", *PEERS[peer]])


if __name__ == "__main__":
    sys.exit(len(install_all(sys.argv[1:] or list(PEERS))))
