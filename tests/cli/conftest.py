"""Fixtures and helpers of the command line's tests."""

from __future__ import annotations

import json
import signal
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.cli import main
from mp4gen.testing import FakeService
from tests.support_environment import remove_proxies


@attrs.frozen
class CommandResult:
    """The exit code and the output of one command line."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., CommandResult]


@pytest.fixture(autouse=True)
def _isolated_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the key and the proxies, replace the host, and never break lines."""
    remove_proxies(monkeypatch)
    for name in ("MP4GEN_API_KEY", "MP4GEN_DEBUG", "MP4GEN_RATE_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MP4GEN_BASE_URL", "https://api.invalid")
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture(autouse=True)
def _signals_not_ignored() -> Iterator[None]:
    """Let the commands notice Ctrl-C, even if the suite runs in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def mp4gen(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command line in this process."""

    def run(*arguments: object) -> CommandResult:
        code = main([str(word) for word in arguments])
        return CommandResult(code, *capsys.readouterr())

    return run


@pytest.fixture
def service(mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """Point the commands at the fake service."""
    monkeypatch.setenv("MP4GEN_BASE_URL", mp4gen_service.url)
    return mp4gen_service


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Write a WAV file with a second of a square wave of 441 Hz."""
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 44_100, 0, "NONE", ""))
        file.writeframes((b"\x00\x20" * 50 + b"\x00\xe0" * 50) * 441)
    return path
