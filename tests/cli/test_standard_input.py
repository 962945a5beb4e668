"""Audio on standard input."""

from __future__ import annotations

import io
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from mp4gen.cli import standard_input
from mp4gen.cli.exit_codes import InterruptedBySignal, UsageError
from mp4gen.cli.standard_input import STANDARD_INPUT, standard_input_job


class Stdin:
    """Standard input, which gives some bytes."""

    def __init__(self, content: bytes = b"", *, terminal: bool = False) -> None:
        self.buffer = io.BytesIO(content)
        self.isatty = lambda: terminal


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def test_copy_is_private_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other user can read the music."""
    monkeypatch.setattr(sys, "stdin", Stdin(b"music"))

    with standard_input_job([STANDARD_INPUT], "song.mp4") as job:
        content, mode = job.audio.read_bytes(), job.audio.parent.stat().st_mode & 0o777

    assert (content, mode) == (b"music", 0o700)
    assert (job.name, job.video) == ("standard input", Path("song.mp4"))
    assert [*(tmp_path / "tmp").iterdir()] == []


@pytest.mark.parametrize(
    ("sources", "to", "stdin", "text"),
    [
        (["-"], "x.mp4", Stdin(), "Standard input is empty. Pipe an audio file into"),
        (["-"], "x.mp4", Stdin(b"too long"), "larger than 0 GB. Save it as a file, and render"),
        (["-"], "x.mp4", Stdin(terminal=True), "Standard input is a terminal. Pipe an audio"),
        (["-"], "videos", Stdin(b"x"), "--to videos is a folder. Use a file name that ends in"),
        (["-", "a.mp3"], "v/", Stdin(b"x"), "one of several audio files. Render it alone."),
    ],
)
def test_invalid_standard_input_is_refused(
    sources: list[str], to: str, stdin: Any, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each case has its own sentence, and no copy stays."""
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(standard_input, "_MAX_BYTES", 5)

    with (
        pytest.raises(UsageError) as refused,
        standard_input_job([*map(Path, sources)], to),
    ):
        pass

    assert text in str(refused.value)
    assert [*Path(tempfile.gettempdir()).iterdir()] == []


def test_signal_during_the_copy_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM would end the process without a clean-up."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            signal.raise_signal(signal.SIGTERM)
            return b""

    stdin = Stdin()
    stdin.buffer = Slow()
    monkeypatch.setattr(sys, "stdin", stdin)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with (
            pytest.raises(InterruptedBySignal) as interrupted,
            standard_input_job([STANDARD_INPUT], "x.mp4"),
        ):
            pass
        after = signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert interrupted.value.code == 143
    assert after is signal.SIG_DFL
    assert [*Path(tempfile.gettempdir()).iterdir()] == []
