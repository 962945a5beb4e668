"""The entry point is light, so that it can end quietly while the rest is imported."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

THIRD_PARTY = {"aiohttp", "attrs", "cattrs", "backoff", "cyclopts", "rich"}


def test_entry_point_imports_no_other_package() -> None:
    """Python prints a traceback for a Ctrl-C during the imports that precede `main`."""
    code = "import sys, mp4gen.cli; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert THIRD_PARTY.isdisjoint(ended.stdout.split())


def test_interrupted_import_ends_quietly(mp4gen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the commands are imported has the exit code of every Ctrl-C."""

    def interrupt(name: str, *_: object) -> None:
        if name == "mp4gen.cli.app":
            raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "mp4gen.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=interrupt), *sys.meta_path])
    monkeypatch.delattr("mp4gen.cli.app", raising=False)
    ended = mp4gen("--help")

    assert (ended.code, ended.out, ended.err) == (130, "", "")
